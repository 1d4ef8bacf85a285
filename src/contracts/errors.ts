import { types } from 'node:util';
import { answerFor, type Code, isPermanent } from './answer.js';

/** Which check of the signature headers, or of the token, failed. The sender is not told; the outcome is. */
export type SignatureReason =
  | 'missing_signature'
  | 'malformed_signature'
  | 'missing_timestamp'
  | 'malformed_timestamp'
  | 'stale_timestamp'
  | 'future_timestamp'
  | 'signature_mismatch'
  | 'missing_token'
  | 'token_mismatch';

/** A delivery that was not taken. `instanceof` knows it from the ESM and the CJS build, which have a class each. */
export class WebhookError extends Error {
  /** `WebhookError`. */
  override readonly name: string = 'WebhookError';
  /** Why, as in the README's table of answers. Stable over releases. */
  readonly code: Code;
  /** On `invalid_signature`: which check failed. */
  readonly reason?: SignatureReason;
  /** HTTP status that the middleware answers with; 0 for none. */
  readonly status: number;
  /** Whether the sender will give the event up after this answer. */
  readonly permanent: boolean;
  /** When another try can succeed, in milliseconds from now, where that is known. */
  readonly retryAfterMs?: number;

  constructor(
    code: Code,
    message: string,
    detail: { reason?: SignatureReason; status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.reason = detail.reason;
    this.status = detail.status ?? answerFor(code).status;
    this.permanent = isPermanent(this.status);
    this.retryAfterMs = detail.retryAfterMs;
  }
}

/** Throw it from a sink to say more than "failed". An error of this shape from elsewhere counts the same. */
export class SinkError extends Error {
  /** `SinkError`. */
  override readonly name: string = 'SinkError';
  /** HTTP status with which the sink's service answered. */
  readonly status?: number;
  /** How long the sink's service asks to be left alone, in milliseconds. */
  readonly retryAfterMs?: number;
  /** That no repetition will help. */
  readonly permanent: boolean;

  constructor(
    message: string,
    detail: { status?: number; retryAfterMs?: number; permanent?: boolean; cause?: unknown } = {},
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.status = detail.status;
    this.retryAfterMs = detail.retryAfterMs;
    this.permanent = detail.permanent ?? false;
  }
}

/** Lets `instanceof` know an error of the other build's class by its brand. Classes made from it work as usual. */
export function brand(errorClass: new (...args: never[]) => Error, name: string): void {
  const symbol = Symbol.for(`vast-webhook.${name}`);
  Object.defineProperty(errorClass.prototype, symbol, { value: true });
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    value(this: unknown, error: unknown): boolean {
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this, error);
      return typeof error === 'object' && error !== null && symbol in error;
    },
  });
}

brand(WebhookError, 'WebhookError');
brand(SinkError, 'SinkError');

/** Whatever was thrown, as an Error. Jest's module realms defeat a bare `instanceof`. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error || types.isNativeError(thrown)) return thrown;
  return new Error(typeof thrown === 'string' ? thrown : 'something other than an Error was thrown', {
    cause: thrown,
  });
}

/** Whatever was thrown on a delivery's way, as the error that its outcome carries. */
export function toWebhookError(thrown: unknown): WebhookError {
  if (thrown instanceof WebhookError) return thrown;
  return new WebhookError('internal', `an unexpected error: ${toError(thrown).message}`, { cause: thrown });
}
