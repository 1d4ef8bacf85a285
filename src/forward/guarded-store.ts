import { toError, type WebhookError } from '../contracts/errors.js';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { type Clock, systemClock } from '../util/clock.js';
import { isPromise } from '../util/promise.js';
import type { Held, Operation } from './core.js';
import { unavailable } from './failures.js';

/** Receives the store's answers. None of its methods may throw. */
export interface StoreCaller {
  /** `store_unavailable` if the store failed. */
  claimed(result: ClaimResult | WebhookError): void;
  /** The answer to a claim that came after our timeout. Undefined if the claim failed. */
  claimedLate(result: ClaimResult | undefined): void;
  /** Whether the lease is still ours. `sink` is the one that `delivered` was about. */
  stored(operation: Operation, held: Held, sink?: number): void;
}

/** How many overdue calls open the circuit breaker, and how often one claim is let through as a probe. */
const maxOverdue = 64;
const probeMs = 1_000;

/**
 * A store with timeout, checks and circuit breaker. A store that throws, rejects, hangs or answers nonsense is
 * `store_unavailable`. A synchronous answer costs no promise and no timer.
 */
export class GuardedStore {
  readonly #store: IdempotencyStore;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  /** Calls that timed out and have not settled since. */
  #overdue = 0;
  #probedAt = Number.NEGATIVE_INFINITY;

  constructor(store: IdempotencyStore, timeoutMs: number, clock: Clock = systemClock) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /**
   * The circuit breaker: whether claims must fail at once. Clients queue calls during an outage and replay them
   * afterwards, when everyone has timed out already.
   */
  isOpen(): boolean {
    if (!this.isOverdue) return false;
    const now = this.#clock.now();
    if (now - this.#probedAt < probeMs) return true;
    this.#probedAt = now;
    return false;
  }

  /** Whether so many calls are overdue that more would only queue up. */
  get isOverdue(): boolean {
    return this.#overdue >= maxOverdue;
  }

  /** `deadlineAt`: when the caller gives up, if that is before the store's timeout. */
  claim(key: string, token: string, leaseMs: number, deadlineAt: number, caller: StoreCaller): void {
    let result: ReturnType<IdempotencyStore['claim']>;
    try {
      result = this.#store.claim(key, token, leaseMs);
    } catch (error) {
      caller.claimed(unavailable('claim', toError(error).message, error));
      return;
    }
    if (!isPromise(result)) {
      caller.claimed(isClaimResult(result) ? result : nonsense('claim'));
      return;
    }
    const withinMs = Math.min(this.#timeoutMs, deadlineAt - this.#clock.now());
    this.#inTime(
      'claim',
      result,
      withinMs,
      (answer) => caller.claimed(answer instanceof Error || isClaimResult(answer) ? answer : nonsense('claim')),
      (late) => caller.claimedLate(isClaimResult(late) ? late : undefined),
    );
  }

  /** `argument` is the operation's third argument. */
  call(
    operation: Operation,
    key: string,
    token: string,
    argument: number | string,
    caller: Pick<StoreCaller, 'stored'>,
    sink?: number,
  ): void {
    let held: boolean | PromiseLike<boolean>;
    try {
      held = this.#store[operation](key, token, argument as never);
    } catch (error) {
      caller.stored(operation, unavailable(operation, toError(error).message, error), sink);
      return;
    }
    if (!isPromise(held)) {
      caller.stored(operation, typeof held === 'boolean' ? held : nonsense(operation), sink);
      return;
    }
    this.#inTime(operation, held, this.#timeoutMs, (answer) =>
      caller.stored(
        operation,
        typeof answer === 'boolean' || answer instanceof Error ? answer : nonsense(operation),
        sink,
      ),
    );
  }

  #inTime<T>(
    operation: string,
    promise: PromiseLike<T>,
    timeoutMs: number,
    answered: (answer: T | WebhookError) => void,
    answeredLate?: (answer: T | undefined) => void,
  ): void {
    let isLate = false;
    const timer = this.#clock.unrefTimeout(() => {
      isLate = true;
      this.#overdue++;
      answered(unavailable(operation, `no answer within ${Math.max(0, Math.round(timeoutMs))} ms`));
    }, timeoutMs);
    Promise.resolve(promise).then(
      (value) => {
        this.#clock.clear(timer);
        if (isLate) {
          this.#settledLate();
          answeredLate?.(value);
        } else {
          // The store answers again: forget calls that never returned.
          this.#overdue = 0;
          answered(value);
        }
      },
      (error) => {
        this.#clock.clear(timer);
        if (isLate) {
          this.#settledLate();
          answeredLate?.(undefined);
        } else answered(unavailable(operation, toError(error).message, error));
      },
    );
  }

  #settledLate(): void {
    this.#overdue = Math.max(0, this.#overdue - 1);
  }
}

function nonsense(operation: string): WebhookError {
  return unavailable(operation, 'its answer does not follow the interface');
}

function isClaimResult(result: ClaimResult | undefined): result is ClaimResult {
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
