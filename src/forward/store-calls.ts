import { type Clock, systemClock } from '../clock.js';
import { toError, WebhookError } from '../errors.js';
import { isPromise } from '../promise.js';
import type { ClaimResult, IdempotencyStore } from './store.js';

type Operation = keyof IdempotencyStore;
type Value<Called extends Operation> = Awaited<ReturnType<IdempotencyStore[Called]>>;
type Argument<Called extends Operation> = Parameters<IdempotencyStore[Called]>[2];

/** How to go on after a call. Neither function may throw. */
export interface Next<T> {
  ok(value: T): void;
  /** With `store_unavailable`. */
  fail(error: WebhookError): void;
  /** What the store answered after `fail` had been called for its lateness; undefined when it failed. */
  late?(value: T | undefined): void;
}

/** How many calls may be overdue before claims are refused, and how often one is let through to see. */
const maxOverdue = 64;
const probeMs = 1_000;

/** How many failed claims are released at once. */
export const maxAbandoned = 1_000;

/**
 * Calls to a store that may throw, reject, hang or answer nonsense: all of that is `store_unavailable`. What a store in
 * this process answers at once costs no promise and no timer: most deliveries run through in one go.
 */
export class StoreCalls {
  readonly #store: { [Called in Operation]: (key: string, token: string, argument: never) => unknown };
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  /** Given up, but not settled. */
  #overdue = 0;
  #probedAt = Number.NEGATIVE_INFINITY;
  /** Claims that have failed, and are being released in case that they have not. */
  abandoned = 0;

  constructor(store: IdempotencyStore, timeoutMs: number, clock: Clock = systemClock) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /**
   * Whether a claim is better not begun. Clients keep what they cannot send, so that what piles up in an outage is
   * asked after it, one by one, when everyone has given up on it and more is waiting behind.
   */
  isCongested(): boolean {
    if (!this.isOverdue) return false;
    const now = this.#clock.now();
    if (now - this.#probedAt < probeMs) return true;
    this.#probedAt = now;
    return false;
  }

  /** Whether so many calls are overdue that more would only pile up. */
  get isOverdue(): boolean {
    return this.#overdue >= maxOverdue;
  }

  /** `argument` is the operation's own, the third. `withinMs` where less time is left than a call has. */
  call<Called extends Operation>(
    operation: Called,
    key: string,
    token: string,
    argument: Argument<Called>,
    next: Next<Value<Called>>,
    withinMs = Number.POSITIVE_INFINITY,
  ): void {
    let value: Value<Called> | PromiseLike<Value<Called>>;
    try {
      value = this.#store[operation](key, token, argument as never) as typeof value;
    } catch (error) {
      next.fail(unavailable(operation, toError(error).message, error));
      return;
    }
    if (isPromise(value)) this.#inTime(operation, value, next, Math.min(withinMs, this.#timeoutMs));
    else judge(operation, value, next);
  }

  #inTime<Called extends Operation>(
    operation: Called,
    promise: PromiseLike<Value<Called>>,
    next: Next<Value<Called>>,
    timeoutMs: number,
  ): void {
    let isLate = false;
    const timer = this.#clock.unrefTimeout(() => {
      isLate = true;
      this.#overdue++;
      next.fail(unavailable(operation, `no answer within ${Math.max(0, Math.round(timeoutMs))} ms`));
    }, timeoutMs);
    Promise.resolve(promise).then(
      (value) => {
        this.#clock.clear(timer);
        if (isLate) {
          this.#settledLate();
          next.late?.(makesSense(operation, value) ? value : undefined);
        } else {
          // What has not been answered by now may never be.
          this.#overdue = 0;
          judge(operation, value, next);
        }
      },
      (error) => {
        this.#clock.clear(timer);
        if (isLate) {
          this.#settledLate();
          next.late?.(undefined);
        } else next.fail(unavailable(operation, toError(error).message, error));
      },
    );
  }

  #settledLate(): void {
    this.#overdue = Math.max(0, this.#overdue - 1);
  }
}

function judge<Called extends Operation>(operation: Called, value: Value<Called>, next: Next<Value<Called>>): void {
  if (makesSense(operation, value)) next.ok(value);
  else next.fail(unavailable(operation, 'its answer is none of those that the interface has'));
}

export function unavailable(operation: Operation, why: string, cause?: unknown): WebhookError {
  return new WebhookError('store_unavailable', `the idempotency store failed to ${operation}: ${why}`, { cause });
}

function makesSense(operation: Operation, value: unknown): boolean {
  return operation === 'claim' ? isClaimResult(value as ClaimResult) : typeof value === 'boolean';
}

function isClaimResult(result: ClaimResult): boolean {
  switch (result?.state) {
    case 'completed':
      return true;
    case 'acquired':
      return Array.isArray(result.delivered);
    case 'in_flight':
      return typeof result.retryAfterMs === 'number';
    default:
      return false;
  }
}
