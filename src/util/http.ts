/** A `Retry-After` header in milliseconds (RFC 9110, 10.2.3: seconds or a date). Undefined if it is neither. */
export function retryAfterMs(value: string | null): number | undefined {
  if (value === null || value.trim() === '') return undefined;
  const ms = Number.isNaN(Number(value)) ? dateOf(value) - Date.now() : Number(value) * 1_000;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** A date of a header, in Unix milliseconds. `Date.parse` accepts many more forms than HTTP allows: `0` for 2000. */
export function dateOf(value: string): number {
  return value.endsWith(' GMT') ? Date.parse(value) : Number.NaN;
}

/**
 * Whether a service's answer is final for us, because a retry would get the same one. We follow no redirect. 425 asks
 * for a retry (RFC 8470, 5.2).
 */
export function isPermanent(status: number): boolean {
  return status >= 300 && status < 500 && status !== 408 && status !== 425 && status !== 429;
}

/** What `fetch` says where it has no code. No other text is quoted, because it may have a URL or a header. */
const failuresWithoutCode: Readonly<Record<string, string>> = {
  'bad port': 'fetch refuses this port',
  'redirect count exceeded': 'too many redirects',
  'unexpected redirect': 'unexpected redirect',
  'unknown scheme': 'unknown scheme',
};

/** How deep causes are looked into. One may be its own. */
const maxCauses = 4;

/**
 * Why `fetch` failed: the first code in the error and its causes, or else the error's name. Texts stay out, because they
 * may quote a URL or a header.
 */
export function fetchErrorCode(error: unknown): string {
  const { name } = Object(error) as { name?: unknown };
  let inner = error;
  for (let i = 0; i < maxCauses; i++) {
    const { code, cause, message } = Object(inner) as { code?: unknown; cause?: unknown; message?: unknown };
    if (isWord(code)) return code;
    const text = String(message);
    if (Object.hasOwn(failuresWithoutCode, text)) return failuresWithoutCode[text] as string;
    inner = cause;
  }
  return isWord(name) ? name : 'unknown error';
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^\w{1,64}$/.test(value);
}
