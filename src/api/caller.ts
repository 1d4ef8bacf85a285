import { Buffer } from 'node:buffer';
import { aFunction, type Check, checkOptions, milliseconds } from '../util/check-options.js';
import { dateOf, fetchErrorCode, retryAfterMs } from '../util/http.js';
import { ApiError } from './api-error.js';
import { isHtml, reasonOf } from './error-answer.js';
import { isFields, parseJson } from './read.js';
import { redactor } from './redact.js';
import { isTransient, maxAttempts, pause, waitMs } from './retry.js';

/** Options of every management client. */
export interface ApiOptions {
  /** The API key from the service's console. */
  readonly apiKey: string;
  /** Replaces the service's own URL, for a proxy or a test server. https, or http on loopback. */
  readonly baseUrl?: string;
  /** Replaces the global `fetch`, for a proxy or an agent of your own. */
  readonly fetch?: typeof fetch;
  /** After how many milliseconds an attempt fails, reading the answer included. Default: 10,000. */
  readonly timeoutMs?: number;
}

/** Options of every call: its last argument. */
export interface CallOptions {
  /** Aborts the call and its retries. The call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface Service {
  /** Name of the service in messages. */
  readonly name: string;
  readonly baseUrl: string;
  /** The version that most paths have, if `baseUrl` ends in one. A base without a version gets it. */
  readonly version?: string;
  /** The header with the key. */
  authorize(apiKey: string): Readonly<Record<string, string>>;
}

interface Request extends CallOptions {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /**
   * Which failures are retried. By default temporary ones, but none of a POST, because every other method is idempotent
   * here. `refused`: only 429, for calls whose late repeat would undo a newer one.
   */
  readonly retries?: 'temporary' | 'refused' | 'none';
  /** Relative to the base URL. */
  readonly path: string;
  /** Another version of the API, in place of the base URL's: `v1`. */
  readonly version?: string;
  readonly body?: object;
}

/**
 * Makes a call and reads its answer. `read` returns undefined for an answer in an undocumented form. An empty answer is
 * read as an object without fields. `date` is when the service answered, by its clock, in Unix seconds. Rejects with an
 * `ApiError`, or with the signal's reason.
 */
export type Call = <Result>(
  request: Request,
  read: (answer: unknown, date: number | undefined) => NonNullable<Result> | undefined,
) => Promise<Result>;

/** Result of one attempt. */
interface Answer {
  /** 0 if there is no answer. */
  readonly status: number;
  readonly contentType: string;
  readonly retryAfter: string | null;
  /** The service's clock, in Unix seconds. */
  readonly date?: number;
  /** Undefined if it was too long. */
  readonly body: string | undefined;
  /** The reason, if there is no answer. */
  readonly failure?: Failure;
}

interface Failure {
  readonly code: 'timeout' | 'unreachable';
  readonly text: string;
  /** Whether the request certainly did not reach the service. */
  readonly wasNotSent: boolean;
}

const maxBodyBytes = 1_048_576;

/** The last segment of a path, not a host. */
const versionSegment = /(?<=[^/])\/v\d+$/;

const doubt = 'The call may have taken effect: check before you repeat it';

const optionChecks: Readonly<Record<keyof ApiOptions, Check>> = {
  // For any other value, `fetch` would throw an error that quotes the header with the key.
  apiKey: [
    (value) => typeof value === 'string' && /^[\x21-\x7e]+$/.test(value),
    'the key as the service shows it, of printable ASCII without white space: is the environment variable set?',
  ],
  baseUrl: [
    isBaseUrl,
    'an https:// address (http:// on loopback only, because requests carry the key) without a user name, query or fragment',
  ],
  fetch: aFunction,
  timeoutMs: milliseconds,
};

/** Throws a `TypeError` for invalid options. */
export function caller(service: Service, options: ApiOptions): Call {
  checkOptions(options, optionChecks);
  if (options.apiKey === undefined) throw new TypeError(`the option apiKey must be ${optionChecks.apiKey[1]}`);
  const { apiKey, baseUrl = service.baseUrl, fetch: send, timeoutMs = 10_000 } = options;
  const base = baseUrl.replace(/\/$/, '');
  const hasVersion = service.version === undefined || versionSegment.test(base);
  const root = hasVersion ? base.replace(versionSegment, '') : base;
  const ownBase = hasVersion ? base : `${root}/${service.version}`;
  const redact = redactor(apiKey);

  return async function call(request, read) {
    for (let attempts = 1; ; attempts++) {
      const answer = await attempt(request);
      const isLast = attempts === maxAttempts || !isRetried(request, answer.status);
      if (isLast) return judge(request, answer, read);
      await pause(waitMs(attempts, answer.retryAfter), request.signal);
    }
  };

  async function attempt({ method, path, version, body, signal }: Request): Promise<Answer> {
    signal?.throwIfAborted();
    const abort = new AbortController();
    const stop = () => abort.abort();
    const timer = setTimeout(stop, timeoutMs);
    signal?.addEventListener('abort', stop);
    try {
      const response = await (send ?? fetch)((version === undefined ? ownBase : `${root}/${version}`) + path, {
        method,
        headers: {
          Accept: 'application/json',
          ...(body && { 'Content-Type': 'application/json' }),
          ...service.authorize(apiKey),
        },
        body: body && JSON.stringify(body),
        redirect: 'manual',
        signal: abort.signal,
      });
      const { status, headers } = response;
      const contentType = headers.get('content-type') ?? '';
      const date = dateOf(headers.get('date') ?? '') / 1000;
      return {
        status,
        contentType,
        retryAfter: headers.get('retry-after'),
        ...(date >= 0 && { date }),
        body: await textOf(response),
      };
    } catch (error) {
      signal?.throwIfAborted();
      const late = { code: 'timeout', text: `gave no answer within ${timeoutMs} ms`, wasNotSent: false } as const;
      const failure = abort.signal.aborted ? late : failureOf(error);
      return { status: 0, contentType: '', retryAfter: null, body: '', failure };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  function judge<Result>(
    request: Request,
    { status, contentType, retryAfter, date, body, failure }: Answer,
    read: (answer: unknown, date: number | undefined) => NonNullable<Result> | undefined,
  ): Result {
    const isOnce = retriesOf(request) !== 'temporary';
    if (failure) {
      const inDoubt = isOnce && !failure.wasNotSent;
      const message = sentences(`${service.name} ${redact(failure.text)}`, inDoubt && doubt);
      throw new ApiError(message, { status, code: failure.code, inDoubt });
    }
    const answered = `${service.name} answered ${status}`;
    const json = body === '' ? {} : parseJson(body ?? '');
    if (status >= 200 && status < 300 && !(isFields(json) && json.success === false)) {
      const result = json === undefined ? undefined : read(json, date);
      if (result !== undefined) return result;
      const message = sentences(`${answered} ${oddity(contentType, body)}`, 'Is baseUrl right?', isOnce && doubt);
      throw new ApiError(message, { status, code: 'invalid_answer', inDoubt: isOnce });
    }
    const { code = `http_${status}`, text, ...more } = reasonOf(contentType, body ?? '', redact);
    const said = text === undefined ? answered : `${answered}: ${text}`;
    const inDoubt = isOnce && status >= 500;
    throw new ApiError(sentences(said, hintFor(status), inDoubt && doubt), {
      status,
      code,
      inDoubt,
      retryAfterMs: retryAfterMs(retryAfter),
      ...more,
    });
  }
}

function retriesOf({ method, retries }: Request): NonNullable<Request['retries']> {
  return retries ?? (method === 'POST' ? 'none' : 'temporary');
}

function isRetried(request: Request, status: number): boolean {
  const retries = retriesOf(request);
  return retries === 'refused' ? status === 429 : retries === 'temporary' && isTransient(status);
}

function isBaseUrl(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false;
  const { protocol, hostname, username, password, search, hash } = new URL(value);
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
  const isSafe = protocol === 'https:' || (protocol === 'http:' && isLoopback);
  return isSafe && !username && !password && !search && !hash;
}

/** The body's text. Undefined if it is longer than `maxBodyBytes`. */
async function textOf(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the rest.
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** Codes of failures before a request could have left. */
const notSent = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT|fetch refuses this port)$/;

function failureOf(error: unknown): Failure {
  const code = fetchErrorCode(error);
  return { code: 'unreachable', text: `could not be reached: ${code}`, wasNotSent: notSent.test(code) };
}

function oddity(contentType: string, body: string | undefined): string {
  if (body === undefined) return `with more than ${maxBodyBytes} bytes`;
  return isHtml(contentType, body) ? 'with an HTML page' : 'in an undocumented form';
}

function hintFor(status: number): string | undefined {
  if (status === 401) return 'The key may be wrong, or lack a scope that this call needs';
  if (status === 429) return 'Wait a few seconds before you try again';
  if (status >= 300 && status < 400) return 'Redirects are not followed: is baseUrl right?';
  return undefined;
}

function sentences(...parts: readonly (string | false | undefined)[]): string {
  return parts
    .filter((part) => typeof part === 'string')
    .map((part) => part.replace(/[^.?!…]$/, '$&.'))
    .join(' ');
}
