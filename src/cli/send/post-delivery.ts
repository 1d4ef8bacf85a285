import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { sign } from 'vast-webhook';
import { answerTo } from '../shared/answer.js';
import { UsageError } from '../shared/errors.js';

/** Throws a `UsageError` for what deliveries cannot be sent to. */
export function targetOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError('--url must be an http:// or https:// address');
  }
  return url;
}

/** The address without what may be secret in it. */
export function nameOf({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}

export interface Signing {
  readonly secret: string;
  /** How old the delivery says it is, in seconds. */
  readonly ageSeconds?: number;
  /** Which attempt it says it is. */
  readonly attempt?: number;
}

/** How one delivery was answered. */
export interface Answered {
  /** 0 when there was no answer. */
  readonly status: number;
  /** Why there was none: a code such as ECONNREFUSED. */
  readonly error?: string;
  /** The beginning of the body. */
  readonly body: string;
  readonly ms: number;
}

/** When a run must end, on the clock of `performance.now()`. */
export function deadlineIn(seconds = Number.POSITIVE_INFINITY): number {
  return performance.now() + seconds * 1_000;
}

export interface Sender {
  /** Does not reject. */
  send(body: string | Buffer, eventId: string | undefined): Promise<Answered>;
  close(): void;
}

/** As long as Vast.ai waits, from the connection to the end of the answer. */
const timeoutMs = 10_000;
const maxBodyLength = 2_000;

/** How long answers are waited for after an interruption. */
const graceMs = 1_000;

/**
 * Signs deliveries and sends them over kept connections, `connections` at once. Redirects are not followed. Soon after
 * an interruption nothing is waited for any more, and at `deadlineAt` (of `performance.now()`) at once.
 */
export function sender(
  url: URL,
  connections: number,
  signing: Signing,
  interrupted: AbortSignal,
  deadlineAt = Number.POSITIVE_INFINITY,
): Sender {
  const isHttps = url.protocol === 'https:';
  const agent = new (isHttps ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: connections });
  const request = isHttps ? httpsRequest : httpRequest;
  const { protocol, hostname, port, pathname, search } = url;
  const target = {
    agent,
    method: 'POST',
    protocol,
    // As it stands in a URL, an IPv6 address is in brackets.
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port,
    path: pathname + search,
  };
  const underWay = new Set<(why: string) => void>();
  const giveUp = () => {
    for (const cut of underWay) cut('interrupted');
  };
  const giveUpSoon = () => void setTimeout(giveUp, graceMs).unref();
  interrupted.addEventListener('abort', giveUpSoon);
  return {
    async send(body, eventId) {
      const headers = signedHeaders(body, eventId, signing);
      const startedAt = performance.now();
      const req = request({ ...target, headers });
      let whyCut: string | undefined;
      const cut = (why: string) => {
        whyCut = why;
        req.destroy(new Error(why));
      };
      let timer: NodeJS.Timeout | undefined;
      // A socket's own timeout would begin anew with each byte.
      req.once('socket', () => {
        const leftMs = deadlineAt - performance.now();
        timer = setTimeout(cut, Math.min(timeoutMs, leftMs), leftMs < timeoutMs ? pastDeadline : 'ETIMEDOUT');
      });
      underWay.add(cut);
      const { status, error, body: text } = await answerTo(req, body, maxBodyLength);
      clearTimeout(timer);
      underWay.delete(cut);
      const ms = performance.now() - startedAt;
      return whyCut === undefined ? { status, error, body: text, ms } : { status: 0, error: whyCut, body: '', ms };
    },
    close() {
      interrupted.removeEventListener('abort', giveUpSoon);
      agent.destroy();
    },
  };
}

function signedHeaders(body: string | Buffer, eventId: string | undefined, signing: Signing): Record<string, string> {
  const { secret, ageSeconds = 0, attempt = 1 } = signing;
  const timestamp = Math.floor(Date.now() / 1000) - ageSeconds;
  return {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    'User-Agent': 'vast-webhook',
    'X-Vast-Signature-256': sign(body, secret, timestamp),
    'X-Vast-Timestamp': String(timestamp),
    'X-Vast-Delivery-Attempt': String(attempt),
    // A header holds no more than this, and it is not signed anyway.
    ...(eventId !== undefined && /^[\x21-\x7e]{1,255}$/.test(eventId) && { 'X-Vast-Event-Id': eventId }),
  };
}

const pastDeadline = 'past_deadline';

export function isAccepted({ status }: Answered): boolean {
  return status >= 200 && status <= 299;
}

/** Whether another delivery of the event is being processed. */
export function isInFlight({ status, body }: Answered): boolean {
  return status === 503 && body.includes('"in_flight"');
}

/** `204`, or the reason why there was no answer. */
export function statusOf({ status, error }: Answered): string {
  return status === 0 ? (error ?? 'no answer') : String(status);
}

/** What the person who sent it has to do, as the end of a sentence. */
export function adviceFor({ status, error }: Answered, url: URL): string {
  if (status === 0) {
    if (error === 'ETIMEDOUT') return `no answer from ${nameOf(url)} within ${timeoutMs / 1000} s`;
    if (error === pastDeadline) return `no answer from ${nameOf(url)} before --deadline`;
    const how = error === 'ECONNREFUSED' ? 'start the receiver, or give another address with --url' : 'check --url';
    return `${nameOf(url)} could not be reached (${error}): ${how}`;
  }
  if (status === 401) return 'the answer was 401: the receiver has another secret, or the time is out of its window';
  if (status === 404) return 'the answer was 404: give the address of the endpoint, with its path, as --url';
  if (status >= 300 && status <= 399)
    return `the answer was ${status}: Vast.ai does not follow redirects, so give the final address`;
  return `the answer was ${status}: the receiver's log says why`;
}
