import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';

interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and body, as sent. */
  readonly raw: string;
}

export interface SmtpStandIn {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** A reply in place of 250: to a login, to a recipient by its address, or to the text. */
  readonly replies: Map<string, number>;
  close(): Promise<void>;
}

/** A real SMTP server on loopback, without TLS. */
export async function smtpStandIn(): Promise<SmtpStandIn> {
  const mails: ReceivedMail[] = [];
  const replies = new Map<string, number>();
  const failing = (what: string): Error | null => {
    const responseCode = replies.get(what);
    return responseCode === undefined ? null : Object.assign(new Error('refused'), { responseCode });
  };
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    logger: false,
    onAuth(auth, _session, done) {
      const error = failing('login');
      if (error) done(error);
      else done(null, { user: auth.username ?? '' });
    },
    onRcptTo({ address }, _session, done) {
      done(failing(address));
    },
    onData(stream, { envelope }, done) {
      void textOf(stream).then((raw) => {
        const error = failing('text');
        if (error === null) {
          const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
          mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), raw });
        }
        done(error);
      });
    },
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    replies,
    async close() {
      for (const connection of server.connections) connection.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
