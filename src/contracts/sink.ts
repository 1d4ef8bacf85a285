import type { VastEvent } from '../providers/vast.js';
import type { Check } from '../util/check-options.js';
import type { Delivery } from './delivery.js';

/** What a sink gets beside the event. */
export interface SinkContext {
  /** How the event came in, with its signed bytes. */
  readonly delivery: Delivery;
  /** Aborted when the claim is lost or has lasted five minutes, not at the answer's deadline. */
  readonly signal: AbortSignal;
  /**
   * By when somebody is answered, whatever the sink is at: a time of `performance.now()`. Undefined where nobody waits,
   * behind an outbox or a queue.
   */
  readonly deadlineAt?: number;
}

/** Anything that must be told about an event. */
export interface Sink<Event = VastEvent> {
  /** Names it in the store and in outcomes. Unique among the sinks of a middleware; keep it over releases. */
  readonly name: string;
  /** Whether this event, which came by this delivery, is for this sink. All are, without it. */
  accepts?(event: Event, delivery: Delivery): boolean;
  /** Tells it. To reject or throw is to have failed; see `SinkError` for saying more. */
  deliver(event: Event, context: SinkContext): Promise<void> | void;
  /** How many events an outbox tells it of at once, in place of the outbox's own `concurrency`. */
  readonly concurrency?: number;
  /**
   * Tells now what it has gathered, and resolves when that is settled. Called when the middleware, forwarder or outbox
   * that it belongs to is closed, several times perhaps, which need not be the end of the sink. Does not throw.
   */
  flush?(): Promise<void> | void;
}

/** A named function, which is called with every event. What it returns is awaited and ignored. */
export type SinkFunction<Event = VastEvent> = (event: Event, context: SinkContext) => unknown;

/** How one sink fared: `already` by an earlier delivery, `skipped` as not for it, `pending` when the answer went out. */
export type SinkResult = 'delivered' | 'already' | 'skipped' | 'pending' | Error;

/** A sink that stands before another, and is the same but for what is given. */
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

/** Throws a `TypeError` for what is no sink. */
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

/** A sink's name, as an option or of an object. */
export const sinkName: Check = [
  (name) => typeof name === 'string' && name !== '' && name.length <= 255,
  'a string of 1 to 255 characters',
];

function checkConcurrency({ name, concurrency }: Sink<never>): void {
  if (concurrency === undefined || (Number.isSafeInteger(concurrency) && concurrency > 0)) return;
  throw new TypeError(`the concurrency of sink "${name}" must be a whole number of 1 at least`);
}

/** The sinks of one middleware or forwarder: each with a name, and no name twice. */
export function toSinks<Event>(sinks: readonly (Sink<Event> | SinkFunction<Event>)[]): Sink<Event>[] {
  const list = sinks.map(toSink);
  const names = new Set<string>();
  for (const { name } of list) {
    if (names.has(name)) throw new TypeError(`two sinks are named "${name}": give one of them another name`);
    names.add(name);
  }
  return list;
}
