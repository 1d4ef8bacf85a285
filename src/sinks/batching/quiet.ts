import { type Sink, type SinkFunction, toSink, wrapSink } from '../../contracts/sink.js';
import { aFunction, type Check, checkOptions, isWholeUpTo } from '../../util/check-options.js';
import { type Clock, systemClock } from '../../util/clock.js';
import { Batcher, concurrency, type OnError } from './batcher.js';

/** What `quiet` takes beside the sink. */
export interface QuietOptions {
  /** How many events a minute are told as they come: 1 to 1,000. */
  readonly perMinute: number;
  /** Hears of what was taken before it was told, and then could not be told. `console.error`. */
  readonly onError?: OnError;
}

const perMinute: Check = [isWholeUpTo(1, 1_000), 'a whole number, 1 to 1000'];
const minuteMs = 60_000;

/**
 * Tells the sink of `perMinute` events at once, and of what comes beyond that in one when the minute is over, as
 * `digest` does; what stands there of deadlines and failures holds here. The minute begins with the first event.
 * Throws a `TypeError` for an option that nobody can have meant.
 */
export function quiet<Event extends object>(
  options: QuietOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  return quietOn(systemClock, options, sink);
}

/** The same by another clock. */
export function quietOn<Event extends object>(
  clock: Clock,
  options: QuietOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  checkOptions({ ...options, perMinute: options?.perMinute ?? null }, { perMinute, onError: aFunction });
  const quieted = toSink(sink);
  const gatherer = new Batcher(quieted, options.onError, clock);
  let endsAt = Number.NEGATIVE_INFINITY;
  let passed = 0;
  return wrapSink(quieted, {
    concurrency,
    deliver(event, context) {
      const now = clock.now();
      if (now >= endsAt) {
        endsAt = now + minuteMs;
        passed = 0;
      }
      if (passed >= options.perMinute) return gatherer.add(event, context, endsAt);
      passed++;
      return quieted.deliver(event, context);
    },
    flush: () => gatherer.flush(),
  });
}
