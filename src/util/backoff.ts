/** How long to wait before the next attempt, and when to give up. In milliseconds. */
export interface Backoff {
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly giveUpAfterMs: number;
  readonly giveUpOnPermanent: boolean;
}

/** The longest wait after this many failures: it doubles from `minMs` to `maxMs`. */
export function exponential(failures: number, minMs: number, maxMs: number): number {
  return Math.min(maxMs, minMs * 2 ** (failures - 1));
}

/**
 * The wait before the next attempt, after `attempts` failures in `ageMs`. It is exponential with full jitter, and at
 * least the sink's own `retryAfterMs`. Undefined if there must be no further attempt.
 */
export function waitAfter(error: unknown, attempts: number, ageMs: number, backoff: Backoff): number | undefined {
  const { permanent, retryAfterMs } = Object(error) as { permanent?: unknown; retryAfterMs?: unknown };
  if (permanent === true && backoff.giveUpOnPermanent) return undefined;
  const longest = exponential(attempts, backoff.minBackoffMs, backoff.maxBackoffMs);
  const asked = isPositive(retryAfterMs) ? retryAfterMs : 0;
  const waitMs = Math.ceil(Math.max(Math.random() * longest, asked));
  return ageMs + waitMs < backoff.giveUpAfterMs ? waitMs : undefined;
}

export function isPositive(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) > 0;
}
