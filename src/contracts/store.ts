/** The answer to a claim. */
export type ClaimResult =
  /** The caller holds the event until the lease expires. `delivered`: the sinks that earlier holders delivered to. */
  | { readonly state: 'acquired'; readonly delivered: readonly string[] }
  /** Another token holds the event for `retryAfterMs` more milliseconds. */
  | { readonly state: 'in_flight'; readonly retryAfterMs: number }
  /** The event is completed. */
  | { readonly state: 'completed' };

type Awaitable<T> = T | PromiseLike<T>;

/**
 * The idempotency store: remembers claims, deliveries to sinks, and completed events.
 *
 * Each method is one atomic step. `key` names the event and `token` its holder. The last four methods compare the token.
 * They change nothing and return `false` unless the caller is still the holder. An expired lease that nobody else has
 * claimed still belongs to its holder. Records of `delivered` outlive the lease by at least a day, even if the holder
 * crashed. Durations are milliseconds of the store's own clock, if it has one.
 */
export interface IdempotencyStore {
  /**
   * Claims the event for `leaseMs`, unless another token holds it or it is completed. The token that holds it is granted
   * it again, because clients repeat a call whose answer was lost. Answer only after the commit.
   * If a claim fails, it is released, because it may have succeeded all the same. An error with `unclaimed: true` says
   * that it certainly has not, which saves that release.
   */
  claim(key: string, token: string, leaseMs: number): Awaitable<ClaimResult>;
  /** Renews the lease: it expires `leaseMs` from now. */
  renew(key: string, token: string, leaseMs: number): Awaitable<boolean>;
  /** Records that the event was delivered to this sink. */
  delivered(key: string, token: string, sink: string): Awaitable<boolean>;
  /** Completes the event, and remembers it for `ttlMs`. */
  complete(key: string, token: string, ttlMs: number): Awaitable<boolean>;
  /** Releases the claim, so that the event can be tried again. Records of `delivered` are kept for `ttlMs`. */
  release(key: string, token: string, ttlMs: number): Awaitable<boolean>;
}
