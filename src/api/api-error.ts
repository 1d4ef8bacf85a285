import { brand } from '../errors.js';

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

  constructor(message: string, detail: { status: number; code: string }) {
    super(message);
    this.status = detail.status;
    this.code = detail.code;
  }
}

brand(ApiError, 'ApiError');
