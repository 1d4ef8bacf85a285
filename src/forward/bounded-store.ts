import { toError, WebhookError } from '../errors.js';
import type { ClaimResult, IdempotencyStore } from './store.js';

type Operation = keyof IdempotencyStore;

/**
 * A store whose every call answers in time and with sense, or fails as `store_unavailable`.
 * A store in this process answers at once and costs neither a promise nor a timer.
 */
export class BoundedStore {
  readonly #store: IdempotencyStore;
  readonly #timeoutMs: number;
  readonly #onLateClaim: (key: string, token: string) => void;

  /** `onLateClaim` hears of claims that were granted after their caller had given up. */
  constructor(store: IdempotencyStore, timeoutMs: number, onLateClaim: (key: string, token: string) => void) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#onLateClaim = onLateClaim;
  }

  claim(key: string, token: string, leaseMs: number, withinMs: number): ClaimResult | Promise<ClaimResult> {
    const result = attempt('claim', () => this.#store.claim(key, token, leaseMs));
    if (!isPromise(result)) return checkedClaim(result);
    const late = (granted: ClaimResult) => {
      if (granted?.state === 'acquired') this.#onLateClaim(key, token);
    };
    return inTime('claim', result, Math.min(this.#timeoutMs, withinMs), late).then(checkedClaim);
  }

  renew(key: string, token: string, leaseMs: number): boolean | Promise<boolean> {
    return this.#held('renew', () => this.#store.renew(key, token, leaseMs));
  }

  delivered(key: string, token: string, sink: string): boolean | Promise<boolean> {
    return this.#held('delivered', () => this.#store.delivered(key, token, sink));
  }

  complete(key: string, token: string, ttlMs: number): boolean | Promise<boolean> {
    return this.#held('complete', () => this.#store.complete(key, token, ttlMs));
  }

  release(key: string, token: string, ttlMs: number): boolean | Promise<boolean> {
    return this.#held('release', () => this.#store.release(key, token, ttlMs));
  }

  #held(operation: Operation, call: () => boolean | PromiseLike<boolean>): boolean | Promise<boolean> {
    const held = attempt(operation, call);
    if (!isPromise(held)) return checkedBoolean(operation, held);
    return inTime(operation, held, this.#timeoutMs).then((value) => checkedBoolean(operation, value));
  }
}

export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | undefined | null)?.then === 'function';
}

function attempt<T>(operation: Operation, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw unavailable(operation, toError(error).message, error);
  }
}

function inTime<T>(operation: Operation, result: PromiseLike<T>, ms: number, late?: (value: T) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let gaveUp = false;
    const timer = setTimeout(() => {
      gaveUp = true;
      reject(unavailable(operation, `no answer within ${Math.max(0, Math.round(ms))} ms`));
    }, ms);
    timer.unref();
    result.then(
      (value) => {
        if (gaveUp) late?.(value);
        clearTimeout(timer);
        resolve(value);
      },
      (error) => {
        clearTimeout(timer);
        reject(unavailable(operation, toError(error).message, error));
      },
    );
  });
}

function unavailable(operation: Operation, why: string, cause?: unknown): WebhookError {
  return new WebhookError('store_unavailable', `the idempotency store failed to ${operation}: ${why}`, { cause });
}

function checkedClaim(result: ClaimResult): ClaimResult {
  switch (result?.state) {
    case 'completed':
      return result;
    case 'acquired':
      if (Array.isArray(result.delivered)) return result;
      break;
    case 'in_flight':
      if (typeof result.retryAfterMs === 'number') return result;
  }
  throw unavailable('claim', 'its answer is not one of acquired, in_flight and completed with their fields');
}

function checkedBoolean(operation: Operation, held: boolean): boolean {
  if (typeof held === 'boolean') return held;
  throw unavailable(operation, 'its answer is neither true nor false');
}
