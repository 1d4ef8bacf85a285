import { toError, WebhookError } from '../errors.js';
import { isPromise } from '../promise.js';
import type { ClaimResult, IdempotencyStore } from './store.js';

export type Operation = keyof IdempotencyStore;

/** How to go on after a call. Neither function may throw. */
export interface Next<T> {
  ok(value: T): void;
  /** With `store_unavailable`. */
  fail(error: WebhookError): void;
  /** What the store answered after `fail` had been called for its lateness. */
  late?(value: T): void;
}

/**
 * Calls a store that may throw, reject, hang or answer nonsense: all of that is `store_unavailable`. What a store in
 * this process answers at once costs no promise and no timer: most deliveries run through in one go.
 */
export function callStore<T>(
  operation: Operation,
  call: () => T | PromiseLike<T>,
  makesSense: (value: T) => boolean,
  timeoutMs: number,
  next: Next<T>,
): void {
  let value: T | PromiseLike<T>;
  try {
    value = call();
  } catch (error) {
    next.fail(unavailable(operation, toError(error).message, error));
    return;
  }
  if (isPromise(value)) inTime(operation, value, makesSense, timeoutMs, next);
  else judge(operation, value, makesSense, next);
}

function judge<T>(operation: Operation, value: T, makesSense: (value: T) => boolean, next: Next<T>): void {
  if (makesSense(value)) next.ok(value);
  else next.fail(unavailable(operation, 'its answer is none of those that the interface has'));
}

function inTime<T>(
  operation: Operation,
  promise: PromiseLike<T>,
  makesSense: (value: T) => boolean,
  timeoutMs: number,
  next: Next<T>,
): void {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    next.fail(unavailable(operation, `no answer within ${Math.max(0, Math.round(timeoutMs))} ms`));
  }, timeoutMs);
  timer.unref();
  Promise.resolve(promise).then(
    (value) => {
      clearTimeout(timer);
      if (!isLate) judge(operation, value, makesSense, next);
      else if (makesSense(value)) next.late?.(value);
    },
    (error) => {
      clearTimeout(timer);
      if (!isLate) next.fail(unavailable(operation, toError(error).message, error));
    },
  );
}

function unavailable(operation: Operation, why: string, cause?: unknown): WebhookError {
  return new WebhookError('store_unavailable', `the idempotency store failed to ${operation}: ${why}`, { cause });
}

export function isClaimResult(result: ClaimResult): boolean {
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

export function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}
