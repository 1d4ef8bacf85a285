import type { Severity } from './provider.js';

/** The event that an alert sink gets about another sink. Its delivery's provider is `vast-webhook`. */
export interface AlertEvent {
  /** The type and a hash of the sink and the beginning of its failures. */
  readonly event_id: string;
  /** Always 0, because it is about no account. */
  readonly user_id: number;
  /** `sink_failing` once the sink has failed for some minutes, and `sink_recovered` once it has taken an event again. */
  readonly notif_type: 'sink_failing' | 'sink_recovered';
  /** One line for people. */
  readonly subject: string;
  /** Text for people: since when, how many events wait, and the last error. */
  readonly message: string;
  /** When it was noticed, in Unix seconds. */
  readonly timestamp: number;
  /** `error` or `info`. */
  readonly severity: Severity;
  /** Vast.ai's console, which shows the events that this sink does not. */
  readonly url: string;
  /** Name of the sink that fails or has recovered. */
  readonly sink: string;
  /** When the first attempt failed, in Unix milliseconds. */
  readonly failing_since: number;
  /** How many attempts have failed since then. */
  readonly failures: number;
  /** How many events wait for the sink in the outbox, counted up to 10,000. Undefined without an outbox. */
  readonly waiting?: number;
  /** How many events for the sink are dead letters of the outbox, counted up to 10,000. Undefined without an outbox. */
  readonly dead?: number;
}
