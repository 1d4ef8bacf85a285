import { accepted } from '../contracts/answer.js';
import { type Delivery, eventType, type ReceivedDelivery } from '../contracts/delivery.js';
import { type SinkError, toError, WebhookError } from '../contracts/errors.js';
import type { Forwarded } from '../contracts/result.js';
import { Dispatcher } from '../forward/dispatcher.js';
import { Drain } from '../forward/drain.js';
import { Intake, intakeOf } from '../intake.js';
import { type ForwarderOptions, forwarderSettingsOf } from '../options.js';
import { outcomeOf } from '../outcome.js';
import type { VastEvent } from '../providers/vast.js';
import { registerReceiver } from '../receivers.js';
import { type Clock, systemClock } from '../util/clock.js';
import { fromQueued, type QueuedDelivery, reviveEvent } from './envelope.js';

/** The function that `createForwarder` returns. Call it with each delivery from a queue. */
export interface Forwarder {
  /** Resolves when the event is delivered to all sinks, now or by an earlier call. Rejects with a `WebhookError`. */
  (delivery: Delivery | QueuedDelivery): Promise<void>;
  /** Stops accepting deliveries. Resolves when running ones have settled, or after `timeoutMs` milliseconds. */
  close(timeoutMs?: number): Promise<void>;
}

/**
 * Delivers events to sinks without a web server, for a worker behind a queue. With a store it makes each event count
 * once, as the middleware does. There is no deadline. Throws a `TypeError` for an invalid option.
 */
export function createForwarder<Event extends object = VastEvent>(options: ForwarderOptions<Event>): Forwarder {
  return createForwarderOn(systemClock, options);
}

/** The same with another clock. */
export function createForwarderOn<Event extends object>(clock: Clock, options: ForwarderOptions<Event>): Forwarder {
  const { rateLimit, ...settings } = forwarderSettingsOf(options);
  const drain = new Drain(clock);
  // Deliveries of every provider come here, so the path is empty.
  const unregister = registerReceiver('', settings);
  const forwarder = new Dispatcher({ ...settings, drain, clock });
  const intake = new Intake({ settings, dispatcher: forwarder, drain, clock });

  async function forward(queued: Delivery | QueuedDelivery): Promise<void> {
    const startedAt = clock.now();
    const received = revive<Event>(queued);
    const { delivery } = received;
    intake.watcher?.seen(delivery);
    const forwarded = drain.closing
      ? { duplicate: false, error: new WebhookError('closing', 'the forwarder is closed') }
      : await new Promise<Forwarded>((resolve) => {
          forwarder.forward(received, Number.POSITIVE_INFINITY, undefined, resolve);
        });
    const status = forwarded.error?.status ?? accepted.status;
    settings.onOutcome(outcomeOf(forwarded, status, undefined, delivery, eventType(received), clock.now() - startedAt));
    if (forwarded.error !== undefined) throw await asQueueError(forwarded.error, forwarded.sinks, rateLimit);
  }

  function close(timeoutMs?: number): Promise<void> {
    unregister();
    intake.watcher?.closed();
    return drain.close(timeoutMs, settings.sinks);
  }

  return Object.assign(forward, { close, [intakeOf]: intake });
}

function revive<Event>(queued: Delivery | QueuedDelivery): ReceivedDelivery<Event> {
  try {
    return reviveEvent<Event>(fromQueued(queued));
  } catch (error) {
    throw unrecoverable(toError(error));
  }
}

/** How long to wait after a 429 without `Retry-After`. */
const defaultLimitMs = 5_000;

/**
 * Converts the error to one that BullMQ knows by its name and message. `UnrecoverableError`: no retry, because all
 * failures are permanent. `RateLimitError`: wait after a 429, without counting an attempt.
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
  // All other errors, such as a lost lease, may leave a sink undelivered. So the queue must retry.
  if (error.code === 'sink_failed' && failures.every(({ permanent }) => permanent === true)) {
    return unrecoverable(error);
  }
  return error;
}

function unrecoverable(error: Error): Error {
  return Object.defineProperty(error, 'name', { value: 'UnrecoverableError' });
}

/** Redis refuses fractions and 0. */
function wholeMs(ms: number | undefined): number | undefined {
  return ms !== undefined && ms > 0 && ms < Number.POSITIVE_INFINITY ? Math.ceil(ms) : undefined;
}
