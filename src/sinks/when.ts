import type { Delivery } from '../contracts/delivery.js';
import { type Sink, type SinkFunction, toSink, wrapSink } from '../contracts/sink.js';
import type { VastEvent } from '../providers/vast.js';
import { isPromise } from '../util/promise.js';
import { matcherOf } from './type-patterns.js';

/**
 * Narrows a sink to events of some types, or for which a predicate holds. A type may end in `*`, and may have its
 * context before it: `['outbid', 'instance_*', 'client:low_credit', 'host:*']`. The context is that of the webhook,
 * if its secret is labelled `client` or `host`; otherwise that which the catalogue has the type in. What neither tells,
 * such as `low_disk_space` without a label, is of both, so that nobody misses it. Throws a `TypeError` for what can
 * match nothing.
 */
export function when<Event = VastEvent>(
  types: string | readonly string[] | ((event: Event, delivery: Delivery) => boolean),
  sink: Sink<Event> | SinkFunction<Event>,
): Sink<Event> {
  const narrowed = toSink(sink);
  const matches = typeof types === 'function' ? types : matcherOf(types);
  return wrapSink(narrowed, {
    accepts(event, delivery) {
      const matched = matches(event, delivery);
      // A promise is true of everything: whoever asks refuses it.
      return matched && !isPromise(matched) ? (narrowed.accepts?.(event, delivery) ?? true) : matched;
    },
  });
}
