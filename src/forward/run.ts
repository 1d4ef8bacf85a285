import { isPermanent } from '../answer.js';
import type { Clock, Timer } from '../clock.js';
import { type SinkTrace, traceSink } from '../diagnostics.js';
import { toError, WebhookError } from '../errors.js';
import { isPromise } from '../promise.js';
import type { Delivery, Received } from '../receive/delivery.js';
import type { Claim } from './claim.js';
import type { Sink, SinkContext, SinkResult } from './sink.js';
import type { Unrecorded } from './unrecorded.js';

/** How the service's own handler ended: its HTTP status, 0 when it gave none. */
export interface HandlerAnswer {
  readonly status: number;
  readonly error?: unknown;
}

/** Hands the event to the service's own code, whose answer settles the claim. Does not throw. */
export type Handler = (settle: (answer: HandlerAnswer) => void) => void;

/** What became of one delivery: taken, known already, or not taken, which is when `error` is set. */
export interface Forwarded {
  readonly duplicate: boolean;
  readonly error?: WebhookError;
  /** HTTP status of the handler, once it was handed the event; 0 when it did not answer. */
  readonly handlerStatus?: number;
  readonly sinks?: Readonly<Record<string, SinkResult>>;
}

/** What all runs of a forwarder share. */
export interface RunSettings<Event> {
  readonly sinks: readonly Sink<Event>[];
  readonly unrecorded: Unrecorded;
  readonly clock: Clock;
  /** Hears what no outcome can carry. Does not throw. */
  readonly onError: (error: Error, context: ErrorContext) => void;
}

/** Which event, and which sink if it was one, an error is about. */
export interface ErrorContext {
  /** The signed event id, unless there was none yet. */
  readonly id?: string;
  /** The event's type, `notif_type`, where it has one. */
  readonly type?: string;
  /** Name of the sink, when the error is of one. */
  readonly sink?: string;
}

const none: readonly never[] = [];

/** Stands among the sinks for the handler. No sink has an empty name. */
const handled = '';

/**
 * The work that one claim on an event is held for: the sinks, then the handler, then done or given back. It goes from
 * step to step without promises of its own: a delivery that nobody keeps waiting runs through in one go.
 */
export class Run<Event> {
  readonly #settings: RunSettings<Event>;
  readonly #received: Received<Event>;
  readonly #type: string | undefined;
  readonly #claim: Claim;
  readonly #handler: Handler | undefined;
  readonly #done: (forwarded: Forwarded) => void;
  readonly #leave: () => void;
  readonly #results: Record<string, SinkResult> = {};
  /** Those that somebody traces. */
  #traces: readonly SinkTrace[] = none;
  /** How many sinks are at work, and how many records of sinks on their way to the store. */
  #atWork = 0;
  #recording = 0;
  #failed = 0;
  /** Who has had the event without the store's knowing, and why it does not. */
  #unrecorded: readonly string[] = none;
  #storeError: WebhookError | undefined;
  #concluded = false;
  #handedOn = false;
  /** An earlier run here has had a 2xx of the handler, which the store does not know. */
  #isHandled = false;
  #handlerStatus: number | undefined;
  #deadline: Timer | undefined;
  /** Whether `done` was called before all was settled. */
  #late = false;
  #answered = false;
  /** Lost, while sinks of this process are still at work. */
  #isLingering = false;
  #isOver = false;

  /**
   * `done` is called once: at the end, or at the deadline. What goes wrong after that goes to `onError`. `leave` is
   * called when nothing more will happen.
   */
  constructor(
    settings: RunSettings<Event>,
    received: Received<Event>,
    type: string | undefined,
    claim: Claim,
    handler: Handler | undefined,
    done: (forwarded: Forwarded) => void,
    leave: () => void,
  ) {
    this.#settings = settings;
    this.#received = received;
    this.#type = type;
    this.#claim = claim;
    this.#handler = handler;
    this.#done = done;
    this.#leave = leave;
  }

  /**
   * `told` names the sinks that earlier claims have served. At `deadlineAt`, a time of the clock's `now()`, it is
   * late: the work goes on without an answer. A handler that has the event is waited for.
   */
  start(told: readonly string[], deadlineAt: number): void {
    const remembered = this.#settings.unrecorded.take(this.#claim.key);
    this.#isHandled = remembered.includes(handled);
    this.#unrecorded =
      remembered.length === 0 ? none : remembered.filter((sink) => sink !== handled && !told.includes(sink));
    const due = this.#due(told);
    this.#atWork = due.length;
    if (due.length === 0) {
      this.#conclude();
    } else {
      this.#claim.whenOver(() => this.#conclude());
      const context = new Context(this.#received.delivery, this.#claim, deadlineAt);
      for (const sink of due) this.#tell(sink, context);
      if (!this.#concluded) this.#claim.keepUp();
    }
    if (!this.#answered && !this.#handedOn && deadlineAt !== Number.POSITIVE_INFINITY) {
      this.#deadline = this.#settings.clock.unrefTimeout(
        () => this.#answerLate(),
        deadlineAt - this.#settings.clock.now(),
      );
    }
  }

  #due(told: readonly string[]): Sink<Event>[] {
    const due: Sink<Event>[] = [];
    for (const sink of this.#settings.sinks) {
      if (told.includes(sink.name) || this.#unrecorded.includes(sink.name)) {
        this.#results[sink.name] = 'already';
        continue;
      }
      try {
        const { event, delivery } = this.#received;
        const accepts = sink.accepts === undefined || sink.accepts(event, delivery);
        if (isPromise(accepts)) throw new TypeError(`accepts() of sink "${sink.name}" must not be asynchronous`);
        this.#results[sink.name] = accepts ? 'pending' : 'skipped';
        if (accepts) due.push(sink);
      } catch (error) {
        const trace = this.#trace(sink);
        trace?.run(() => {});
        this.#fail(sink.name, error, trace);
      }
    }
    return due;
  }

  #tell(sink: Sink<Event>, context: SinkContext): void {
    const { event } = this.#received;
    const trace = this.#trace(sink);
    let told: unknown;
    try {
      told = trace === undefined ? sink.deliver(event, context) : trace.run(() => sink.deliver(event, context));
    } catch (error) {
      this.#refused(sink, error, trace);
      return;
    }
    if (isPromise(told)) {
      // Which costs nothing for a promise, and makes one of what is only like it and may throw.
      Promise.resolve(told).then(
        () => this.#took(sink, trace),
        (error) => this.#refused(sink, error, trace),
      );
    } else {
      this.#took(sink, trace);
    }
  }

  #trace(sink: Sink<Event>): SinkTrace | undefined {
    const trace = traceSink(sink.name, this.#received.delivery, this.#type);
    if (trace !== undefined) this.#traces = [...this.#traces, trace];
    return trace;
  }

  #took(sink: Sink<Event>, trace: SinkTrace | undefined): void {
    this.#atWork--;
    trace?.settled();
    if (this.#concluded) {
      // The run may be over: the next one here shall know.
      if (this.#isOver) this.#settings.unrecorded.add(this.#claim.key, [sink.name]);
      else this.#results[sink.name] = 'delivered';
      this.#leaveIfLost();
      return;
    }
    this.#results[sink.name] = 'delivered';
    const isLast = this.#atWork === 0 && this.#recording === 0 && this.#failed === 0 && !this.#storeError;
    if (isLast && this.#handler === undefined) {
      // Completing says of this sink, too, that it was told: one call less for most deliveries.
      this.#conclude();
      return;
    }
    this.#recording++;
    const recorded = () => {
      this.#recording--;
      this.#whenAllTold();
    };
    this.#claim.delivered(sink.name, {
      ok: recorded,
      fail: (error) => {
        this.#unrecorded = [...this.#unrecorded, sink.name];
        this.#storeError ??= error;
        recorded();
      },
    });
  }

  #refused(sink: Sink<Event>, error: unknown, trace: SinkTrace | undefined): void {
    this.#atWork--;
    if (this.#concluded) {
      this.#leaveIfLost();
      return;
    }
    this.#fail(sink.name, error, trace);
    this.#whenAllTold();
  }

  #fail(sink: string, thrown: unknown, trace?: SinkTrace): void {
    const error = toError(thrown);
    this.#results[sink] = error;
    this.#failed++;
    trace?.settled(error);
  }

  #whenAllTold(): void {
    if (this.#atWork === 0 && this.#recording === 0) this.#conclude();
  }

  /** All sinks have settled and are recorded, or the claim is over. */
  #conclude(): void {
    if (this.#concluded) return;
    this.#concluded = true;
    // Nobody waits any longer for sinks that are still at work.
    if (this.#claim.end !== undefined) for (const trace of this.#traces) trace.settled(this.#claim.signal.reason);
    const error = this.#failure();
    if (error !== undefined) this.#giveBack(error);
    else if (this.#handler === undefined || this.#isHandled) this.#complete();
    else if (this.#late || this.#storeError) this.#giveBack(this.#storeError);
    else this.#handOn(this.#handler);
  }

  #failure(): WebhookError | undefined {
    if (this.#claim.end === 'lost') return lostError();
    if (this.#claim.end === 'expired') {
      for (const [name, result] of Object.entries(this.#results)) {
        if (result === 'pending') this.#fail(name, new Error('did not settle before its claim ended'));
      }
    }
    return this.#failed > 0 ? sinkFailed(this.#results) : undefined;
  }

  #complete(): void {
    if (this.#storeError !== undefined) {
      this.#answerAndPersist(this.#storeError, 'completed');
      return;
    }
    this.#claim.complete({
      ok: (held) => this.#end(held ? undefined : lostError()),
      fail: (error) => this.#answerAndPersist(error, 'completed'),
    });
  }

  #handOn(handler: Handler): void {
    this.#handedOn = true;
    this.#settings.clock.clear(this.#deadline);
    this.#claim.whenOver(() => {
      const giveUp = () => this.#handled({ status: 0, error: new Error('not in time') });
      if (this.#claim.end === 'expired') giveUp();
      // Its answer is still the sender's, but it may never come.
      else this.#claim.linger(() => this.#handlerStatus === undefined, giveUp);
    });
    this.#claim.keepUp();
    try {
      handler((answer) => this.#handled(answer));
    } catch (error) {
      this.#handled({ status: 0, error });
    }
  }

  #handled({ status, error }: HandlerAnswer): void {
    if (this.#handlerStatus !== undefined) return;
    this.#handlerStatus = status;
    if (status < 200 || status > 299) {
      this.#giveBack(handlerFailed(status, error));
    } else if (this.#claim.end !== undefined) {
      this.#answer(undefined);
      this.#over(false);
    } else {
      this.#claim.complete({
        ok: (held) => {
          this.#answer(undefined);
          this.#over(held);
        },
        fail: (failure) => {
          // The sender has its 2xx already, so that no answer can tell.
          this.#report(failure);
          this.#answerAndPersist(undefined, 'completed');
        },
      });
    }
  }

  #giveBack(error?: WebhookError): void {
    if (this.#unrecorded.length > 0) this.#answerAndPersist(error, this.#unrecorded);
    else this.#claim.release({ ok: () => this.#end(error), fail: () => this.#answerAndPersist(error, none) });
  }

  #answerAndPersist(error: WebhookError | undefined, what: 'completed' | readonly string[]): void {
    this.#answer(error);
    this.#claim.persist(what, (isRecorded) => {
      this.#over(isRecorded && what === 'completed');
    });
  }

  #end(error?: WebhookError): void {
    this.#answer(error);
    this.#over(error === undefined);
  }

  /** Whatever the store forgets, this process does not deliver again what its own sinks have taken. */
  #over(isCompleted: boolean): void {
    if (this.#claim.end === 'lost' && this.#atWork > 0) {
      this.#isLingering = true;
      this.#claim.linger(
        () => this.#isLingering,
        () => this.#leaveNow(),
      );
      return;
    }
    if (isCompleted) this.#leaveCompleted();
    else this.#leaveNow();
  }

  #leaveIfLost(): void {
    if (this.#isLingering && this.#atWork === 0) this.#leaveNow();
  }

  #leaveNow(): void {
    this.remember();
    this.#leaveCompleted();
  }

  #leaveCompleted(): void {
    this.#isLingering = false;
    this.#isOver = true;
    this.#leave();
  }

  #answer(error: WebhookError | undefined): void {
    this.#answered = true;
    this.#settings.clock.clear(this.#deadline);
    if (this.#late) this.#reportFailures(error);
    else this.#done(this.#forwarded(error));
  }

  /** Until when other deliveries of the event are kept from it here. */
  get knownUntil(): number {
    return this.#claim.knownUntil;
  }

  /** Keeps what has been reached for the next run here. */
  remember(): void {
    const told = Object.keys(this.#results).filter((name) => {
      const result = this.#results[name];
      return result === 'delivered' || result === 'already';
    });
    const status = this.#handlerStatus ?? 0;
    if (this.#isHandled || (status >= 200 && status < 300)) told.push(handled);
    if (told.length > 0) this.#settings.unrecorded.add(this.#claim.key, told);
  }

  #answerLate(): void {
    this.#late = true;
    const pending = Object.keys(this.#results).filter((name) => this.#results[name] === 'pending');
    const what = pending.length > 0 ? pending.join(', ') : 'the idempotency store';
    this.#done(this.#forwarded(new WebhookError('deadline_exceeded', `still at work at the deadline: ${what}`)));
  }

  #forwarded(error?: WebhookError): Forwarded {
    const sinks = this.#settings.sinks.length > 0 ? { ...this.#results } : undefined;
    return { duplicate: false, error, handlerStatus: this.#handlerStatus, sinks };
  }

  #reportFailures(error: WebhookError | undefined): void {
    if (error !== undefined && error.code !== 'sink_failed') this.#report(error);
    for (const [name, result] of Object.entries(this.#results)) {
      if (typeof result !== 'string') this.#report(result, name);
    }
  }

  #report(error: Error, sink?: string): void {
    this.#settings.onError(error, { id: this.#received.delivery.id, type: this.#type, sink });
  }
}

/** Made once a run: the signal costs an AbortController, so it waits until a sink asks for it. */
class Context implements SinkContext {
  readonly delivery: Delivery;
  readonly deadlineAt: number | undefined;
  readonly #claim: Claim;

  constructor(delivery: Delivery, claim: Claim, deadlineAt: number) {
    this.delivery = delivery;
    this.deadlineAt = deadlineAt === Number.POSITIVE_INFINITY ? undefined : deadlineAt;
    this.#claim = claim;
  }

  get signal(): AbortSignal {
    return this.#claim.signal;
  }
}

function lostError(): WebhookError {
  return new WebhookError('in_flight', 'the claim was lost: another delivery of the event is being processed');
}

function sinkFailed(results: Readonly<Record<string, SinkResult>>): WebhookError {
  const failures = Object.entries(results).filter((entry): entry is [string, Error] => typeof entry[1] !== 'string');
  const message = failures.map(([name, error]) => `${name}: ${error.message}`).join('; ');
  const errors = failures.map(([, error]) => error);
  const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, message);
  return new WebhookError('sink_failed', message, { cause });
}

function handlerFailed(status: number, cause: unknown): WebhookError {
  const what = status === 0 ? 'the handler gave no answer' : `the handler answered ${status}`;
  const why = cause === undefined ? '' : `: ${toError(cause).message}`;
  return new WebhookError('handler_failed', what + adviceFor(status) + why, { status, cause });
}

function adviceFor(status: number): string {
  if (!isPermanent(status)) return '';
  const lost = ', after which the sender gives the event up: answer 2xx when it is taken, 5xx to have it again';
  return status === 404 ? `${lost} (is there a handler for this path behind the middleware?)` : lost;
}
