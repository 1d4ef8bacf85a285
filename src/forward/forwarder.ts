import { randomUUID } from 'node:crypto';
import { toError, toWebhookError, WebhookError } from '../errors.js';
import type { Verified } from '../receive/delivery.js';
import { BoundedStore, isPromise } from './bounded-store.js';
import { Claim } from './claim.js';
import type { InFlight } from './in-flight.js';
import { type Forwarded, type Handler, Run } from './run.js';
import type { Sink } from './sink.js';
import type { ClaimResult, IdempotencyStore } from './store.js';

/** Which event, and which sink if it was one, an error is about. */
export interface ErrorContext {
  /** The signed event id, unless there was none yet. */
  readonly id?: string;
  readonly type?: string;
  readonly sink?: string;
}

export interface ForwarderSettings<Event> {
  /** Keeps apart what a receiver and a worker remember of one event in one store. */
  readonly scope: string;
  readonly sinks: readonly Sink<Event>[];
  readonly store: IdempotencyStore;
  readonly leaseMs: number;
  readonly storeTimeoutMs: number;
  readonly completedTtlMs: number;
  readonly inFlight: InFlight;
  /** Hears what no outcome can carry. Does not throw. */
  readonly onError: (error: Error, context: ErrorContext) => void;
}

const duplicate: Forwarded = { duplicate: true };

/** Takes a verified delivery to its end: claimed, told to the sinks, handed on, completed or released. */
export class Forwarder<Event> {
  readonly #settings: ForwarderSettings<Event>;
  readonly #store: BoundedStore;

  constructor(settings: ForwarderSettings<Event>) {
    this.#settings = settings;
    const { store, storeTimeoutMs, completedTtlMs } = settings;
    this.#store = new BoundedStore(store, storeTimeoutMs, async (key, token) => {
      // Nobody waits for this any more, and a lease that cannot be given back ends by itself.
      try {
        await this.#store.release(key, token, completedTtlMs);
      } catch {}
    });
  }

  /**
   * Never rejects. With `deadlineAt`, a time of `performance.now()`, it resolves by then, and sinks still at
   * work are settled behind it. A handler that has the event is waited for as long as its claim can be kept.
   */
  async forward(
    verified: Verified<Event>,
    type: string | undefined,
    deadlineAt?: number,
    handler?: Handler,
  ): Promise<Forwarded> {
    const { inFlight } = this.#settings;
    inFlight.enter();
    let left = false;
    try {
      const { delivery } = verified;
      const key = `${this.#settings.scope}:${delivery.provider}:${delivery.id}`;
      const token = randomUUID();
      const asked = this.#ask(key, token, deadlineAt);
      const result = isPromise(asked) ? await asked : asked;
      if (result.state === 'completed') return duplicate;
      if (result.state === 'in_flight') {
        throw new WebhookError('in_flight', 'another delivery of the event is being processed', result);
      }
      const run = this.#run(verified, type, key, token, handler);
      const work = run.work(result.delivered);
      if (run.done || run.handedOn || deadlineAt === undefined) return await work;
      left = true;
      return await run.byDeadline(work, deadlineAt, () => inFlight.leave());
    } catch (error) {
      return { duplicate: false, error: toWebhookError(error) };
    } finally {
      if (!left) inFlight.leave();
    }
  }

  #ask(key: string, token: string, deadlineAt = Number.POSITIVE_INFINITY): ClaimResult | Promise<ClaimResult> {
    return this.#store.claim(key, token, this.#settings.leaseMs, deadlineAt - performance.now());
  }

  #run(
    { delivery, event }: Verified<Event>,
    type: string | undefined,
    key: string,
    token: string,
    handler: Handler | undefined,
  ): Run<Event> {
    const { sinks, leaseMs, completedTtlMs, onError } = this.#settings;
    const report = (error: unknown, sink?: string) => onError(toError(error), { id: delivery.id, type, sink });
    const claim = new Claim(this.#store, key, token, leaseMs, completedTtlMs, report);
    return new Run(sinks, { delivery, event }, claim, handler, report);
  }
}
