import { brand } from '../contracts/errors.js';

/**
 * A management call that failed. `instanceof` works across the ESM and the CJS build, although each has its own class.
 * The error has no API key and no signing secret, even if the service's answer had one.
 */
export class ApiError extends Error {
  /** `ApiError`. */
  override readonly name: string = 'ApiError';
  /** HTTP status of the service's answer, or 0 if there was no answer. */
  readonly status: number;
  /**
   * The service's own code, if it gives one, or else `http_<status>`, such as `http_404`. Without an answer: `timeout`
   * or `unreachable`. For an answer that cannot be read: `invalid_answer`. Before the call: `too_many_webhooks`.
   */
  readonly code: string;

  /** Details from the service, such as the invalid fields. Undefined if there are none. */
  readonly details: unknown;
  /** The service's id of the call, for its support. */
  readonly requestId: string | undefined;
  /** Whether the call may have taken effect although it failed: check before you repeat it. */
  readonly inDoubt: boolean;
  /** When the service allows the next call, in milliseconds from now, if its answer says so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    detail: {
      status: number;
      code: string;
      details?: unknown;
      requestId?: string;
      inDoubt?: boolean;
      retryAfterMs?: number;
    },
  ) {
    super(message);
    this.status = detail.status;
    this.code = detail.code;
    this.details = detail.details;
    this.requestId = detail.requestId;
    this.inDoubt = detail.inDoubt ?? false;
    this.retryAfterMs = detail.retryAfterMs;
  }
}

brand(ApiError, 'ApiError');
