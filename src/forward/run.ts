import { isPermanent } from '../answer.js';
import { toError, toWebhookError, WebhookError } from '../errors.js';
import type { Delivery, Verified } from '../receive/delivery.js';
import { isPromise } from './bounded-store.js';
import type { Claim } from './claim.js';
import type { Sink, SinkContext, SinkResult } from './sink.js';

/** How the service's own handler ended: its HTTP status, 0 when it gave none. */
export interface HandlerAnswer {
  readonly status: number;
  readonly error?: unknown;
}

/** Hands the event to the service's own code, whose answer settles the claim. Does not throw. */
export type Handler = (settle: (answer: HandlerAnswer) => void) => void;

/** What became of one verified delivery: taken, known already, or not taken, which is when `error` is set. */
export interface Forwarded {
  readonly duplicate: boolean;
  readonly error?: WebhookError;
  /** HTTP status of the handler, once it was handed the event; 0 when it did not answer. */
  readonly handlerStatus?: number;
  readonly sinks?: Readonly<Record<string, SinkResult>>;
}

/** The work that one claim on an event is held for: sinks first, then the handler, then done or given back. */
export class Run<Event> {
  readonly #sinks: readonly Sink<Event>[];
  readonly #verified: Verified<Event>;
  readonly #claim: Claim;
  readonly #handler: Handler | undefined;
  readonly #onError: (error: Error, sink?: string) => void;
  readonly #results: Record<string, SinkResult> = {};
  #failed = 0;
  #open = 0;
  #recording = 0;
  #storeError: WebhookError | undefined;
  #late = false;
  /** Whether the handler has the event: from then on only its answer counts. */
  handedOn = false;
  /** Whether the work has ended. */
  done = false;

  constructor(
    sinks: readonly Sink<Event>[],
    verified: Verified<Event>,
    claim: Claim,
    handler: Handler | undefined,
    onError: (error: Error, sink?: string) => void,
  ) {
    this.#sinks = sinks;
    this.#verified = verified;
    this.#claim = claim;
    this.#handler = handler;
    this.#onError = onError;
  }

  /** Does it all, and never rejects. `told` names the sinks that earlier claims have served. */
  async work(told: readonly string[]): Promise<Forwarded> {
    try {
      const due = this.#due(told);
      if (due.length > 0) await this.#tell(due);
      const error = this.#failure();
      if (error !== undefined) return await this.#giveBack(error);
      if (this.#handler !== undefined && !this.#late) return await this.#handOn(this.#handler);
      if (this.#handler !== undefined) return await this.#giveBack();
      const completed = this.#claim.complete();
      if (isPromise(completed) ? await completed : completed) return this.#end();
      return this.#end(lostError());
    } catch (error) {
      return await this.#giveBack(toWebhookError(error));
    } finally {
      this.done = true;
    }
  }

  /**
   * What `work` gives, or at `deadlineAt` that it is late: then the work goes on, and its failures are reported.
   * Calls `onSettled` when there is nothing more to come.
   */
  byDeadline(work: Promise<Forwarded>, deadlineAt: number, onSettled: () => void): Promise<Forwarded> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        if (this.handedOn || this.done) return;
        this.#late = true;
        const pending = Object.keys(this.#results).filter((name) => this.#results[name] === 'pending');
        const what = pending.length > 0 ? pending.join(', ') : 'the idempotency store';
        resolve(this.#end(new WebhookError('deadline_exceeded', `still at work at the deadline: ${what}`)));
      }, deadlineAt - performance.now());
      timer.unref();
      void work.then((forwarded) => {
        clearTimeout(timer);
        if (this.#late) this.#reportFailures(forwarded);
        else resolve(forwarded);
        onSettled();
      });
    });
  }

  #due(told: readonly string[]): Sink<Event>[] {
    const due: Sink<Event>[] = [];
    for (const sink of this.#sinks) {
      if (told.includes(sink.name)) {
        this.#results[sink.name] = 'already';
        continue;
      }
      try {
        const accepts = sink.accepts === undefined || sink.accepts(this.#verified.event);
        if (isPromise(accepts)) throw new TypeError(`accepts() of sink "${sink.name}" must not be asynchronous`);
        this.#results[sink.name] = accepts ? 'pending' : 'skipped';
        if (accepts) due.push(sink);
      } catch (error) {
        this.#fail(sink.name, error);
      }
    }
    return due;
  }

  /** Resolves when all sinks have settled and are recorded, or when the claim is over. */
  #tell(due: readonly Sink<Event>[]): Promise<void> {
    const { delivery, event } = this.#verified;
    const context = new Context(delivery, this.#claim);
    this.#open = due.length;
    return new Promise((resolve) => {
      this.#claim.onEnd = resolve;
      this.#claim.keepUp();
      for (const sink of due) {
        void this.#tellOne(sink, event, context).then(() => {
          if (this.#open === 0 && this.#recording === 0) resolve();
        });
      }
    });
  }

  async #tellOne(sink: Sink<Event>, event: Event, context: SinkContext): Promise<void> {
    try {
      const told: unknown = sink.deliver(event, context);
      if (isPromise(told)) await told;
    } catch (error) {
      this.#open--;
      if (this.#claim.end === undefined) this.#fail(sink.name, error);
      return;
    }
    this.#open--;
    if (this.#claim.end !== undefined) return;
    this.#results[sink.name] = 'delivered';
    // Completing says of the last sink that it was told, too: one call less for most deliveries.
    const isLast = this.#open === 0 && this.#recording === 0 && this.#failed === 0 && !this.#storeError;
    if (isLast && this.#handler === undefined) return;
    this.#recording++;
    try {
      const recorded = this.#claim.delivered(sink.name);
      if (isPromise(recorded)) await recorded;
    } catch (error) {
      this.#storeError ??= toWebhookError(error);
    } finally {
      this.#recording--;
    }
  }

  #fail(sink: string, error: unknown): void {
    this.#results[sink] = toError(error);
    this.#failed++;
  }

  #failure(): WebhookError | undefined {
    if (this.#claim.end === 'lost') return lostError();
    if (this.#claim.end === 'expired') {
      for (const [name, result] of Object.entries(this.#results)) {
        if (result === 'pending') this.#fail(name, new Error('did not settle before its claim ended'));
      }
    }
    if (this.#failed > 0) return sinkFailed(this.#results);
    return this.#storeError;
  }

  async #handOn(handler: Handler): Promise<Forwarded> {
    this.handedOn = true;
    this.#claim.keepUp();
    const { status, error } = await new Promise<HandlerAnswer>((settle) => {
      this.#claim.onEnd = () => {
        if (this.#claim.end === 'expired') settle({ status: 0, error: new Error('it did not answer in time') });
      };
      handler(settle);
    });
    if (status < 200 || status > 299) {
      return { ...(await this.#giveBack(handlerFailed(status, error))), handlerStatus: status };
    }
    if (this.#claim.end === undefined) {
      try {
        const completed = this.#claim.complete();
        if (isPromise(completed)) await completed;
      } catch (failure) {
        // The sender has its 2xx already, so that no answer can tell.
        this.#onError(toError(failure));
      }
    }
    return { ...this.#end(), handlerStatus: status };
  }

  async #giveBack(error?: WebhookError): Promise<Forwarded> {
    await this.#claim.release();
    return this.#end(error);
  }

  #end(error?: WebhookError): Forwarded {
    const sinks = this.#sinks.length > 0 ? { ...this.#results } : undefined;
    return { duplicate: false, error, sinks };
  }

  #reportFailures({ error, sinks = {} }: Forwarded): void {
    if (error !== undefined && error.code !== 'sink_failed') this.#onError(error);
    for (const [name, result] of Object.entries(sinks)) {
      if (typeof result !== 'string') this.#onError(result, name);
    }
  }
}

/** Made once a run: the signal costs an AbortController, so it waits until a sink asks for it. */
class Context implements SinkContext {
  readonly delivery: Delivery;
  readonly #claim: Claim;

  constructor(delivery: Delivery, claim: Claim) {
    this.delivery = delivery;
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
