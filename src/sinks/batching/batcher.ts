import { eventType, type ReceivedDelivery } from '../../contracts/delivery.js';
import { toError } from '../../contracts/errors.js';
import type { ErrorContext } from '../../contracts/result.js';
import { maxWorkMs, type Sink, type SinkContext } from '../../contracts/sink.js';
import { logError } from '../../log.js';
import { waitAfter } from '../../util/backoff.js';
import { type Clock, systemClock, type Timer } from '../../util/clock.js';
import { swallowErrors } from '../../util/swallow-errors.js';
import { Batch } from './batch.js';

/** Called with each event or digest that was answered and could then not be delivered. */
export type OnError = (error: Error, context: ErrorContext) => unknown;

/** How many events an outbox delivers at once. Behind an outbox, no digest can be larger. */
export const concurrency = 10_000;

/** A batch of this size is delivered before its window ends, so that memory stays bounded. */
const maxEvents = 100_000;

/** Time for the delivery itself, between the end of the window and a request's deadline. */
const deliveryMs = 1_000;

/** Retry policy for events that were answered already, because their sender will not send them again. */
const backoff = { minBackoffMs: 1_000, maxBackoffMs: 60_000, giveUpAfterMs: 15 * 60_000, giveUpOnPermanent: true };

/**
 * Buffers events until a window ends, and then delivers them to the sink as one batch. A request waits for the batch
 * if its deadline allows. Otherwise it is answered at once, and the batcher retries the delivery itself.
 */
export class Batcher<Event extends object> {
  readonly #sink: Sink<Event>;
  readonly #clock: Clock;
  readonly #onError: (error: Error, context: ErrorContext) => void;
  #batch: Batch | undefined;
  #endsAt = 0;
  #timer: Timer | undefined;
  readonly #deliveries = new Set<Promise<void>>();
  readonly #pauses = new Set<() => void>();
  #flushes = 0;

  constructor(sink: Sink<Event>, onError: OnError = logError, clock: Clock = systemClock) {
    this.#clock = clock;
    this.#sink = sink;
    this.#onError = swallowErrors(onError);
  }

  /** `endsAt`, a time of the clock's `now()`, is when a window that this event opens will end. */
  add(event: Event, context: SinkContext, endsAt: number): Promise<void> | undefined {
    const isNew = this.#batch === undefined;
    if (isNew) this.#endsAt = endsAt;
    this.#batch ??= new Batch();
    const batch = this.#batch;
    const canWait = this.#endsAt + deliveryMs <= (context.deadlineAt ?? Number.POSITIVE_INFINITY);
    // Each waiting request sets the timer anew, because an isolate loses the timers of requests that have ended.
    if (isNew || canWait) this.#setTimer();
    let delivered: Promise<void> | undefined;
    if (canWait) delivered = batch.addWaiting(event, context);
    else batch.addAnswered(event, context.delivery);
    if (batch.size >= maxEvents || this.#clock.now() >= this.#endsAt) this.#close();
    return delivered;
  }

  #setTimer(): void {
    this.#clock.clear(this.#timer);
    this.#timer = this.#clock.unrefTimeout(() => this.#close(), Math.max(0, this.#endsAt - this.#clock.now()));
  }

  /** Delivers all buffered events now. Resolves when each batch is delivered or given up. */
  async flush(): Promise<void> {
    this.#flushes++;
    this.#close();
    // Only the first call ends the backoff pauses, because close() calls flush() many times.
    if (this.#flushes === 1) for (const resume of this.#pauses) resume();
    // The sink may buffer, too, and then still has the events that it just got.
    await Promise.allSettled([...this.#deliveries, this.#sink.flush?.()]);
    this.#flushes--;
  }

  #close(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    this.#clock.clear(this.#timer);
    const delivering = this.#deliverBatch(batch).then(() => {
      this.#deliveries.delete(delivering);
    });
    this.#deliveries.add(delivering);
  }

  async #deliverBatch(batch: Batch): Promise<void> {
    const startedAt = this.#clock.now();
    for (let attempts = 1; batch.size > 0; attempts++) {
      const received = batch.toDeliver();
      try {
        await this.#deliver(received, batch);
        batch.delivered();
      } catch (error) {
        batch.failed(toError(error));
        if (batch.size === 0) return;
        const ageMs = this.#clock.now() - startedAt;
        const waitMs = waitAfter(error, attempts, ageMs, backoff);
        if (waitMs === undefined) {
          this.#report(error, received, batch);
          return;
        }
        await this.#pause(waitMs);
      }
    }
  }

  async #deliver({ event, delivery }: ReceivedDelivery<object>, batch: Batch): Promise<void> {
    const abort = new AbortController();
    const { signal } = abort;
    // We still wait for a sink that ignores the abort, because it may deliver the events.
    const abandon = () => abort.abort(new Error('no request waits for this batch any more'));
    batch.onAbandoned = abandon;
    let timer: Timer | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = this.#clock.unrefTimeout(() => {
        const error = new Error(`the sink did not settle within ${maxWorkMs / 60_000} minutes`);
        abort.abort(error);
        reject(error);
      }, maxWorkMs);
    });
    try {
      const delivered = this.#sink.deliver(event as Event, { delivery, signal, deadlineAt: batch.deadlineAt });
      await Promise.race([delivered, tooLong]);
    } finally {
      this.#clock.clear(timer);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const resume = () => {
        this.#clock.clear(timer);
        this.#pauses.delete(resume);
        resolve();
      };
      const timer = this.#clock.unrefTimeout(resume, ms);
      this.#pauses.add(resume);
    });
  }

  #report(thrown: unknown, received: ReceivedDelivery<object>, { size }: Batch): void {
    const events = size === 1 ? 'an answered event' : `${size} answered events`;
    const error = new Error(`${events} could not be delivered: ${toError(thrown).message}`, { cause: thrown });
    this.#onError(error, { id: received.delivery.id, type: eventType(received), sink: this.#sink.name });
  }
}
