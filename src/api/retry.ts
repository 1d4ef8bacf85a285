/** How often a call that is safe to repeat is made at most. */
export const maxAttempts = 4;

const firstWaitMs = 1_000;
const longestWaitMs = 10_000;

/** Whether another attempt may fare better: none was answered (0), too many requests, or a gateway's trouble. */
export function isTransient(status: number): boolean {
  return status === 0 || status === 429 || (status >= 502 && status <= 504);
}

/**
 * How long to wait after so many failed attempts, in milliseconds: twice as long each time, of which half is chance,
 * so that clients do not come back all at once. A longer `Retry-After` is honoured up to 10 seconds.
 */
export function waitMs(failures: number, retryAfter: string | null): number {
  const most = firstWaitMs * 2 ** (failures - 1);
  const own = most / 2 + (Math.random() * most) / 2;
  return Math.min(longestWaitMs, Math.ceil(Math.max(own, askedMs(retryAfter))));
}

/** RFC 9110, 10.2.3: seconds or a date. `Date.parse` takes much more for a date than HTTP has. */
function askedMs(retryAfter: string | null): number {
  if (retryAfter === null) return 0;
  const ms = retryAfter.endsWith(' GMT') ? Date.parse(retryAfter) - Date.now() : Number(retryAfter) * 1_000;
  return Number.isNaN(ms) ? 0 : ms;
}

/** Resolves after the time, or rejects with the signal's reason. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
  });
}
