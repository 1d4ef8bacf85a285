/** What a claim was answered with. */
export type ClaimResult =
  /** The event is the caller's until the lease ends. `delivered`: the sinks that earlier holders have told. */
  | { readonly state: 'acquired'; readonly delivered: readonly string[] }
  /** Another token holds it for another `retryAfterMs` milliseconds. */
  | { readonly state: 'in_flight'; readonly retryAfterMs: number }
  /** It has been processed. */
  | { readonly state: 'completed' };

type Awaitable<T> = T | PromiseLike<T>;

/**
 * The idempotency store: which events are in flight, which sinks have had them, which are done.
 *
 * Each method is one atomic step. `key` names the event, `token` its holder: the last four compare the token
 * and change nothing unless the caller is still the holder, which they tell by `true`. A lease that ran out but
 * was not taken by another is still its holder's. What `delivered` recorded outlives the lease by a day at
 * least, also when the holder crashed. Durations are milliseconds, by the store's own clock where it has one.
 */
export interface IdempotencyStore {
  /**
   * Takes the event for `leaseMs`, unless another token holds it or it is completed. The token that holds it is granted
   * it again, because clients repeat a call whose answer was lost. An answer before the commit is none.
   * A claim that fails is released, in case that it has succeeded nevertheless. An error with `unclaimed: true` spares
   * the store that: it says that the event was certainly not taken.
   */
  claim(key: string, token: string, leaseMs: number): Awaitable<ClaimResult>;
  /** Makes the lease run for `leaseMs` from now. */
  renew(key: string, token: string, leaseMs: number): Awaitable<boolean>;
  /** Records that this sink has had the event. */
  delivered(key: string, token: string, sink: string): Awaitable<boolean>;
  /** Ends the claim: processed, to be remembered for `ttlMs`. */
  complete(key: string, token: string, ttlMs: number): Awaitable<boolean>;
  /** Ends the claim: to be tried again. What `delivered` recorded is kept for `ttlMs`. */
  release(key: string, token: string, ttlMs: number): Awaitable<boolean>;
}
