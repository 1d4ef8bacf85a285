import type { Settings } from './options.js';

/** For each store: its receivers by scope and provider, and what they do with an event. */
const receivers = new WeakMap<object, Map<string, { readonly does: string; count: number }>>();

/**
 * Throws a `TypeError` if another receiver of this process has the same store and scope but different sinks, because the
 * second one would answer 204 for events that its sinks never get. Returns a function that unregisters it.
 */
export function registerReceiver<Event>(
  provider: string,
  { store, scope, sinks, handoff }: Pick<Settings<Event>, 'store' | 'scope' | 'sinks' | 'handoff'>,
): () => void {
  const places = receivers.get(store) ?? new Map();
  receivers.set(store, places);
  const place = `${scope}:${provider}`;
  const does = JSON.stringify([handoff, ...sinks.map(({ name }) => name).sort()]);
  const known = places.get(place);
  if (known === undefined) {
    places.set(place, { does, count: 1 });
  } else if (known.does === does) {
    known.count++;
  } else {
    throw new TypeError(
      `two middlewares or forwarders with different sinks or handoff share one store and the scope "${scope}", so that each event would reach only one of them: give one of them the option scope, such as { scope: 'billing' }`,
    );
  }
  let isOver = false;
  return () => {
    const entry = places.get(place);
    if (isOver || entry === undefined) return;
    isOver = true;
    entry.count--;
    if (entry.count === 0) places.delete(place);
  };
}
