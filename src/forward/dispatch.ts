import { eventType, type ReceivedDelivery } from '../contracts/delivery.js';
import { toError, type WebhookError } from '../contracts/errors.js';
import type { ErrorContext, Forwarded, HandlerAnswer } from '../contracts/result.js';
import type { Sink, SinkResult } from '../contracts/sink.js';
import type { ClaimResult } from '../contracts/store.js';
import { type SinkTrace, traceSink } from '../diagnostics.js';
import type { Clock, Timer } from '../util/clock.js';
import { keepNewest } from '../util/keep-newest.js';
import type { KeyMap } from '../util/key-map.js';
import { isPromise } from '../util/promise.js';
import type { Hold } from '../util/shared-work.js';
import type { AbandonedClaims } from './abandoned-claims.js';
import { Core, type Effects, type Held, type Operation, type SinkState } from './core.js';
import { DispatchContext } from './dispatch-context.js';
import type { Drain } from './drain.js';
import { inFlight, unavailable } from './failures.js';
import type { GuardedStore, StoreCaller } from './guarded-store.js';
import type { LocalProgress } from './local-progress.js';

/** Calls the user's handler, whose answer settles the claim. Does not throw. */
export type Handler = (settle: (answer: HandlerAnswer) => void) => void;

/** What all dispatches of a receiver share. Durations are milliseconds. */
export interface DispatchSettings<Event> {
  readonly sinks: readonly Sink<Event>[];
  readonly store: GuardedStore;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly completedTtlMs: number;
  readonly drain: Drain;
  readonly progress: LocalProgress;
  readonly abandoned: AbandonedClaims;
  /** Events in progress here. The store may have lost their leases in an outage. */
  readonly running: KeyMap<Dispatch<Event>>;
  /** Called with errors that no outcome can carry. Does not throw. */
  readonly onError: (error: Error, context: ErrorContext) => void;
}

const duplicate: Forwarded = { duplicate: true };
const none: readonly never[] = [];

/** The handler's name among the sinks. No sink has an empty name. */
const handler = '';

/**
 * How long another dispatch of the event keeps this process to itself. A dispatch that is out of time may still run,
 * but it shares its progress now, because the next one must not repeat it.
 */
export function msLeftOf<Event>(other: Dispatch<Event> | undefined, clock: Clock): number {
  if (other === undefined) return 0;
  const leftMs = other.knownUntil - clock.now();
  if (leftMs <= 0) other.remember();
  return Math.max(0, leftMs);
}

/**
 * Processes one event while we hold its lease: does what the core asks for, with the store, timers and sinks. It makes
 * no promise of its own, so a delivery for which nothing waits is done in one synchronous run.
 */
export class Dispatch<Event> implements Effects, StoreCaller {
  readonly #settings: DispatchSettings<Event>;
  readonly #core: Core;
  readonly #received: ReceivedDelivery<Event>;
  readonly #key: string;
  readonly #hash: number;
  readonly #token: string;
  readonly #deadlineAt: number;
  readonly #handler: Handler | undefined;
  readonly #done: (forwarded: Forwarded) => void;
  readonly #hold: Hold | undefined;
  #release: (() => void) | undefined;
  #hasLeft = false;
  #context: DispatchContext | undefined;
  /** The sinks' traces, if anybody subscribes. */
  #traces: readonly SinkTrace[] = none;
  #timer: Timer | undefined;

  /**
   * Calls `done` exactly once: at the end or at the deadline, a time of the clock's `now()`. Later errors go to
   * `onError`. `hold` keeps the request's timers and connections until nothing more will happen.
   */
  constructor(
    settings: DispatchSettings<Event>,
    received: ReceivedDelivery<Event>,
    key: string,
    hash: number,
    token: string,
    deadlineAt: number,
    handler: Handler | undefined,
    done: (forwarded: Forwarded) => void,
    hold: Hold | undefined,
  ) {
    this.#settings = settings;
    this.#core = new Core(this, settings, deadlineAt, handler !== undefined);
    this.#received = received;
    this.#key = key;
    this.#hash = hash;
    this.#token = token;
    this.#deadlineAt = deadlineAt;
    this.#handler = handler;
    this.#done = done;
    this.#hold = hold;
  }

  start(): void {
    const { store, drain, leaseMs } = this.#settings;
    drain.enter();
    keepNewest('dispatch', this);
    if (store.isOpen()) {
      this.#done({ duplicate: false, error: unavailable('claim', 'too many calls to it are overdue') });
      this.#leave();
    } else {
      store.claim(this.#key, this.#token, leaseMs, this.#deadlineAt, this);
    }
    // Most are over by now, and a call into the platform costs microseconds.
    if (this.#hasLeft) return;
    this.#hold?.(
      new Promise<void>((resolve) => {
        this.#release = resolve;
      }),
    );
  }

  /** Until when other deliveries of the event get `in_flight` from this process. */
  get knownUntil(): number {
    return this.#core.knownUntil;
  }

  claimed(result: ClaimResult | WebhookError): void {
    const { progress, running, abandoned, clock } = this.#settings;
    if (result instanceof Error) {
      this.#done({ duplicate: false, error: result });
      if (isUnclaimed(result.cause)) this.#leave();
      else abandoned.add(this.#key, this.#token, () => this.#leave(), this.#hold);
    } else if (result.state === 'acquired') {
      // Both asked before either had the lease, and the store has lost the other one's lease since.
      const leftMs = msLeftOf(running.get(this.#key, this.#hash), clock);
      if (leftMs > 0) {
        this.#done({ duplicate: false, error: inFlight(leftMs) });
        abandoned.add(this.#key, this.#token, () => this.#leave(), this.#hold);
        return;
      }
      const known = progress.take(this.#key);
      this.#core.claimed(this.#plan(result.delivered, known), known.includes(handler));
      // Most dispatches are over by now.
      if (this.#core.phase !== 'over') running.set(this.#key, this.#hash, this);
    } else {
      if (result.state === 'completed') progress.take(this.#key);
      this.#done(result.state === 'completed' ? duplicate : { duplicate: false, error: inFlight(result.retryAfterMs) });
      this.#leave();
    }
  }

  claimedLate(result: ClaimResult | undefined): void {
    if (result !== undefined && result.state !== 'acquired') return;
    this.#settings.abandoned.add(this.#key, this.#token, () => {}, this.#hold);
  }

  stored(operation: Operation, held: Held, sink?: number): void {
    this.#core.stored(operation, held, sink);
  }

  now(): number {
    return this.#settings.clock.now();
  }

  wake(at: number): void {
    const { clock } = this.#settings;
    clock.clear(this.#timer);
    this.#timer = clock.unrefTimeout(() => this.#core.tick(), Math.max(0, at - clock.now()));
  }

  ask(operation: Operation, sink?: number): void {
    const { store, leaseMs, completedTtlMs, sinks } = this.#settings;
    let argument: number | string = completedTtlMs;
    if (operation === 'renew') argument = leaseMs;
    else if (sink !== undefined) argument = (sinks[sink] as Sink<Event>).name;
    // The lease expires by itself, and one more call that hangs would stay overdue for ever.
    else if (operation === 'release' && store.isOverdue) {
      this.#core.stored(operation, unavailable(operation, 'too many calls to it are overdue'));
      return;
    }
    store.call(operation, this.#key, this.#token, argument, this, sink);
  }

  deliver(index: number): void {
    const sink = this.#settings.sinks[index] as Sink<Event>;
    const { event, delivery } = this.#received;
    this.#context ??= new DispatchContext(delivery, this.#deadlineAt, this.#hold);
    const context = this.#context;
    const trace = this.#trace(sink);
    let delivering: unknown;
    try {
      delivering = trace === undefined ? sink.deliver(event, context) : trace.run(() => sink.deliver(event, context));
    } catch (error) {
      this.#settled(index, trace, toError(error));
      return;
    }
    if (isPromise(delivering)) {
      // Promise.resolve() returns a native promise as it is, and wraps a thenable whose then() may throw.
      Promise.resolve(delivering).then(
        () => this.#settled(index, trace),
        (error) => this.#settled(index, trace, toError(error)),
      );
    } else {
      this.#settled(index, trace);
    }
  }

  callHandler(): void {
    try {
      this.#handler?.(({ status, error }) => this.#core.handled(status, error));
    } catch (error) {
      this.#core.handled(0, error);
    }
  }

  reply(error?: WebhookError): void {
    const status = this.#core.handler;
    this.#done({
      duplicate: false,
      error,
      handlerStatus: typeof status === 'number' ? status : undefined,
      sinks: this.#settings.sinks.length > 0 ? this.#results() : undefined,
    });
  }

  report(error: Error, sink?: number): void {
    const name = sink === undefined ? undefined : this.#settings.sinks[sink]?.name;
    this.#settings.onError(error, { id: this.#received.delivery.id, type: eventType(this.#received), sink: name });
  }

  abort(reason: Error): void {
    this.#context?.abort(reason);
    // Ends the traces of sinks that still run.
    for (const trace of this.#traces) trace.settled(reason);
  }

  remember(sink?: number): void {
    const { sinks, progress } = this.#settings;
    const names: string[] = [];
    for (const [index, { name }] of sinks.entries()) {
      if (sink === undefined ? this.#core.isDelivered(index) : index === sink) names.push(name);
    }
    if (sink === undefined && this.#core.isHandled) names.push(handler);
    if (names.length > 0) progress.add(this.#key, names);
  }

  over(): void {
    const { clock, running } = this.#settings;
    clock.clear(this.#timer);
    running.delete(this.#key, this.#hash, this);
    this.#leave();
  }

  #settled(sink: number, trace: SinkTrace | undefined, error?: Error): void {
    trace?.settled(error);
    this.#core.settled(sink, error);
  }

  #leave(): void {
    this.#hasLeft = true;
    this.#settings.drain.leave();
    this.#release?.();
  }

  /** Which sinks are due, according to the store and this process. */
  #plan(delivered: readonly string[], known: readonly string[]): SinkState[] {
    return this.#settings.sinks.map((sink) => {
      if (delivered.includes(sink.name)) return 'already';
      if (known.includes(sink.name)) return 'remembered';
      return sink.accepts === undefined ? 'due' : this.#accepted(sink);
    });
  }

  #accepted(sink: Sink<Event>): SinkState {
    try {
      const { event, delivery } = this.#received;
      const accepts = sink.accepts?.(event, delivery);
      if (isPromise(accepts)) throw new TypeError(`accepts() of sink "${sink.name}" must not be asynchronous`);
      return accepts ? 'due' : 'skipped';
    } catch (thrown) {
      const error = toError(thrown);
      const trace = this.#trace(sink);
      trace?.run(() => {});
      trace?.settled(error);
      return error;
    }
  }

  #trace(sink: Sink<Event>): SinkTrace | undefined {
    const trace = traceSink(sink.name, this.#received);
    if (trace !== undefined) this.#traces = [...this.#traces, trace];
    return trace;
  }

  #results(): Record<string, SinkResult> {
    const { sinks } = this.#settings;
    const results: Record<string, SinkResult> = {};
    for (let sink = 0; sink < sinks.length; sink++) {
      results[(sinks[sink] as Sink<Event>).name] = this.#core.resultOf(sink);
    }
    return results;
  }
}

function isUnclaimed(cause: unknown): boolean {
  return (Object(cause) as { unclaimed?: unknown }).unclaimed === true;
}
