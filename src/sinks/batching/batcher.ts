import { eventType, type ReceivedDelivery } from '../../contracts/delivery.js';
import { toError } from '../../contracts/errors.js';
import type { ErrorContext } from '../../contracts/result.js';
import { maxWorkMs, type Sink, type SinkContext } from '../../contracts/sink.js';
import { logError } from '../../log.js';
import { waitAfter } from '../../util/backoff.js';
import { type Clock, systemClock, type Timer } from '../../util/clock.js';
import { isWorkers } from '../../util/runtime.js';
import { type Hold, SharedWork } from '../../util/shared-work.js';
import { swallowErrors } from '../../util/swallow-errors.js';
import { Batch } from './batch.js';

/** Called with each event or digest that was answered and could then not be delivered. */
export type OnError = (error: Error, context: ErrorContext) => unknown;

/** How many events an outbox delivers at once, each in memory. Behind an outbox, no digest can be larger. */
export const concurrency = 4_000;

/** A batch of this size is delivered before its window ends, so that memory stays bounded. */
const maxEvents = 100_000;

/** Time for the delivery itself, between the end of the window and a request's deadline. */
const deliveryMs = 1_000;

/**
 * The longest window where a platform ends requests, because `waitUntil` lasts for 30 seconds only. The rest is for the
 * delivery and for its retries.
 */
const maxHeldWindowMs = 20_000;

/** Retry policy for events that were answered already, because their sender will not send them again. */
const backoff = { minBackoffMs: 1_000, maxBackoffMs: 60_000, giveUpAfterMs: 15 * 60_000, giveUpOnPermanent: true };

/** A batch, and the work of delivering it once its window has ended. */
interface Round {
  readonly batch: Batch;
  readonly work: SharedWork;
  /** When the first attempt began. */
  startedAt: number | undefined;
  attempts: number;
  /** Whether `onError` knows that the events wait for a further request. */
  isReported: boolean;
}

/**
 * Buffers events until a window ends, and then delivers them to the sink as one batch. A request waits for the batch
 * if its deadline allows. Otherwise it is answered at once, and the batcher retries the delivery itself.
 */
export class Batcher<Event extends object> {
  readonly #sink: Sink<Event>;
  readonly #clock: Clock;
  readonly #onError: (error: Error, context: ErrorContext) => void;
  /** All rounds whose events are not yet delivered or given up. */
  readonly #rounds = new Set<Round>();
  /** The round that takes further events. */
  #open: Round | undefined;
  #flushes = 0;

  constructor(sink: Sink<Event>, onError: OnError = logError, clock: Clock = systemClock) {
    this.#clock = clock;
    this.#sink = sink;
    this.#onError = swallowErrors(onError);
  }

  /** `endsAt`, a time of the clock's `now()`, is when a window that this event opens will end. */
  add(event: Event, context: SinkContext, endsAt: number): Promise<void> | undefined {
    const { deadlineAt = Number.POSITIVE_INFINITY, delivery, waitUntil } = context;
    const now = this.#clock.now();
    const isHeld = waitUntil !== undefined;
    const windowEnd = this.#open?.work.dueAt ?? endsAt;
    const dueAt = isHeld ? Math.min(windowEnd, now + maxHeldWindowMs) : windowEnd;
    const canWait = dueAt + deliveryMs <= deadlineAt;
    if (!canWait && !isHeld && isWorkers()) throw new Error(noWaitUntil);
    const round = this.#opened();
    const { batch, work } = round;
    work.schedule(dueAt);
    let delivered: Promise<void> | undefined;
    if (canWait) delivered = batch.addWaiting(event, context);
    else batch.addAnswered(event, delivery);
    if (batch.size >= maxEvents) work.schedule(now);
    // A request that waits or is held attends with a timer of its own.
    if (canWait || isHeld || work.attendedUntil <= now || work.dueAt <= now) work.attend(waitUntil);
    if (isHeld) this.#adopt(waitUntil, now);
    return delivered;
  }

  #opened(): Round {
    if (this.#open !== undefined) return this.#open;
    const round: Round = {
      batch: new Batch(this.#clock),
      work: new SharedWork(this.#clock, (hold) => this.#attempt(round, hold)),
      startedAt: undefined,
      attempts: 0,
      isReported: false,
    };
    this.#open = round;
    this.#rounds.add(round);
    return round;
  }

  /** Attends to batches whose own requests have ended before a retry succeeded. */
  #adopt(hold: Hold, now: number): void {
    for (const { work } of this.#rounds) if (work.attendedUntil <= now) work.attend(hold);
  }

  /** Delivers all buffered events now. Resolves when each batch is delivered or given up. */
  async flush(): Promise<void> {
    this.#flushes++;
    // Only the first call ends the backoff pauses, because close() calls flush() many times.
    const isFirst = this.#flushes === 1;
    const rounds = [...this.#rounds];
    for (const round of rounds) {
      if (!isFirst && round !== this.#open) continue;
      round.work.schedule(this.#clock.now());
      round.work.attend();
    }
    // The sink may buffer, too, and then still has the events that it just got.
    await Promise.allSettled([...rounds.map(({ work }) => work.over()), this.#sink.flush?.()]);
    this.#flushes--;
  }

  /** One attempt to deliver the batch. */
  async #attempt(round: Round, hold: Hold | undefined): Promise<void> {
    const { batch, work } = round;
    if (this.#open === round) this.#open = undefined;
    if (batch.size > 0) {
      round.startedAt ??= this.#clock.now();
      const attempt = ++round.attempts;
      const received = batch.toDeliver();
      try {
        await this.#deliver(received, batch, hold);
        await batch.delivered();
      } catch (error) {
        // The request was taken for ended, and another one tries again.
        if (attempt !== round.attempts) return;
        await batch.failed(toError(error));
        if (batch.size > 0 && this.#retries(round, error, received)) return;
      }
    }
    this.#rounds.delete(round);
    work.schedule();
  }

  /** Schedules the next attempt. Returns whether there is one. */
  #retries(round: Round, error: unknown, received: ReceivedDelivery<object>): boolean {
    const { batch, work, startedAt = 0, attempts } = round;
    const now = this.#clock.now();
    const waitMs = waitAfter(error, attempts, now - startedAt, backoff);
    if (waitMs === undefined) {
      this.#report('could not be delivered', error, received, batch);
      return false;
    }
    work.schedule(now + waitMs);
    if (work.dueAt >= work.attendedUntil && !round.isReported) {
      round.isReported = true;
      this.#report('could not be delivered yet, and wait for the next request', error, received, batch);
    }
    return true;
  }

  async #deliver({ event, delivery }: ReceivedDelivery<object>, batch: Batch, waitUntil?: Hold): Promise<void> {
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
      const context = { delivery, signal, deadlineAt: batch.deadlineAt, waitUntil };
      await Promise.race([this.#sink.deliver(event as Event, context), tooLong]);
    } finally {
      this.#clock.clear(timer);
    }
  }

  #report(what: string, thrown: unknown, received: ReceivedDelivery<object>, { size }: Batch): void {
    const events = size === 1 ? 'an answered event' : `${size} answered events`;
    const error = new Error(`${events} ${what}: ${toError(thrown).message}`, { cause: thrown });
    this.#onError(error, { id: received.delivery.id, type: eventType(received), sink: this.#sink.name });
  }
}

const noWaitUntil =
  'the digest is delivered after the answer, and Workers ends a request’s work with its answer: pass the context that has waitUntil, hook(request, env, ctx)';
