import type { Code } from './answer.js';
import type { SignatureReason, WebhookError } from './errors.js';
import type { SinkResult } from './sink.js';

/** How the service's own handler ended: its HTTP status, 0 when it gave none. */
export interface HandlerAnswer {
  readonly status: number;
  readonly error?: unknown;
}

/** What became of one delivery: taken, known already, or not taken, which is when `error` is set. */
export interface Forwarded {
  readonly duplicate: boolean;
  readonly error?: WebhookError;
  /** HTTP status of the handler, once it was handed the event; 0 when it did not answer. */
  readonly handlerStatus?: number;
  readonly sinks?: Readonly<Record<string, SinkResult>>;
}

/** How one delivery ended. */
export interface Outcome {
  /** `rejected`: not genuine or not usable. `failed`: genuine as far as is known, but not taken. */
  readonly result: 'accepted' | 'duplicate' | 'rejected' | 'failed';
  /** HTTP status of the answer; 0 when there was none. */
  readonly status: number;
  /** Why it was not taken. */
  readonly code?: Code;
  /** On `invalid_signature`, which is also the code for a token: which check failed. */
  readonly reason?: SignatureReason;
  /** Whether the sender will not try again although the event has not been taken. */
  readonly permanent: boolean;
  /** The signed event id, of genuine deliveries. */
  readonly id?: string;
  /** The event's type, of genuine deliveries. */
  readonly type?: string;
  /** Label of the secret that matched. */
  readonly webhook?: string;
  /** Which attempt the sender says it is; not signed. */
  readonly attempt?: number;
  /** From the request's arrival to its answer, in milliseconds. */
  readonly durationMs: number;
  /** The sender's clock minus ours, in whole seconds, of signed deliveries. */
  readonly skewSeconds?: number;
  /** How each sink fared. */
  readonly sinks?: Readonly<Record<string, SinkResult>>;
  /** What went wrong, with a message for whoever has to mend it. */
  readonly error?: Error;
}

/** Which event, and which sink if it was one, an error is about. */
export interface ErrorContext {
  /** The signed event id, unless there was none yet. */
  readonly id?: string;
  /** The event's type, `notif_type`, where it has one. */
  readonly type?: string;
  /** Name of the sink, when the error is of one. */
  readonly sink?: string;
}
