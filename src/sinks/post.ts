import { isPermanent } from '../answer.js';
import { SinkError } from '../errors.js';

/** What every sink that speaks HTTP takes. */
export interface HttpSinkOptions {
  /** Names the sink in the store and in outcomes. Two of a kind need two names. */
  readonly name?: string;
  /** Used in place of the global `fetch`, for a proxy or an agent of your own. */
  readonly fetch?: typeof fetch;
  /** After how many milliseconds a request counts as failed: 5,000. */
  readonly timeoutMs?: number;
}

/** How much of an error's body is read to find out its reason. */
const maxReasonBytes = 2_048;

/**
 * Makes a function that posts JSON to a webhook's URL. It throws a `SinkError`, which never holds the URL: that is
 * a secret. 2xx is success; 408, 429 and 5xx can be tried again; redirects are not followed.
 * Throws a `TypeError` for a URL or an option that nobody can have meant.
 */
export function poster(
  service: string,
  url: string,
  { fetch: send, timeoutMs = 5_000 }: HttpSinkOptions,
): (body: string, signal: AbortSignal) => Promise<void> {
  const target = checkUrl(service, url);
  if (send !== undefined && typeof send !== 'function') throw new TypeError(`${service}: fetch must be a function`);
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2 ** 31 - 1) {
    throw new TypeError(`${service}: timeoutMs must be a whole number of milliseconds`);
  }
  return async function post(body, signal) {
    const abort = new AbortController();
    const stop = () => abort.abort();
    const timer = setTimeout(stop, timeoutMs);
    timer.unref();
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    try {
      const response = await (send ?? fetch)(target, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json; charset=utf-8' },
        body,
        redirect: 'manual',
        signal: abort.signal,
      });
      if (!response.ok) throw refused(service, response, await reasonOf(response));
      // The status says all, so that a body which never ends is not waited for.
      response.body?.cancel().catch(() => {});
    } catch (error) {
      if (error instanceof SinkError) throw error;
      const why = abort.signal.aborted && !signal.aborted ? `no answer within ${timeoutMs} ms` : codeOf(error);
      // The error itself stays out, since its text or its cause may hold the URL.
      throw new SinkError(`${service} could not be reached: ${why}`);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  };
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

function refused(service: string, { status, headers }: Response, reason: string): SinkError {
  return new SinkError(`${service} answered ${status}${reason && ` (${reason})`}`, {
    status,
    permanent: isPermanent(status),
    retryAfterMs: retryAfterMs(headers.get('retry-after')),
  });
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterMs(value: string | null): number | undefined {
  if (value === null || value.trim() === '') return undefined;
  const ms = Number.isFinite(Number(value)) ? Number(value) * 1000 : dateOf(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** `Date.parse` takes much more for a date than HTTP has. */
function dateOf(value: string): number {
  return value.endsWith(' GMT') ? Date.parse(value) : Number.NaN;
}

/**
 * The error's own word for itself, as Slack (`no_service`) and Google (`{error: {status: 'NOT_FOUND'}}`) give it.
 * Nothing but such a word: an error page may repeat the URL.
 */
async function reasonOf(response: Response): Promise<string> {
  let text = '';
  try {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > maxReasonBytes) return '';
    }
    if (text.startsWith('{')) text = String(JSON.parse(text).error?.status ?? '');
  } catch {
    return '';
  }
  return /^[a-z_]{1,64}$/i.test(text) ? text : '';
}

function codeOf(error: unknown): string {
  const { cause, name } = Object(error) as { cause?: { code?: unknown }; name?: unknown };
  return String(cause?.code ?? name ?? 'unknown error');
}
