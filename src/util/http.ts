/** A `Retry-After` header in milliseconds (RFC 9110, 10.2.3: seconds or a date). Undefined if it is neither. */
export function retryAfterMs(value: string | null): number | undefined {
  if (value === null || value.trim() === '') return undefined;
  const ms = Number.isNaN(Number(value)) ? dateOf(value) - Date.now() : Number(value) * 1_000;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** `Date.parse` accepts many more forms than HTTP allows. */
function dateOf(value: string): number {
  return value.endsWith(' GMT') ? Date.parse(value) : Number.NaN;
}

/**
 * Whether a service's answer is final for us, because a retry would get the same one. We follow no redirect. 425 asks
 * for a retry (RFC 8470, 5.2).
 */
export function isPermanent(status: number): boolean {
  return status >= 300 && status < 500 && status !== 408 && status !== 425 && status !== 429;
}

/** The code of an error that `fetch` threw. Its text and its cause stay out, because they may quote a URL or a header. */
export function fetchErrorCode(error: unknown): string {
  const { cause, name } = Object(error) as { cause?: { code?: unknown }; name?: unknown };
  const word = cause?.code ?? name;
  return typeof word === 'string' && /^\w{1,64}$/.test(word) ? word : 'unknown error';
}
