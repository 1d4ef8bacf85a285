import { type Sink, type SinkFunction, toSink, wrapSink } from '../../contracts/sink.js';
import { aFunction, type Check, checkOptions, isWholeUpTo } from '../../util/check-options.js';
import { type Clock, systemClock } from '../../util/clock.js';
import { Batcher, concurrency, type OnError } from './batcher.js';

/** Options of `quiet`. */
export interface QuietOptions {
  /** How many events per minute are delivered at once: 1 to 1,000. */
  readonly perMinute: number;
  /** Called when events that were answered already could not be delivered. Default: `console.error`. */
  readonly onError?: OnError;
}

const perMinute: Check = [isWholeUpTo(1, 1_000), 'a whole number, 1 to 1000'];
const minuteMs = 60_000;

/**
 * Delivers the first `perMinute` events of each minute at once, and further ones as one digest when the minute ends.
 * Deadlines and failures of that digest are handled as in `digest`. The minute begins with the first event.
 * Throws a `TypeError` for an invalid option.
 */
export function quiet<Event extends object>(
  options: QuietOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  return quietOn(systemClock, options, sink);
}

/** The same with another clock. */
export function quietOn<Event extends object>(
  clock: Clock,
  options: QuietOptions,
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  checkOptions({ ...options, perMinute: options?.perMinute ?? null }, { perMinute, onError: aFunction });
  const quieted = toSink(sink);
  const batcher = new Batcher(quieted, options.onError, clock);
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
      if (passed >= options.perMinute) return batcher.add(event, context, endsAt);
      passed++;
      return quieted.deliver(event, context);
    },
    flush: () => batcher.flush(),
  });
}
