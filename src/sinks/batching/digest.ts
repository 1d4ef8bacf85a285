import { maxWorkMs, type Sink, type SinkFunction, toSink, wrapSink } from '../../contracts/sink.js';
import { aFunction, type Check, checkOptions, isWholeUpTo } from '../../util/check-options.js';
import { type Clock, systemClock } from '../../util/clock.js';
import { Batcher, concurrency, type OnError } from './batcher.js';

/** Options of `digest`. */
export interface DigestOptions {
  /** How long events are buffered, counted from the first one, in milliseconds: 240,000 at most. */
  readonly everyMs: number;
  /** Called when events that were answered already could not be delivered. Default: `console.error`. */
  readonly onError?: OnError;
}

/** An event can be claimed for five minutes, the delivery included. */
const maxEveryMs = maxWorkMs - 60_000;
const everyMs: Check = [isWholeUpTo(1, maxEveryMs), `a whole number of milliseconds, 1 to ${maxEveryMs}`];

/**
 * Buffers events for `everyMs` and then delivers them to the sink as one `DigestEvent`. A single event is delivered
 * unchanged. An event that comes twice counts once.
 *
 * Behind an outbox or a queue, an event waits until its digest is delivered, and fails if the digest fails. No event is
 * lost when the process ends in between. The `concurrency` of a BullMQ worker must be as large as the largest digest.
 *
 * In the middleware, a request waits for its digest if `everyMs` ends at least one second before the request's
 * deadline. With a longer `everyMs` the request is answered first, and its event is lost if the process dies. Such a
 * digest is retried for 15 minutes, and then goes to `onError`. `close()` delivers all buffered events, and retries
 * until its timeout.
 *
 * Throws a `TypeError` for an invalid option.
 */
export function digest<Event extends object>(
  options: DigestOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  return digestOn(systemClock, options, sink);
}

/** The same with another clock. */
export function digestOn<Event extends object>(
  clock: Clock,
  options: DigestOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  checkOptions({ ...options, everyMs: options?.everyMs ?? null }, { everyMs, onError: aFunction });
  const digested = toSink(sink);
  const batcher = new Batcher(digested, options.onError, clock);
  return wrapSink(digested, {
    concurrency,
    deliver: (event, context) => batcher.add(event, context, clock.now() + options.everyMs),
    flush: () => batcher.flush(),
  });
}
