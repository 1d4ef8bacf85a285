import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import type { Sink, SinkFunction } from '../contracts/sink.js';
import type { AlertEvent } from '../providers/alerts.js';
import { digests } from '../providers/digests.js';
import { vastConsole } from '../providers/vast.js';
import { type Check, isWholeUpTo } from '../util/check-options.js';

/** Which sink hears of sinks that keep failing, and when. */
export interface AlertOptions {
  /**
   * Gets an `AlertEvent` once another sink has failed for `afterMs`, and one more when that sink has taken an event
   * again. Choose a service that does not fail together with the others. Its own failures are retried, and reported to
   * `onError` if they last.
   */
  readonly sink: Sink<AlertEvent> | SinkFunction<AlertEvent>;
  /** How long a sink must fail without a success, in milliseconds. Default: 5 minutes. */
  readonly afterMs?: number;
}

export const defaultAlertAfterMs = 5 * 60_000;

const maxAfterMs = 24 * 60 * 60_000;

export const alertAfterMs: Check = [
  isWholeUpTo(1, maxAfterMs),
  `a whole number of milliseconds, 1 to ${maxAfterMs}, which is a day`,
];

/** Failures of one sink without a success between them. */
export interface Outage {
  readonly sink: string;
  /** When the first attempt failed, in Unix milliseconds. */
  readonly since: number;
  /** Number of failed attempts. */
  readonly failures: number;
  /** Message of the last error. */
  readonly error: string;
  /** How many events wait for the sink, if there is an outbox: up to `maxCounted`. */
  readonly waiting?: number;
  /** How many events for the sink are dead letters, if there is an outbox: up to `maxCounted`. */
  readonly dead?: number;
}

/** Counting all of a million would stop the event loop. */
export const maxCounted = 10_000;

const maxErrorLength = 300;

/** The id of the alert about an outage. The same in each process that shares an outbox, so that one alert is stored. */
export function alertIdOf(type: AlertEvent['notif_type'], scope: string, { sink, since }: Outage): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([scope, sink, since]))
    .digest('hex');
  return `${type}:${hash}`;
}

/** The event about an outage, and its delivery. `now` is in Unix milliseconds. */
export function alertOf(
  type: AlertEvent['notif_type'],
  scope: string,
  outage: Outage,
  now: number,
): ReceivedDelivery<AlertEvent> {
  const { sink, since, failures, waiting, dead } = outage;
  const isFailing = type === 'sink_failing';
  const timestamp = Math.floor(now / 1_000);
  const event: AlertEvent = {
    event_id: alertIdOf(type, scope, outage),
    user_id: 0,
    notif_type: type,
    subject: isFailing
      ? `The sink ${sink} has failed for ${lengthOf(now - since)}`
      : `The sink ${sink} works again after ${lengthOf(now - since)}`,
    message: isFailing ? failingText(outage) : recoveredText(outage),
    timestamp,
    severity: isFailing ? 'error' : 'info',
    url: `${vastConsole}/`,
    sink,
    failing_since: since,
    failures,
    waiting,
    dead,
  };
  const rawBody = Buffer.from(JSON.stringify(event));
  return {
    event,
    delivery: {
      provider: digests.name,
      source: 'webhook',
      verified: false,
      id: event.event_id,
      type: event.notif_type,
      attempt: 1,
      timestamp,
      receivedAt: now,
      rawBody,
    },
  };
}

function failingText({ failures, error, waiting = 0, dead = 0 }: Outage): string {
  const reason = error.slice(0, maxErrorLength).toWellFormed();
  return [
    `No event was delivered, and ${counted(failures, 'attempt')} failed.`,
    waiting === 0 ? '' : `${events(waiting)} wait${waiting === 1 ? 's' : ''} in the outbox.`,
    deadText(dead),
    reason === '' ? '' : `The last error: ${reason}`,
  ]
    .filter(Boolean)
    .join('\n');
}

function recoveredText({ waiting, dead = 0 }: Outage): string {
  if (waiting === undefined) return 'It has taken an event.';
  const still = waiting === 0 ? 'No event waits for it.' : `${events(waiting)} still wait${waiting === 1 ? 's' : ''}.`;
  return [still, deadText(dead)].filter(Boolean).join('\n');
}

/** They stay dead when the sink works again, so that somebody must hear of them. */
function deadText(dead: number): string {
  return dead === 0 ? '' : `${events(dead)} given up: redeliver the dead letters, or discard them.`;
}

function events(count: number): string {
  return count < maxCounted ? counted(count, 'event') : `${maxCounted} events or more`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `5 minutes`, `3 hours`, `2 days` */
function lengthOf(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1_000));
  if (seconds < 60) return counted(seconds, 'second');
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return counted(minutes, 'minute');
  const hours = Math.round(minutes / 60);
  return hours < 48 ? counted(hours, 'hour') : counted(Math.round(hours / 24), 'day');
}
