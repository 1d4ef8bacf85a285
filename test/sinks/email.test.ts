import { getEventListeners, once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { createTransport } from 'nodemailer';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { SinkError, vastWebhook } from '../../src/index.js';
import { type EmailOptions, type EmailTransport, type EmailTransportMessage, email } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type SmtpStandIn, smtpStandIn } from '../support/smtp-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { nasty, nastyMarkdown } from './nasty.js';

let server: SmtpStandIn;
beforeAll(async () => {
  server = await smtpStandIn();
});
afterAll(() => server.close());
afterEach(() => {
  server.replies.clear();
});

const from = 'Vast.ai <alerts@example.org>';
const to = 'ops@example.net';

const smtp = (options: object = {}) =>
  createTransport({ host: '127.0.0.1', port: server.port, secure: false, ignoreTLS: true, ...options });
const sinkWith = (options: Partial<EmailOptions<never>> = {}, transport: EmailTransport = smtp()) =>
  email(transport, { from, to, ...options });

/** The mail that the server got, with folded headers unfolded. */
async function mailFor(event: object, options?: Partial<EmailOptions<never>>) {
  const before = server.mails.length;
  await deliverTo(sinkWith(options), event);
  expect(server.mails).toHaveLength(before + 1);
  const mail = server.mails[before] as SmtpStandIn['mails'][number];
  const end = mail.raw.indexOf('\r\n\r\n');
  const lines = mail.raw
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n');
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.replace(/^[^:]*: */, '')]),
  );
  expect(headers.size).toBe(lines.length);
  const encoding = headers.get('content-transfer-encoding') ?? '7bit';
  const text = decoded(mail.raw.slice(end + 4), encoding)
    .replaceAll('\r\n', '\n')
    .trimEnd();
  return { ...mail, headers, text, subject: decodedWords(headers.get('subject') ?? '') };
}

function decoded(text: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString();
  if (encoding !== 'quoted-printable') return text;
  const bytes = text
    .replace(/=\r\n/g, '')
    .replace(/=([\dA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}

/** RFC 2047: `=?UTF-8?Q?...?=`. */
function decodedWords(text: string): string {
  return text
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?UTF-8\?([QB])\?([^?]*)\?=/gi, (_, kind: string, word: string) =>
      kind.toUpperCase() === 'B'
        ? Buffer.from(word, 'base64').toString('latin1')
        : decodedLatin(word.replaceAll('_', ' ')),
    )
    .replace(/[\x80-\xff]+/g, (bytes) => Buffer.from(bytes, 'latin1').toString());
}

function decodedLatin(word: string): string {
  return word.replace(/=([\dA-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** A transport that keeps what it is given. */
function keeping(result: unknown = { accepted: [to], rejected: [] }) {
  const sent: EmailTransportMessage[] = [];
  const transport: EmailTransport = {
    async sendMail(message) {
      sent.push(message);
      return result;
    },
  };
  return { sent, transport };
}

describe('email sends, by nodemailer,', () => {
  it('subject, message, link and details as plain text', async () => {
    const event = { ...sampleEvent('outbid'), timestamp: Date.now() / 1000 };
    const mail = await mailFor(event);
    expect(mail).toMatchObject({ from: 'alerts@example.org', to: [to], subject: event.subject });
    const details = `type=outbid event_id=${event.event_id} severity=error`;
    expect(mail.text).toBe([event.message, 'https://cloud.vast.ai/instances/', details].join('\n\n'));
    expect(Object.fromEntries(mail.headers)).toMatchObject({
      from: '"Vast.ai" <alerts@example.org>',
      to,
      'auto-submitted': 'auto-generated',
      'content-type': 'text/plain; charset=utf-8',
      importance: 'High',
    });
  });

  it('the date of sending, and in the text when it happened', async () => {
    const mail = await mailFor(eventWith({ timestamp: Date.parse('2026-11-26T22:13:44Z') / 1000 }));
    expect(mail.text).toMatch(/^Happened at 2026-11-26 22:13 UTC\n\n/);
    expect(Math.abs(Date.parse(mail.headers.get('date') ?? '') - Date.now())).toBeLessThan(60_000);
  });

  it('no priority for what is only information', async () => {
    expect((await mailFor(sampleEvent('instance_started'))).headers.has('importance')).toBe(false);
  });

  it.each([
    ...nasty,
    ...nastyMarkdown,
    '.',
    '.\r\n.',
    'From x',
    '=?UTF-8?Q?x?=',
    'ü🚀…',
    'a\0b',
    '\u2028x',
    'x'.repeat(5_000),
  ])('the text %j as it is', async (text) => {
    const { text: body } = await mailFor(eventWith({ subject: 's', message: text }));
    const flat = (part: string) => part.replace(/\s+/g, ' ').trim();
    expect(flat(body)).toContain(flat(text));
  });

  it.each([
    'a\r\nBcc: evil@example.com',
    'a\nBcc: evil@example.com\n\nbody',
    'a\u2028Bcc: x@y.example',
    'a\u0000\u0007b',
    'Überboten 🚀',
    '=?UTF-8?Q?evil?=',
    `${'ü'.repeat(300)}`,
    'Instance 48927380 (my_gpu) is offline',
  ])('the subject %j in one header', async (subject) => {
    const mail = await mailFor(eventWith({ subject }));
    expect(mail.headers.has('bcc')).toBe(false);
    expect(mail.to).toEqual([to]);
    const oneLine = subject.replace(/[\s\p{Cc}]+/gu, ' ');
    expect(mail.subject.replaceAll('\u200B', '').replace(/ +/g, ' ')).toBe(
      oneLine.length > 250 ? `${oneLine.slice(0, 249)}…` : oneLine,
    );
  });

  it('to several recipients, over a pool, and to another console', async () => {
    const pool = smtp({ pool: true });
    const sink = email(pool, { from, to: [to, 'dev@example.net'], consoleUrl: 'https://gpu.example' });
    await Promise.all([1, 2, 3].map((n) => deliverTo(sink as never, eventWith({ event_id: `evt_${n}` }))));
    pool.close();
    for (const mail of server.mails.slice(-3)) {
      expect(mail.to).toEqual([to, 'dev@example.net']);
      expect(mail.raw).toContain('https://gpu.example/instances/');
    }
  });
});

describe('the Message-ID', () => {
  const idFor = async (event: object, options?: Partial<EmailOptions<never>>) =>
    (await mailFor(event, options)).headers.get('message-id');

  it('is the same for each attempt, and another for another event or sink', async () => {
    const event = eventWith({ event_id: 'evt_1' });
    const id = await idFor(event);
    expect(id).toMatch(/^<[\da-f]{40}@example\.org>$/);
    expect(await idFor(event)).toBe(id);
    expect(await idFor(event, { name: 'other' })).not.toBe(id);
    expect(await idFor(eventWith({ event_id: 'evt_2' }))).not.toBe(id);
  });

  it.each([
    ['alerts@example.org', 'example.org'],
    ['"Ops, all @home" <alerts@mail.example.org>', 'mail.example.org'],
    ['alerts@bücher.example', 'xn--bcher-kva.example'],
    ['root@localhost', 'localhost'],
  ])('of %j has the domain %s', async (address, domain) => {
    const { sent, transport } = keeping();
    await deliverTo(sinkWith({ from: address }, transport));
    expect(sent[0]?.messageId).toMatch(/^<[\da-f]{40}@/);
    expect(sent[0]?.messageId.replace(/^.*@/, '')).toBe(`${domain}>`);
  });
});

describe('email’s option format', () => {
  it('gives the text, or subject and texts', async () => {
    const event = eventWith({ subject: 'the subject' });
    expect(await mailFor(event, { format: () => 'mine' })).toMatchObject({ subject: 'the subject', text: 'mine' });
    const format = () => ({ subject: 'my\r\nsubject', text: 'my text', html: '<b>my</b> text' });
    const mail = await mailFor(event, { format });
    expect(mail.subject).toBe('my subject');
    expect(mail.raw).toContain('<b>my</b> text');
    expect(mail.headers.get('content-type')).toContain('multipart/alternative');
  });

  it('gives no addresses, attachments or files', async () => {
    const { sent, transport } = keeping();
    const file = { path: '/etc/passwd' };
    const format = () =>
      ({
        subject: file,
        text: file,
        html: { href: 'http://a.example' },
        to: 'evil@a.example',
        attachments: [file],
      }) as never;
    await deliverTo(sinkWith({ format }, transport));
    const { signal, messageId, headers, ...message } = sent[0] as EmailTransportMessage;
    expect(message).toEqual({
      from,
      to: [to],
      subject: '{"path":"/etc/passwd"}',
      text: '{"path":"/etc/passwd"}',
      html: '{"href":"http://a.example"}',
      priority: 'high',
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  });

  it('cannot read a file by a field of an event', async () => {
    const event = eventWith({ message: { path: '/etc/hostname' } });
    const mail = await mailFor(event, {
      format: ({ message }: { message: never }) => ({ subject: 's', text: message }),
    });
    expect(mail.text).toBe('{"path":"/etc/hostname"}');
  });
});

describe('email fails', () => {
  const login = { auth: { user: 'secretUser', pass: 'secretPassword' } };

  async function failure(options: Partial<EmailOptions<never>> = {}, transport?: EmailTransport) {
    const error = await failureOf(deliverTo(sinkWith(options, transport ?? smtp(login))));
    expect(error).toBeInstanceOf(SinkError);
    const shown = inspect(error, { depth: null, showHidden: true });
    for (const part of ['secret', 'ops@', 'alerts@']) expect(shown).not.toContain(part);
    return error;
  }

  it.each([
    ['login', 535, 'EAUTH', true],
    ['login', 454, 'EAUTH', false],
    [to, 550, 'EENVELOPE', true],
    [to, 450, 'EENVELOPE', false],
    ['text', 554, 'EMESSAGE', true],
    ['text', 452, 'EMESSAGE', false],
    ['text', 421, 'EMESSAGE', false],
  ])('when the reply to %s is %i', async (what, reply, word, permanent) => {
    server.replies.set(what, reply);
    expect(await failure()).toMatchObject({
      message: `E-mail: the mail server answered ${reply} (${word})`,
      permanent,
      status: undefined,
    });
  });

  it('for a retry when one of several refused recipients may be accepted later', async () => {
    server.replies.set(to, 450).set('b@example.net', 550);
    expect(await failure({ to: [to, 'b@example.net'] })).toMatchObject({ permanent: false });
    expect(await failure({ to: ['b@example.net', to] })).toMatchObject({ permanent: false });
  });

  it('for a retry when no server listens', async () => {
    const gone = await smtpStandIn();
    await gone.close();
    expect(await failure({}, createTransport({ host: '127.0.0.1', port: gone.port }))).toMatchObject({
      permanent: false,
    });
  });

  it('for a retry when the server is silent, and ends the connection', async () => {
    const silent = createServer();
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void silent.close());
    const connected = once(silent, 'connection') as Promise<[Socket]>;
    const { port } = silent.address() as AddressInfo;
    // Enough for the connection on a machine that is busy.
    expect(await failure({ timeoutMs: 1_000 }, createTransport({ host: '127.0.0.1', port }))).toMatchObject({
      message: 'E-mail could not be sent: no answer within 1000 ms',
      permanent: false,
    });
    const [socket] = await connected;
    if (!socket.destroyed) await once(socket.resume(), 'close');
  });

  it('for a retry when a transport never answers, and knows no signal', async () => {
    const error = await failure({ timeoutMs: 20 }, { sendMail: () => new Promise(() => {}) });
    expect(error.message).toContain('no answer within 20 ms');
  });

  it('when the signal is aborted: before, nothing is sent', async () => {
    const { sent, transport } = keeping();
    const error = await failureOf(deliverTo(sinkWith({}, transport), undefined, AbortSignal.abort()));
    expect(error).toMatchObject({ message: 'E-mail was not sent: aborted', permanent: false });
    expect(sent).toEqual([]);
    const abort = new AbortController();
    const hanging = { sendMail: () => new Promise(() => {}) };
    const failed = failureOf(deliverTo(sinkWith({}, hanging), undefined, abort.signal));
    abort.abort(new Error('secret'));
    expect(await failed).toMatchObject({ message: 'E-mail could not be sent: aborted', permanent: false });
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
  });

  it.each<[string, unknown, string, boolean]>([
    ['a wrong envelope', { code: 'EENVELOPE' }, 'EENVELOPE', true],
    ['a wrong set-up', { code: 'ECONFIG' }, 'ECONFIG', true],
    ['a lost connection', { code: 'ECONNECTION', message: 'to secret.example' }, 'ECONNECTION', false],
    ['a login without a reply', { code: 'EAUTH' }, 'EAUTH', false],
    ['an odd code', { code: 'at secret.example' }, 'unknown error', false],
    ['nothing', undefined, 'unknown error', false],
    ['a text', 'secret', 'unknown error', false],
  ])('when a transport rejects with %s', async (_, thrown, word, permanent) => {
    const error = typeof thrown === 'object' ? Object.assign(new Error('secret'), thrown) : thrown;
    const message = `E-mail could not be sent: ${word}`;
    expect(await failure({}, { sendMail: () => Promise.reject(error) })).toMatchObject({ message, permanent });
    const throwing = () => {
      throw error;
    };
    expect(await failure({}, { sendMail: throwing })).toMatchObject({ message, permanent });
  });

  it('when a transport resolves though it was refused for all, as LMTP may', async () => {
    const refused = (responseCode: number) =>
      keeping({ accepted: [], rejected: [to], rejectedErrors: [{ responseCode }] }).transport;
    expect(await failure({}, refused(550))).toMatchObject({ permanent: true });
    expect(await failure({}, refused(450))).toMatchObject({ permanent: false });
  });
});

describe('email is delivered when one recipient is accepted', () => {
  it('and reports the others once, without their addresses', async () => {
    server.replies.set('gone@example.net', 550);
    const onError = vi.fn();
    const before = server.mails.length;
    await deliverTo(sinkWith({ to: [to, 'gone@example.net'], onError }));
    expect(server.mails.slice(before)).toMatchObject([{ to: [to] }]);
    expect(onError.mock.calls).toEqual([[new SinkError('E-mail: the mail server refused 1 of 2 recipients')]]);
  });

  it('though the listener throws, or there is none', async () => {
    server.replies.set('gone@example.net', 550);
    const onError = () => {
      throw new Error('mine');
    };
    await expect(deliverTo(sinkWith({ to: [to, 'gone@example.net'], onError }))).resolves.toBeUndefined();
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    await expect(deliverTo(sinkWith({ to: [to, 'gone@example.net'] }))).resolves.toBeUndefined();
    expect(log).toHaveBeenCalledOnce();
    log.mockRestore();
  });

  it.each([undefined, null, {}, { accepted: 'x' }, { accepted: [], rejected: [] }, { messageId: 'x' }])(
    'and when a transport resolves with %j',
    async (result) => {
      await expect(deliverTo(sinkWith({}, keeping(result).transport))).resolves.toBeUndefined();
    },
  );
});

describe('email refuses, when it is made,', () => {
  it.each([undefined, null, {}, 'smtp://localhost'])('the transport %j', (transport) => {
    expect(() => email(transport as never, { from, to })).toThrow('what createTransport() of nodemailer returns');
  });

  it.each<[string, unknown]>([
    ['from', undefined],
    ['from', 'Vast.ai'],
    ['from', 'a@b.example\r\nBcc: c@d.example'],
    ['from', 'a@b.example, c d'],
    ['from', { address: 'a@b.example' }],
    ['to', undefined],
    ['to', ''],
    ['to', []],
    ['to', ['a@b.example', 'nobody']],
    ['to', 'a@b.example\nBcc: c@d.example'],
    ['to', { path: '/etc/passwd' }],
    ['timeoutMs', 0],
    ['name', ''],
    ['format', 'text'],
    ['onError', 'log'],
    ['consoleUrl', 'here'],
    ['fetch', fetch],
  ])('the option %s of %j', (option, value) => {
    expect(() => sinkWith({ [option]: value })).toThrow(TypeError);
    expect(() => sinkWith({ [option]: value })).toThrow(option);
  });

  it('no options, and a second sink of its name', () => {
    expect(() => email(smtp(), undefined as never)).toThrow(TypeError);
    expect(sinkWith().name).toBe('email');
    expect(() => vastWebhook('a-secret-of-the-tests', { sinks: [sinkWith(), sinkWith()] as never })).toThrow(TypeError);
  });
});
