/** How long to wait before the next attempt, and until when there is one. Milliseconds. */
export interface Backoff {
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly giveUpAfterMs: number;
  readonly giveUpOnPermanent: boolean;
}

/**
 * After `attempts` failures in `ageMs`: the wait before the next attempt, exponential with full jitter and not before
 * the sink wants one. Nothing when there shall be none.
 */
export function waitAfter(error: unknown, attempts: number, ageMs: number, backoff: Backoff): number | undefined {
  const { permanent, retryAfterMs } = Object(error) as { permanent?: unknown; retryAfterMs?: unknown };
  if (permanent === true && backoff.giveUpOnPermanent) return undefined;
  const most = Math.min(backoff.maxBackoffMs, backoff.minBackoffMs * 2 ** (attempts - 1));
  const asked = isPositive(retryAfterMs) ? retryAfterMs : 0;
  const waitMs = Math.ceil(Math.max(Math.random() * most, asked));
  return ageMs + waitMs < backoff.giveUpAfterMs ? waitMs : undefined;
}

export function isPositive(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) > 0;
}
