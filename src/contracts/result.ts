import type { Code } from './answer.js';
import type { SignatureReason, WebhookError } from './errors.js';
import type { SinkResult } from './sink.js';

/** How the user's handler ended: its HTTP status, 0 for none. */
export interface HandlerAnswer {
  readonly status: number;
  readonly error?: unknown;
}

/** The result of one delivery: accepted, a duplicate, or failed, when `error` is set. */
export interface Forwarded {
  readonly duplicate: boolean;
  readonly error?: WebhookError;
  /** The handler's HTTP status, once it was called. 0 if it did not answer. */
  readonly handlerStatus?: number;
  readonly sinks?: Readonly<Record<string, SinkResult>>;
}

/** How one delivery ended. */
export interface Outcome {
  /** `rejected`: not genuine or not usable. `failed`: genuine, as far as we know, but not processed. */
  readonly result: 'accepted' | 'duplicate' | 'rejected' | 'failed';
  /** The HTTP status of the answer. 0 for none. */
  readonly status: number;
  /** Why it was rejected or failed. */
  readonly code?: Code;
  /** With `invalid_signature`, which is also the code for a token: the check that failed. */
  readonly reason?: SignatureReason;
  /** Whether the event is lost: it was not processed, and the sender does not try again. */
  readonly permanent: boolean;
  /** The signed event id, of genuine deliveries. */
  readonly id?: string;
  /** The event's type, of genuine deliveries. */
  readonly type?: string;
  /** The label of the secret that matched. */
  readonly webhook?: string;
  /** The sender's number of the attempt. Not signed. */
  readonly attempt?: number;
  /** How the event came, of genuine deliveries: by a webhook, or by `catchUp` from the sender's inbox. */
  readonly source?: 'webhook' | 'inbox';
  /** From the request's arrival to its answer, in milliseconds. */
  readonly durationMs: number;
  /** The sender's clock minus ours, in whole seconds, of signed deliveries. */
  readonly skewSeconds?: number;
  /** The result of each sink, by its name. */
  readonly sinks?: Readonly<Record<string, SinkResult>>;
  /** What went wrong, with a message that says what to change. */
  readonly error?: Error;
}

/** The event, and the sink if there is one, that an error is about. */
export interface ErrorContext {
  /** The signed event id, if it is known. */
  readonly id?: string;
  /** The event's type, `notif_type`, if it has one. */
  readonly type?: string;
  /** The sink's name, if the error is about a sink. */
  readonly sink?: string;
}
