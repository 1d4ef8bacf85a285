import type { Dialect, Severity } from './provider.js';

/** How many of a digest's events are of one type and came by one webhook. */
export interface DigestedType {
  readonly provider: string;
  /** Label of the secret that matched, where secrets have labels. */
  readonly webhook?: string;
  /** Empty where the events have none. */
  readonly type: string;
  readonly count: number;
}

/** What a sink behind `digest` or `quiet` is told in place of several events. Its delivery's provider is `vast-webhook`. */
export interface DigestEvent {
  /** The same for the same events: `digest:` and a hash of their ids. */
  readonly event_id: string;
  /** The Vast.ai account, 0 where they are of several. */
  readonly user_id: number;
  readonly notif_type: 'digest';
  readonly subject: string;
  readonly message: string;
  /** Of the last of the deliveries, in Unix seconds. */
  readonly timestamp: number;
  /** The gravest one. */
  readonly severity: Severity;
  /** Where to act on it. */
  readonly url: string;
  readonly count: number;
  readonly types: readonly DigestedType[];
  /** In their order by code unit, 1,000 at most. */
  readonly event_ids: readonly string[];
}

/** This package as the sender of digests, so that they pass through whatever events do. */
export const digests: Dialect<DigestEvent> = {
  name: 'vast-webhook',
  typeOf: (event) => event.notif_type,
  summarize: ({ subject, message, notif_type: type, severity, url }) => ({ subject, message, type, severity, url }),
};
