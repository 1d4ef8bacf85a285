import { brand } from '../contracts/errors.js';

/**
 * A management call that failed. `instanceof` knows it from the ESM and the CJS build, which have a class each. It
 * holds no API key and no signing secret, also when the service put one into its answer.
 */
export class ApiError extends Error {
  /** `ApiError`. */
  override readonly name: string = 'ApiError';
  /** HTTP status that the service answered with; 0 when there was no answer. */
  readonly status: number;
  /**
   * The service's own word for the error where it gives one, else `http_404` and the like. Without an answer `timeout`
   * or `unreachable`; for one that cannot be read `invalid_answer`; before the call `too_many_webhooks`.
   */
  readonly code: string;

  /** What the service adds to its error, such as the fields that are wrong. Undefined where it adds nothing. */
  readonly details: unknown;
  /** The service's number of the call, for its support. */
  readonly requestId: string | undefined;

  constructor(message: string, detail: { status: number; code: string; details?: unknown; requestId?: string }) {
    super(message);
    this.status = detail.status;
    this.code = detail.code;
    this.details = detail.details;
    this.requestId = detail.requestId;
  }
}

brand(ApiError, 'ApiError');
