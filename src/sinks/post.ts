import { SinkError } from '../contracts/errors.js';
import { type SinkContext, sinkName } from '../contracts/sink.js';
import { aFunction, milliseconds } from '../util/check-options.js';
import { fetchErrorCode, isPermanent, retryAfterMs } from '../util/http.js';
import { unrefTimeout } from '../util/timer.js';

/** Options of every sink that delivers over HTTP. */
export interface HttpSinkOptions {
  /** Names the sink in the store and in outcomes. Two sinks of the same kind need two names. */
  readonly name?: string;
  /** Replaces the global `fetch`, for a proxy or an agent of your own. */
  readonly fetch?: typeof fetch;
  /**
   * After how many milliseconds a request counts as failed. Default: 2 seconds after the delivery's deadline, because
   * the sender gives up then. Without a deadline, as behind an outbox: 30,000.
   */
  readonly timeoutMs?: number;
}

/** Checks of these options, for `checkOptions`. */
export const httpSinkChecks = { name: sinkName, fetch: aFunction, timeoutMs: milliseconds } as const;

/** How to read the answers of one service, if they are JSON objects. */
export interface AnswerReader {
  /** The service's own word for a refusal. Default: `error.status`, as at Google. */
  reasonIn?(answer: Answer): unknown;
  /** Whether an answer with a 2xx is a refusal. Without this, the body of a 2xx is not read. */
  isRefusal?(answer: Answer, text: string, status: number): boolean;
  /** The status that a refusal names in its text. Without one, a refusal with a 2xx is permanent. */
  statusIn?(text: string): number | undefined;
  /** How many seconds the service asks us to wait. The longer of this and `Retry-After` counts. */
  retryAfterSecondsIn?(answer: Answer, response: Pick<Response, 'status' | 'headers'>): unknown;
  /** Whether a retry is pointless, where the service differs from the usual meaning of the status. */
  isPermanent?(status: number, answer: Answer): boolean | undefined;
  /** The body to post at once in place of a refused one, such as to a chat's new id. It is asked once per message. */
  insteadOf?(body: string, answer: Answer): string | undefined;
  /** The least wait before a retry, after a 5xx or when the service cannot be reached. */
  readonly minRetryMs?: number;
  /** Secrets that are not in the URL or a header. No error quotes a word that is a part of one. */
  readonly secrets?: readonly string[];
}

/** An answer's JSON, or an empty object. */
export type Answer = Readonly<Record<string, unknown>>;

/** Refusals with a 2xx: Slack's `ok: false`, Rocket.Chat's `success: false`. */
export function saysNo({ ok, success }: Answer): boolean {
  return ok === false || success === false;
}

/** How a request differs from a POST of JSON to the sink's URL. */
export interface RequestOptions {
  /** The method. Default: POST. */
  readonly method?: 'POST' | 'PUT';
  /** The URL of this request. */
  readonly url?: string;
  /** Added to the headers. They may replace `Content-Type: application/json`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends a body. */
export type Post = (
  body: string,
  context: Pick<SinkContext, 'signal' | 'deadlineAt'>,
  request?: RequestOptions,
) => Promise<void>;

/** As long as possible, because an aborted request may have been accepted, and the retry is then a duplicate. */
export function timeFor(deadlineAt: number | undefined): number {
  if (deadlineAt === undefined) return 30_000;
  return Math.round(Math.max(5_000, deadlineAt - performance.now() + 2_000));
}

/** A year, because no queue takes a time without an end. */
const longestWaitMs = 366 * 24 * 60 * 60_000;
/** The longest answer that is read, in characters. */
const maxAnswerLength = 2_048;
/** How long to wait for the body of a 2xx. A body that cannot be read by then is no refusal. */
const maxBodyWaitMs = 1_000;

/**
 * Makes a function that posts JSON to a webhook's URL. It throws a `SinkError` that never has the URL, because that is
 * a secret. 2xx is success. 408, 425, 429 and 5xx can be retried. Redirects are not followed.
 * Throws a `TypeError` for an invalid URL or option.
 */
export function poster(
  service: string,
  url: string,
  { fetch: send, timeoutMs: givenMs }: HttpSinkOptions,
  reader: AnswerReader = {},
): Post {
  const target = checkUrl(service, url);
  return async function post(body, { signal, deadlineAt }, request = {}) {
    const timeoutMs = givenMs ?? timeFor(deadlineAt);
    const abort = new AbortController();
    const stop = () => abort.abort();
    const timer = unrefTimeout(stop, timeoutMs);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const errorOf = (response: Response, text: string) => refused(service, response, text, reader, [target, request]);
    const ask = (content: string) =>
      beforeAbort(
        (send ?? fetch)(request.url ?? target, {
          method: request.method ?? 'POST',
          headers: { 'Content-Type': 'application/json; charset=utf-8', ...request.headers },
          body: content,
          redirect: 'manual',
          signal: abort.signal,
        }),
        abort.signal,
      );
    let response: Response;
    try {
      response = await ask(body);
      if (!response.ok) {
        const text = await textOf(response, abort.signal);
        const other = reader.insteadOf?.(body, answerIn(text));
        if (other === undefined) throw errorOf(response, text);
        response = await ask(other);
        if (!response.ok) throw errorOf(response, await textOf(response, abort.signal));
      }
    } catch (error) {
      if (error instanceof SinkError) throw error;
      const why = abort.signal.aborted && !signal.aborted ? `no answer within ${timeoutMs} ms` : fetchErrorCode(error);
      // The error is not the cause of ours, because its text or its own cause may have the URL.
      throw new SinkError(`${service} could not be reached: ${why}`, { retryAfterMs: reader.minRetryMs });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
    // The service has the message. From here on, only a readable refusal is a failure.
    const text = reader.isRefusal === undefined ? '' : await textOf(response, AbortSignal.timeout(maxBodyWaitMs));
    discard(response, stop);
    if (reader.isRefusal?.(answerIn(text), text, response.status)) throw errorOf(response, text);
  };
}

/** Rejects when the signal is aborted, because not every `fetch` does. */
export function beforeAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** Discards the rest of an answer, so that it does not keep its connection open. */
function discard(response: Response, abort: () => void): void {
  try {
    const stream = response.body as { cancel?(): Promise<void>; on?(event: string, listener: () => void): void } | null;
    // node-fetch and cross-fetch return a Node.js stream, which emits an error when its request is aborted.
    stream?.on?.('error', () => {});
    // Rejects if the body was read.
    stream?.cancel?.().catch(() => {});
    abort();
  } catch {
    // Another kind of body. It does not matter, because the message has arrived.
  }
}

/** A form as a body, and its header. */
export function formOf(fields: Readonly<Record<string, string>>): RequestOptions & { readonly body: string } {
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' };
  return { body: new URLSearchParams(fields).toString(), headers };
}

/** Checks a token or key that a URL or a header carries. Throws a `TypeError` without it, because it is a secret. */
export function checkSecret(service: string, option: string, value: unknown, pattern = /^[!-~]+$/): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw new TypeError(
    `${service}: the option ${option} must be what the service gave you, without spaces: is the environment variable set?`,
  );
}

function checkUrl(service: string, url: unknown): string {
  const isUrl = typeof url === 'string' && URL.canParse(url);
  const { protocol, username, password } = new URL(isUrl ? url : 'x:');
  if (!['https:', 'http:'].includes(protocol) || username || password) {
    throw new TypeError(
      `${service}: the webhook's URL must be an https:// address without a user name: is the environment variable set?`,
    );
  }
  return url as string;
}

/** The error for a refusal. With a 2xx it is permanent, unless the text names another status. */
function refused(
  service: string,
  response: Response,
  text: string,
  reader: AnswerReader,
  [target, { url, headers }]: readonly [target: string, request: RequestOptions],
): SinkError {
  const { status, ok } = response;
  const answer = answerIn(text);
  const named = ok ? reader.statusIn?.(text) : undefined;
  const { 'Content-Type': _, ...credentials } = headers ?? {};
  const sent = [target, url ?? '', ...Object.values(credentials)];
  const secrets = [...sent, ...partsOf(sent), ...(reader.secrets ?? [])];
  const reason = named === undefined ? reasonIn(text, reader, secrets) : `error ${named} in its text`;
  const seconds = reader.retryAfterSecondsIn?.(answer, { status: named ?? status, headers: response.headers });
  // Wait for the longer of the two.
  const waits = [
    retryAfterMs(response.headers.get('retry-after')),
    typeof seconds === 'number' ? seconds * 1000 : undefined,
    (named ?? status) >= 500 ? reader.minRetryMs : undefined,
  ];
  const known = waits.filter((ms) => ms !== undefined && Number.isFinite(ms)) as number[];
  const permanent = reader.isPermanent?.(named ?? status, answer);
  return new SinkError(`${service} answered ${status}${reason && ` (${reason})`}`, {
    status: named ?? status,
    permanent: permanent ?? (named === undefined ? ok || isPermanent(status) : isPermanent(named)),
    retryAfterMs: known.length > 0 ? Math.ceil(Math.min(longestWaitMs, Math.max(0, ...known))) : undefined,
  });
}

/**
 * The service's own word for the error, such as Slack's `no_service` and Google's `{error: {status: 'NOT_FOUND'}}`.
 * Only a single word is quoted that is in no secret, because an error page may repeat the URL.
 */
function reasonIn(
  text: string,
  { reasonIn = ({ error }) => Object(error).status }: AnswerReader,
  secrets: readonly string[],
): string {
  const reason = text.startsWith('{') ? reasonIn(answerIn(text)) : text;
  if (typeof reason !== 'string' || !/^[a-z_]{1,64}$/i.test(reason)) return '';
  // A part of a sentence that repeats a secret may be a part of the secret.
  const repeats = (secret: string) => secret !== '' && (secret.includes(reason) || text.includes(secret));
  return secrets.some(repeats) ? '' : reason;
}

/** Parts of URLs and headers that are long enough to be a secret. */
function partsOf(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split(/[\s/?&=]+/)).filter((part) => part.length >= 8);
}

/**
 * A service's sentence as one word, for `reasonIn`: `Bad_Request_chat_not_found`. It ends before the first word that has
 * anything but letters, because that may be a secret.
 */
export function asOneWord(sentence: unknown): string {
  const words = typeof sentence === 'string' ? sentence.trim().split(/\s+/) : [];
  const end = words.findIndex((word) => !/^[a-z]+[.,:;!]?$/i.test(word));
  return (end === -1 ? words : words.slice(0, end))
    .map((word) => word.replace(/[^a-z]$/i, ''))
    .join('_')
    .slice(0, 64);
}

/**
 * What a function of the user made of an event. Throws a permanent `SinkError` for nothing and for a promise, because
 * both would arrive as an empty message.
 */
export function checkMessage<Message>(service: string, made: string, message: Message): Message {
  const isObject = typeof message === 'object' && message !== null && !Array.isArray(message) && !('then' in message);
  if (isObject || (typeof message === 'string' && message !== '')) return message;
  throw new SinkError(`${service}: ${made} must return a text or a message, and no promise`, { permanent: true });
}

/** An answer's text. Empty if it is too long, cannot be read or does not end in time. */
async function textOf(response: Response, signal: AbortSignal): Promise<string> {
  let text = '';
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > maxAnswerLength) return '';
    }
    return text;
  };
  return beforeAbort(read(), signal).catch(() => '');
}

/** The answer's JSON as an object. Empty if it is no JSON. */
function answerIn(text: string): Answer {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
