import type { Delivery } from '../contracts/delivery.js';
import { type Sink, type SinkFunction, toSink, wrapSink } from '../contracts/sink.js';
import type { VastEvent } from '../providers/vast.js';
import { isPromise } from '../util/promise.js';
import { matcherOf } from './type-patterns.js';

/**
 * Restricts a sink to events of some types, or to events for which a predicate returns true. A type may end in `*`, and
 * may start with its context: `['outbid', 'instance_*', 'client:low_credit', 'host:*']`. The context is the label of
 * the webhook's secret, if that is `client` or `host`, and otherwise the context of the type in the catalogue. If neither
 * decides, as for `low_disk_space` without a label, both contexts match, so that no event is missed. Throws a
 * `TypeError` for a pattern that matches no event.
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
      // Pass a promise on unchanged, because the caller refuses it. As a condition it would always be true.
      return matched && !isPromise(matched) ? (narrowed.accepts?.(event, delivery) ?? true) : matched;
    },
  });
}
