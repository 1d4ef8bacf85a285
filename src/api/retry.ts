import { exponential } from '../util/backoff.js';
import { retryAfterMs } from '../util/http.js';

/** Maximum number of attempts for a call that is safe to repeat. */
export const maxAttempts = 4;

const firstWaitMs = 1_000;
const longestWaitMs = 10_000;

/** Whether a retry may help: no answer (0), too many requests, or a gateway error. */
export function isTransient(status: number): boolean {
  return status === 0 || status === 429 || (status >= 502 && status <= 504);
}

/**
 * How long to wait after so many failed attempts, in milliseconds. The wait doubles each time. Half of it is random,
 * so that clients do not all retry at once. A longer `Retry-After` is respected up to 10 seconds.
 */
export function waitMs(failures: number, retryAfter: string | null): number {
  const longest = exponential(failures, firstWaitMs, longestWaitMs);
  const own = longest / 2 + (Math.random() * longest) / 2;
  return Math.min(longestWaitMs, Math.ceil(Math.max(own, retryAfterMs(retryAfter) ?? 0)));
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
