import { types } from 'node:util';
import type { SignatureReason } from '../providers/scheme.js';
import { answerFor, type Code, senderGivesUpAfter } from './answer.js';

export type { SignatureReason };

/** Why a delivery was rejected or failed. `instanceof` works across the ESM and the CJS build. */
export class WebhookError extends Error {
  /** `WebhookError`. */
  override readonly name: string = 'WebhookError';
  /** The code in docs/reference/answers.md. Stable over releases. */
  readonly code: Code;
  /** On `invalid_signature`: which check failed. */
  readonly reason?: SignatureReason;
  /** The HTTP status that the middleware answers with. 0 for none. */
  readonly status: number;
  /** Whether the sender gives the event up after this answer. */
  readonly permanent: boolean;
  /** When a retry can succeed, in milliseconds from now, if that is known. */
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
    this.permanent = senderGivesUpAfter(this.status);
    this.retryAfterMs = detail.retryAfterMs;
  }
}

/** Throw it from a sink to say more than "failed". Another error with these fields works, too. */
export class SinkError extends Error {
  /** `SinkError`. */
  override readonly name: string = 'SinkError';
  /** The HTTP status with which the sink's service answered. */
  readonly status?: number;
  /** When the sink's service allows a retry, in milliseconds from now. */
  readonly retryAfterMs?: number;
  /** Whether a retry is pointless. */
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

/** Makes `instanceof` recognise errors of the other build by a symbol. Subclasses work as usual. */
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

/** Converts anything that was thrown to an Error. A bare `instanceof` fails in Jest's module realms. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error || types.isNativeError(thrown)) return thrown;
  return new Error(typeof thrown === 'string' ? thrown : 'something other than an Error was thrown', {
    cause: thrown,
  });
}

/** Converts anything that was thrown to the error of an outcome. */
export function toWebhookError(thrown: unknown): WebhookError {
  if (thrown instanceof WebhookError) return thrown;
  return new WebhookError('internal', `an unexpected error: ${toError(thrown).message}`, { cause: thrown });
}
