import type { AlertEvent } from './alerts.js';
import type { EventFormat, Severity } from './provider.js';

/** How many events of a digest have the same type and webhook. */
export interface DigestedType {
  /** The sender's name: `vast`. */
  readonly provider: string;
  /** Label of the secret that matched, if secrets have labels. */
  readonly webhook?: string;
  /** Empty if the events have no type. */
  readonly type: string;
  /** Number of events. */
  readonly count: number;
}

/** The event that a sink behind `digest` or `quiet` gets for a batch of events. Its delivery's provider is `vast-webhook`. */
export interface DigestEvent {
  /** `digest:` and a hash of the event ids, so that the same events have the same id. */
  readonly event_id: string;
  /** The Vast.ai account, or 0 if the events are of several. */
  readonly user_id: number;
  /** Distinguishes a digest from other events. */
  readonly notif_type: 'digest';
  /** One line for people. */
  readonly subject: string;
  /** Text for people: the subjects, one per line. */
  readonly message: string;
  /** Timestamp of the last delivery, in Unix seconds. */
  readonly timestamp: number;
  /** The worst severity of the events. */
  readonly severity: Severity;
  /** Where to act on it. */
  readonly url: string;
  /** How many events it stands for. */
  readonly count: number;
  /** The events by type. */
  readonly types: readonly DigestedType[];
  /** Ids of the events, sorted by code unit, 1,000 at most. */
  readonly event_ids: readonly string[];
}

/** This package as the sender of digests and alerts, so that these take the same path as events. */
export const digests: EventFormat<DigestEvent | AlertEvent> = {
  name: 'vast-webhook',
  typeOf: (event) => event.notif_type,
  summarize: ({ subject, message, notif_type: type, severity, url }) => ({ subject, message, type, severity, url }),
};
