import { createHash } from 'node:crypto';
import { eventKey } from '../contracts/delivery.js';
import { SinkError, toError } from '../contracts/errors.js';
import { type Sink, type SinkContext, sinkName } from '../contracts/sink.js';
import { shown } from '../providers/provider.js';
import { aFunction, anything, checkOptions, milliseconds } from '../util/check-options.js';
import { systemClock } from '../util/clock.js';
import { swallowErrors } from '../util/swallow-errors.js';
import { unrefTimeout } from '../util/timer.js';
import { type ChatParts, consoleUrl, partsFor } from './chat/chat.js';
import { beforeAbort, checkMessage, timeFor } from './post.js';
import { cut, oneLine } from './text.js';

/** A message as a transport of nodemailer takes it. */
export interface EmailTransportMessage {
  /** The option `from`. */
  readonly from: string;
  /** The option `to`. */
  readonly to: string[];
  /** One line. */
  readonly subject: string;
  /** The plain text. */
  readonly text: string;
  /** The HTML that `format` returned. */
  readonly html?: string;
  /** The same for each attempt to deliver an event, so that mail servers can drop repeats. */
  readonly messageId: string;
  /** `high` from severity `error` on. */
  readonly priority: 'high' | 'normal';
  /** Further headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** No text can make nodemailer read a file. */
  readonly disableFileAccess: true;
  /** No text can make nodemailer fetch a URL. */
  readonly disableUrlAccess: true;
  /** Aborted when nobody waits for the result any more. nodemailer knows it from 10.5 on. */
  readonly signal: AbortSignal;
}

/** The part of a nodemailer transport that the sink needs. */
export interface EmailTransport {
  /** Sends one message. It resolves when the mail server has taken it for one recipient at least. */
  sendMail(message: EmailTransportMessage): Promise<unknown>;
}

/** The texts of a mail. */
export interface EmailMessage {
  /** One line. */
  readonly subject: string;
  /** The plain text. */
  readonly text: string;
  /** The same as HTML. The built-in message has none. */
  readonly html?: string;
}

/** Options of `email`. */
export interface EmailOptions<Event> {
  /** The sender, such as `Vast.ai <alerts@example.org>`. Its domain is in each Message-ID. */
  readonly from: string;
  /** One recipient or several, who all see each other. */
  readonly to: string | readonly string[];
  /** Names the sink in the store and in outcomes. Two sinks of the same kind need two names. Default: `email`. */
  readonly name?: string;
  /**
   * After how many milliseconds a mail counts as failed. Default: 2 seconds after the delivery's deadline, because
   * the sender gives up then. Without a deadline, as behind an outbox: 30,000.
   */
  readonly timeoutMs?: number;
  /** The console that mails about Vast.ai events link to. Default: `https://cloud.vast.ai`. */
  readonly consoleUrl?: string;
  /** Replaces the built-in mail: returns its text, or subject and texts. */
  readonly format?: (event: Event, parts: ChatParts) => string | EmailMessage;
  /** Called when the mail server has taken a mail for some recipients only. Default: `console.error`. */
  readonly onError?: (error: Error) => void;
}

/**
 * Sends a mail through a transport of nodemailer (`createTransport(...)`), which is yours to close. The mail is plain
 * text, and its Message-ID is a hash of the sink's name and the event's id, so that a mailbox can recognise a repeated
 * attempt. It is delivered when the mail server has taken it for one recipient at least. Recipients who are refused
 * then are reported to `onError`, and get no second attempt. Replies of 5xx are permanent failures. 4xx, also at a
 * login, can be retried.
 * Throws a `TypeError` for an invalid transport, address or option.
 */
export function email<Event extends object>(transport: EmailTransport, options: EmailOptions<Event>): Sink<Event> {
  if (typeof transport?.sendMail !== 'function') {
    throw new TypeError(`${service}: the transport must be what createTransport() of nodemailer returns`);
  }
  checkOptions(options, checks, service);
  const from = checkAddress('from', options.from);
  const to = [options.to].flat().map((address) => checkAddress('to', address));
  if (to.length === 0) throw new TypeError(`${service}: the option to must have an address`);
  const domain = domainOf(from);
  const { name = 'email', format, timeoutMs } = options;
  // The mail is sent, so that an error of the listener must not fail it.
  const onError = swallowErrors(options.onError ?? console.error);
  const partsOf = partsFor(options.consoleUrl, systemClock);
  return {
    name,
    async deliver(event, context) {
      const { delivery } = context;
      const parts = partsOf(event, delivery);
      const id = createHash('sha256')
        .update(JSON.stringify([name, eventKey(delivery)]))
        .digest('hex');
      const message: Omit<EmailTransportMessage, 'signal'> = {
        from,
        to: [...to],
        ...textsOf(
          format === undefined ? messageOf(parts) : checkMessage(service, 'format', format(event, parts)),
          parts,
        ),
        messageId: `<${id.slice(0, 40)}@${domain}>`,
        priority: ['error', 'critical'].includes(parts.severity) ? 'high' : 'normal',
        // Source: RFC 3834. Nobody's vacation notice answers it.
        headers: { 'Auto-Submitted': 'auto-generated' },
        disableFileAccess: true,
        disableUrlAccess: true,
      };
      const result = await send((signal) => transport.sendMail({ ...message, signal }), context, timeoutMs);
      const { refused, all } = recipientsIn(result);
      if (refused > 0) onError(new SinkError(`${service}: the mail server refused ${refused} of ${all} recipients`));
    },
  };
}

const service = 'E-mail';

const checks = {
  name: sinkName,
  timeoutMs: milliseconds,
  from: anything,
  to: anything,
  consoleUrl,
  format: aFunction,
  onError: aFunction,
} as const;

/** A line break would begin another header. */
function checkAddress(option: string, address: unknown): string {
  if (typeof address === 'string' && /^[^\p{Cc}\u2028\u2029]+@[^\p{Cc}\u2028\u2029]+$/u.test(address)) return address;
  throw new TypeError(
    `${service}: the option ${option} must be an e-mail address, such as "Vast.ai <alerts@example.org>"`,
  );
}

/** The domain of an address, in ASCII. Source: RFC 5322, 3.6.4. */
function domainOf(address: string): string {
  const [, domain = ''] = /@([^\s<>@"(),:;\\[\]]+)>?\s*$/u.exec(address) ?? [];
  const url = `http://${domain}`;
  if (URL.canParse(url)) return new URL(url).hostname;
  throw new TypeError(
    `${service}: the option from must end with an e-mail address, such as "Vast.ai <alerts@example.org>"`,
  );
}

// No server cuts a text of this length, and a subject is folded into lines.
const maxSubject = 250;
const maxText = 100_000;

function messageOf({ subject, happened, message, url, details }: ChatParts): EmailMessage {
  return { subject, text: [happened, cut(message, maxText), url, details].filter(Boolean).join('\n\n') };
}

/** Strings only, because nodemailer opens a `{path}` or `{href}`, and a field of the event may be one. */
function textsOf(message: string | EmailMessage, parts: ChatParts): EmailMessage {
  const { subject, text, html } = typeof message === 'string' ? { ...parts, text: message, html: undefined } : message;
  return {
    subject: headerOf(shown(subject)) || headerOf(parts.subject),
    text: shown(text),
    ...(html !== undefined && { html: shown(html) }),
  };
}

/** One line, in which no encoded word of RFC 2047 (`=?UTF-8?Q?...?=`) is decoded. */
function headerOf(text: string): string {
  return cut(oneLine(text.replace(/\p{Cc}/gu, ' ').replaceAll('=?', '=\u200B?')), maxSubject);
}

/** Sends, and turns every failure into a `SinkError` without addresses and texts. */
async function send(
  start: (signal: AbortSignal) => Promise<unknown>,
  { signal, deadlineAt }: SinkContext,
  givenMs: number | undefined,
): Promise<unknown> {
  const timeoutMs = givenMs ?? timeFor(deadlineAt);
  const abort = new AbortController();
  const stop = () => abort.abort();
  const timer = unrefTimeout(stop, timeoutMs);
  signal.addEventListener('abort', stop);
  try {
    if (signal.aborted) throw new SinkError(`${service} was not sent: aborted`);
    return await beforeAbort(Promise.resolve(start(abort.signal)), abort.signal);
  } catch (error) {
    if (error instanceof SinkError) throw error;
    if (!abort.signal.aborted) throw failureOf(error);
    throw new SinkError(
      `${service} could not be sent: ${signal.aborted ? 'aborted' : `no answer within ${timeoutMs} ms`}`,
    );
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

interface MailFailure {
  /** The mail server's reply. */
  readonly responseCode?: unknown;
  /** nodemailer's word, such as ECONNECTION. */
  readonly code?: unknown;
  /** When all recipients were refused: one failure for each. */
  readonly rejectedErrors?: unknown;
}

/** Without a reply of the mail server, these say that the message or the set-up is wrong. */
const permanentCodes: readonly unknown[] = ['EENVELOPE', 'EMESSAGE', 'ECONFIG', 'EMAXRECIPIENTS'];

function failureOf(thrown: unknown): SinkError {
  const error = toError(thrown) as Error & MailFailure;
  // One recipient whose reply is temporary, as with greylisting, is worth a retry.
  const all = Array.isArray(error.rejectedErrors) ? [error, ...error.rejectedErrors] : [error];
  const replies = all.map(({ responseCode }: MailFailure) => responseCode).filter(isReply);
  const reply = replies.find((each) => each < 500) ?? replies[0];
  const word = typeof error.code === 'string' && /^[A-Z_\d]{1,40}$/.test(error.code) ? error.code : 'unknown error';
  if (reply === undefined) {
    return new SinkError(`${service} could not be sent: ${word}`, { permanent: permanentCodes.includes(error.code) });
  }
  return new SinkError(`${service}: the mail server answered ${reply} (${word})`, { permanent: reply >= 500 });
}

function isReply(code: unknown): code is number {
  return typeof code === 'number' && code >= 400 && code < 600;
}

/** How many recipients were refused of a mail that was taken. Throws if it was taken for nobody, as in LMTP. */
function recipientsIn(result: unknown): { refused: number; all: number } {
  const { accepted, rejected, rejectedErrors } = Object(result) as Record<string, unknown>;
  if (!Array.isArray(accepted) || !Array.isArray(rejected)) return { refused: 0, all: 0 };
  const all = accepted.length + rejected.length;
  if (accepted.length > 0 || all === 0) return { refused: rejected.length, all };
  throw failureOf(Object.assign(new Error('refused'), { code: 'EENVELOPE', rejectedErrors }));
}
