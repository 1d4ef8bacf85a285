import type { EventFormat, Severity } from './provider.js';

/** How many of a digest's events are of one type and came by one webhook. */
export interface DigestedType {
  /** The sender's name: `vast`. */
  readonly provider: string;
  /** Label of the secret that matched, where secrets have labels. */
  readonly webhook?: string;
  /** Empty where the events have none. */
  readonly type: string;
  /** How many events they are. */
  readonly count: number;
}

/** What a sink behind `digest` or `quiet` is told in place of several events. Its delivery's provider is `vast-webhook`. */
export interface DigestEvent {
  /** The same for the same events: `digest:` and a hash of their ids. */
  readonly event_id: string;
  /** The Vast.ai account, 0 where they are of several. */
  readonly user_id: number;
  /** Tells it from an event. */
  readonly notif_type: 'digest';
  /** One line for people. */
  readonly subject: string;
  /** Text for people: what there is of each type. */
  readonly message: string;
  /** Of the last of the deliveries, in Unix seconds. */
  readonly timestamp: number;
  /** The gravest one. */
  readonly severity: Severity;
  /** Where to act on it. */
  readonly url: string;
  /** How many events it stands for. */
  readonly count: number;
  /** What they are. */
  readonly types: readonly DigestedType[];
  /** In their order by code unit, 1,000 at most. */
  readonly event_ids: readonly string[];
}

/** This package as the sender of digests, so that they pass through whatever events do. */
export const digests: EventFormat<DigestEvent> = {
  name: 'vast-webhook',
  typeOf: (event) => event.notif_type,
  summarize: ({ subject, message, notif_type: type, severity, url }) => ({ subject, message, type, severity, url }),
};
