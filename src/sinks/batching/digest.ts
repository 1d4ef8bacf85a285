import { type Sink, type SinkFunction, toSink, wrapSink } from '../../contracts/sink.js';
import { aFunction, type Check, checkOptions, isWholeUpTo } from '../../util/check-options.js';
import { type Clock, systemClock } from '../../util/clock.js';
import { Batcher, concurrency, type OnError } from './batcher.js';

/** What `digest` takes beside the sink. */
export interface DigestOptions {
  /** How long events are gathered from the first one on, in milliseconds: 240,000 at most. */
  readonly everyMs: number;
  /** Hears of what was taken before it was told, and then could not be told. `console.error`. */
  readonly onError?: OnError;
}

/** An event can be held for five minutes, the telling included. */
const everyMs: Check = [isWholeUpTo(1, 240_000), 'a whole number of milliseconds, 1 to 240000'];

/**
 * Gathers events for `everyMs` and then tells the sink of all of them in one, a `DigestEvent`; of one alone, as it is.
 * An event that comes twice counts once.
 *
 * Behind an outbox or a queue, an event is held until the digest that it is in has been told, and fails with it: nothing
 * is lost when the process ends in between. A BullMQ worker's `concurrency` must be as large as a digest shall be. In
 * the middleware that is so as long as the digest is told a second before `deadlineMs` at the latest. With a longer
 * `everyMs` a delivery is answered before, and its event is lost if the process dies; `close()` delivers what there is,
 * and goes on trying until its timeout.
 * Such a digest is tried for 15 minutes, and what fails then goes to `onError`.
 *
 * Throws a `TypeError` for an option that nobody can have meant.
 */
export function digest<Event extends object>(
  options: DigestOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  return digestOn(systemClock, options, sink);
}

/** The same by another clock. */
export function digestOn<Event extends object>(
  clock: Clock,
  options: DigestOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  checkOptions({ ...options, everyMs: options?.everyMs ?? null }, { everyMs, onError: aFunction });
  const digested = toSink(sink);
  const gatherer = new Batcher(digested, options.onError, clock);
  return wrapSink(digested, {
    concurrency,
    deliver: (event, context) => gatherer.add(event, context, clock.now() + options.everyMs),
    flush: () => gatherer.flush(),
  });
}
