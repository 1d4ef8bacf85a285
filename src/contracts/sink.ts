import type { VastEvent } from '../providers/vast.js';
import type { Check } from '../util/check-options.js';
import type { Delivery } from './delivery.js';

/** What a sink gets with the event. */
export interface SinkContext {
  /** How the event arrived, with its signed bytes. */
  readonly delivery: Delivery;
  /** Aborted when the lease is lost or the work has lasted five minutes, not at the answer's deadline. */
  readonly signal: AbortSignal;
  /**
   * When the sender is answered at the latest: a time of `performance.now()`. Undefined behind an outbox or a queue, where
   * no sender waits.
   */
  readonly deadlineAt?: number;
  /**
   * Keeps the request's timers and connections until the promise settles. For work that goes on after `deliver` has
   * settled. Undefined unless the platform gave the request's `waitUntil` to the middleware.
   */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
}

/** Something that events are delivered to. */
export interface Sink<Event = VastEvent> {
  /** Its name in the store and in outcomes. Unique among the sinks of a middleware. Keep it over releases. */
  readonly name: string;
  /** Whether the event is for this sink. Without this method, all events are. */
  accepts?(event: Event, delivery: Delivery): boolean;
  /** Delivers the event. It has failed if it throws or rejects; a `SinkError` can say more. */
  deliver(event: Event, context: SinkContext): Promise<void> | void;
  /** How many events an outbox delivers to it at once, in place of the outbox's `concurrency`. */
  readonly concurrency?: number;
  /**
   * Delivers the events that it has buffered, and resolves when that is settled. `close()` of the middleware, forwarder
   * or outbox calls it, perhaps several times. The sink may be used after that. Does not throw.
   */
  flush?(): Promise<void> | void;
}

/** A named function, which is called with every event. Its result is awaited and ignored. */
export type SinkFunction<Event = VastEvent> = (event: Event, context: SinkContext) => unknown;

/** How long an event may be processed: for so long a lease is renewed, and then the sinks' signal is aborted. */
export const maxWorkMs = 5 * 60_000;

/** The result of one sink. `already`: by an earlier attempt. `skipped`: not for it. `pending`: not settled at the answer. */
export type SinkResult = 'delivered' | 'already' | 'skipped' | 'pending' | Error;

/** Wraps a sink: the same, except for what `changes` has. */
export function wrapSink<Event>(sink: Sink<Event>, changes: Partial<Sink<Event>>): Sink<Event> {
  return {
    name: sink.name,
    concurrency: sink.concurrency,
    accepts: sink.accepts?.bind(sink),
    deliver: sink.deliver.bind(sink),
    flush: sink.flush?.bind(sink),
    ...changes,
  };
}

/** Throws a `TypeError` if it is no sink. */
export function toSink<Event>(sink: Sink<Event> | SinkFunction<Event>): Sink<Event> {
  if (typeof sink !== 'function') {
    if (typeof sink?.deliver !== 'function') {
      throw new TypeError('a sink must be a named function or an object with a name and a deliver(event, context)');
    }
    const [isName, form] = sinkName;
    if (!isName(sink.name)) throw new TypeError(`a sink's name must be ${form}`);
    checkConcurrency(sink);
    return sink;
  }
  if (sink.name === '') {
    throw new TypeError(
      'a sink has no name: write `async function audit(event) {...}` instead of `async (event) => {...}`, or { name, deliver }',
    );
  }
  return { name: sink.name, deliver: sink as Sink<Event>['deliver'] };
}

/** Checks the name of a sink. */
export const sinkName: Check = [
  (name) => typeof name === 'string' && name !== '' && name.length <= 255,
  'a string of 1 to 255 characters',
];

function checkConcurrency({ name, concurrency }: Sink<never>): void {
  if (concurrency === undefined || (Number.isSafeInteger(concurrency) && concurrency > 0)) return;
  throw new TypeError(`the concurrency of sink "${name}" must be a whole number of 1 at least`);
}

/** The sinks of one middleware or forwarder. Throws a `TypeError` if two have the same name. */
export function toSinks<Event>(sinks: readonly (Sink<Event> | SinkFunction<Event>)[]): Sink<Event>[] {
  const list = sinks.map(toSink);
  const names = new Set<string>();
  for (const { name } of list) {
    if (names.has(name)) throw new TypeError(`two sinks are named "${name}": give one of them another name`);
    names.add(name);
  }
  return list;
}
