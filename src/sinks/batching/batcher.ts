import type { ReceivedDelivery } from '../../contracts/delivery.js';
import { toError } from '../../contracts/errors.js';
import type { ErrorContext } from '../../contracts/result.js';
import type { Sink, SinkContext } from '../../contracts/sink.js';
import { logError } from '../../log.js';
import { eventFormat } from '../../providers/index.js';
import { typeOf } from '../../providers/provider.js';
import { waitAfter } from '../../util/backoff.js';
import { type Clock, systemClock, type Timer } from '../../util/clock.js';
import { swallowErrors } from '../../util/swallow-errors.js';
import { Batch } from './batch.js';

/** Hears of what has been taken and could not be told. */
export type OnError = (error: Error, context: ErrorContext) => unknown;

/** How many events an outbox hands over at once: a digest can be as large as that. */
export const concurrency = 10_000;

/** Told before the window ends, for the sake of memory. */
const maxEvents = 100_000;

/** What is left for the telling when the window ends, of the time until the deadline. */
const deliveryMs = 1_000;

/** As long as a claim lasts. */
const maxDeliveryMs = 5 * 60_000;

/** Where nobody waits, so that nobody will have it told again. */
const backoff = { minBackoffMs: 1_000, maxBackoffMs: 60_000, giveUpAfterMs: 15 * 60_000, giveUpOnPermanent: true };

/**
 * Gathers events until a window ends, and tells the sink of them in one go. Whoever can wait for that does. A delivery
 * whose answer is due before is taken at once, and telling it is tried again and again here.
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

  /** `endsAt`, a time of the clock's `now()`, holds where no window is open. */
  add(event: Event, context: SinkContext, endsAt: number): Promise<void> | undefined {
    const isNew = this.#batch === undefined;
    if (isNew) this.#endsAt = endsAt;
    this.#batch ??= new Batch();
    const batch = this.#batch;
    const isHeld = this.#endsAt + deliveryMs <= (context.deadlineAt ?? Number.POSITIVE_INFINITY);
    // An isolate loses the timers of requests that are over, so that the window must not hang on an earlier one's.
    if (isNew || isHeld) this.#setTimer();
    let held: Promise<void> | undefined;
    if (isHeld) held = batch.addWaiting(event, context);
    else batch.addAnswered(event, context.delivery);
    if (batch.size >= maxEvents || this.#clock.now() >= this.#endsAt) this.#close();
    return held;
  }

  #setTimer(): void {
    this.#clock.clear(this.#timer);
    this.#timer = this.#clock.unrefTimeout(() => this.#close(), Math.max(0, this.#endsAt - this.#clock.now()));
  }

  /** Delivers what there is, now, and resolves when that has succeeded or is given up. */
  async flush(): Promise<void> {
    this.#flushes++;
    this.#close();
    // Only the first one hurries what waits: close() asks again and again.
    if (this.#flushes === 1) for (const goOn of this.#pauses) goOn();
    // The sink may gather, too, and so hold what it has just been told.
    await Promise.allSettled([...this.#deliveries, this.#sink.flush?.()]);
    this.#flushes--;
  }

  #close(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    this.#clock.clear(this.#timer);
    const telling = this.#deliverBatch(batch).then(() => {
      this.#deliveries.delete(telling);
    });
    this.#deliveries.add(telling);
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
    // A sink that goes on nevertheless is waited for: it may take the events, and that must be known here.
    const deserted = () => abort.abort(new Error('nobody waits for it any more'));
    batch.onAbandoned = deserted;
    let timer: Timer | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = this.#clock.unrefTimeout(() => {
        const error = new Error(`did not settle within ${maxDeliveryMs / 60_000} minutes`);
        abort.abort(error);
        reject(error);
      }, maxDeliveryMs);
    });
    try {
      const told = this.#sink.deliver(event as Event, { delivery, signal, deadlineAt: batch.deadlineAt });
      await Promise.race([told, tooLong]);
    } finally {
      this.#clock.clear(timer);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const goOn = () => {
        this.#clock.clear(timer);
        this.#pauses.delete(goOn);
        resolve();
      };
      const timer = this.#clock.unrefTimeout(goOn, ms);
      this.#pauses.add(goOn);
    });
  }

  #report(thrown: unknown, { event, delivery }: ReceivedDelivery<object>, { size }: Batch): void {
    const events = size === 1 ? 'an event that was' : `${size} events that were`;
    const error = new Error(`${events} taken could not be told: ${toError(thrown).message}`, { cause: thrown });
    const type = typeOf(eventFormat(delivery.provider), event);
    this.#onError(error, { id: delivery.id, type, sink: this.#sink.name });
  }
}
