/** How long to wait before the next attempt, and when to give up. In milliseconds. */
export interface Backoff {
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly giveUpAfterMs: number;
  readonly giveUpOnPermanent: boolean;
}

/**
 * The wait before the next attempt, after `attempts` failures in `ageMs`. It is exponential with full jitter, and at
 * least the sink's own `retryAfterMs`. Undefined if there must be no further attempt.
 */
export function waitAfter(error: unknown, attempts: number, ageMs: number, backoff: Backoff): number | undefined {
  const { permanent, retryAfterMs } = Object(error) as { permanent?: unknown; retryAfterMs?: unknown };
  if (permanent === true && backoff.giveUpOnPermanent) return undefined;
  const longest = Math.min(backoff.maxBackoffMs, backoff.minBackoffMs * 2 ** (attempts - 1));
  const asked = isPositive(retryAfterMs) ? retryAfterMs : 0;
  const waitMs = Math.ceil(Math.max(Math.random() * longest, asked));
  return ageMs + waitMs < backoff.giveUpAfterMs ? waitMs : undefined;
}

export function isPositive(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) > 0;
}
