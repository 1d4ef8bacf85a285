import type { Delivery } from '../contracts/delivery.js';
import { type SinkError, toError, WebhookError } from '../contracts/errors.js';
import type { Forwarded } from '../contracts/result.js';
import { Dispatcher } from '../forward/dispatcher.js';
import { Drain } from '../forward/drain.js';
import { type ForwarderOptions, forwarderSettingsOf } from '../options.js';
import { outcomeOf } from '../outcome.js';
import type { VastEvent } from '../providers/vast.js';
import { registerReceiver } from '../receivers.js';
import { type Clock, systemClock } from '../util/clock.js';
import { fromQueued, type QueuedDelivery, reviveEvent } from './envelope.js';

/** What `createForwarder` gives: to be called with each delivery that a queue hands out. */
export interface Forwarder {
  /** Resolves when all sinks have the event, by this delivery or an earlier one. Rejects with a `WebhookError`. */
  (delivery: Delivery | QueuedDelivery): Promise<void>;
  /** From now on deliveries are refused. Resolves when what is in flight has settled, or after `timeoutMs` milliseconds. */
  close(timeoutMs?: number): Promise<void>;
}

/**
 * The telling of sinks without a web server: for a worker behind a queue, with the store's help as careful as the
 * middleware. There is no deadline. Throws a `TypeError` for an option that nobody can have meant.
 */
export function createForwarder<Event extends object = VastEvent>(options: ForwarderOptions<Event>): Forwarder {
  return createForwarderOn(systemClock, options);
}

/** The same by another clock. */
export function createForwarderOn<Event extends object>(clock: Clock, options: ForwarderOptions<Event>): Forwarder {
  const { rateLimit, ...settings } = forwarderSettingsOf(options);
  const drain = new Drain(clock);
  // Of any provider's events.
  const unregister = registerReceiver('', settings);
  const forwarder = new Dispatcher({ ...settings, drain: drain, clock });

  async function forward(queued: Delivery | QueuedDelivery): Promise<void> {
    const startedAt = clock.now();
    const { received, type } = revive<Event>(queued);
    const { delivery } = received;
    const forwarded = drain.closing
      ? { duplicate: false, error: new WebhookError('closing', 'the forwarder is closed') }
      : await new Promise<Forwarded>((resolve) => {
          forwarder.forward(received, type, Number.POSITIVE_INFINITY, undefined, resolve);
        });
    const status = forwarded.error?.status ?? 204;
    settings.onOutcome(outcomeOf(forwarded, status, undefined, delivery, type, clock.now() - startedAt));
    if (forwarded.error !== undefined) throw await asQueueError(forwarded.error, forwarded.sinks, rateLimit);
  }

  function close(timeoutMs?: number): Promise<void> {
    unregister();
    return drain.close(timeoutMs, settings.sinks);
  }

  return Object.assign(forward, { close });
}

function revive<Event>(queued: Delivery | QueuedDelivery): ReturnType<typeof reviveEvent<Event>> {
  try {
    return reviveEvent<Event>(fromQueued(queued));
  } catch (error) {
    throw unrecoverable(toError(error));
  }
}

/** Where a sink answers 429 without saying for how long. */
const defaultLimitMs = 5_000;

/**
 * Tells a queue how to go on, in the words of BullMQ, which knows errors by name and message: not to try again when no
 * sink that failed can be helped by that, and after a 429 to wait without spending an attempt.
 */
async function asQueueError(
  error: WebhookError,
  sinks: Forwarded['sinks'],
  rateLimit: ForwarderOptions['rateLimit'],
): Promise<Error> {
  const failures: Partial<SinkError>[] = Object.values(sinks ?? {}).filter((result) => typeof result !== 'string');
  const limited = failures.find(({ status }) => status === 429);
  if (limited !== undefined && rateLimit !== undefined) {
    await rateLimit(wholeMs(limited.retryAfterMs) ?? defaultLimitMs);
    return Object.assign(new Error('bullmq:rateLimitExceeded', { cause: error }), { name: 'RateLimitError' });
  }
  // Anything else, such as a lost claim, may have left a sink untold.
  if (error.code === 'sink_failed' && failures.every(({ permanent }) => permanent === true)) {
    return unrecoverable(error);
  }
  return error;
}

function unrecoverable(error: Error): Error {
  return Object.defineProperty(error, 'name', { value: 'UnrecoverableError' });
}

/** Redis takes no fractions, and no 0. */
function wholeMs(ms: number | undefined): number | undefined {
  return ms !== undefined && ms > 0 && ms < Number.POSITIVE_INFINITY ? Math.ceil(ms) : undefined;
}
