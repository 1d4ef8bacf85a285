import { AsyncResource } from 'node:async_hooks';
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import { eventType, type ReceivedDelivery } from './contracts/delivery.js';
import type { Outcome } from './contracts/result.js';

/**
 * The message of the channels `tracing:vast-webhook.delivery:*`. It is the same object from a request's arrival on the
 * endpoint to its answer, and holds no header and no body.
 */
export interface DeliveryMessage {
  /** The provider: `vast` for Vast.ai. */
  readonly provider: string;
  /** How it ended. Set when `error` and `asyncEnd` are published. */
  readonly outcome?: Outcome;
  /** The outcome's error, if it has one. */
  readonly error?: Error;
}

/**
 * The message of the channels `tracing:vast-webhook.sink:*`. It is the same object during one delivery of an event to a
 * sink, by a middleware, a forwarder or an outbox.
 */
export interface SinkMessage {
  /** The sink's name. */
  readonly sink: string;
  /** The provider: `vast` for Vast.ai. */
  readonly provider: string;
  /** The signed event id. */
  readonly id: string;
  /** The event's type. It is the sender's text. */
  readonly type?: string;
  /** How it ended. Set when `error` and `asyncEnd` are published. */
  readonly result?: 'delivered' | 'failed';
  /** How long it took, in milliseconds. Set with the result. */
  readonly durationMs?: number;
  /** Why it failed. */
  readonly error?: Error;
}

/** Node.js finds channels by name, so both builds of the package publish to the same ones. */
export const deliveries: TracingChannel<unknown, DeliveryMessage> = tracingChannel('vast-webhook.delivery');
export const sinks: TracingChannel<unknown, SinkMessage> = tracingChannel('vast-webhook.sink');

/** Begins the trace of a delivery. Returns undefined, at almost no cost, without subscribers. */
export function traceDelivery(provider: string): DeliveryTrace | undefined {
  return isWatched(deliveries) ? new DeliveryTrace(deliveries, { provider }) : undefined;
}

/** Begins the trace of a delivery to a sink. Returns undefined, at almost no cost, without subscribers. */
export function traceSink(sink: string, received: ReceivedDelivery<unknown>): SinkTrace | undefined {
  if (!isWatched(sinks)) return undefined;
  const { provider, id } = received.delivery;
  return new SinkTrace(sinks, { sink, provider, id, type: eventType(received) });
}

/** As `channel.hasSubscribers` of Node.js 20.13 and later. */
function isWatched<Message extends object>(channel: TracingChannel<unknown, Message>): boolean {
  const { start, end, asyncStart, asyncEnd, error } = channel;
  return (
    start.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers
  );
}

/** Publishes as `TracingChannel.traceCallback` does, for work that may end in any place. */
class Trace<Message extends { readonly error?: Error }> {
  readonly #channel: TracingChannel<unknown, Message>;
  readonly #message: Message;
  #context: AsyncResource | undefined;
  #isOver = false;

  constructor(channel: TracingChannel<unknown, Message>, message: Message) {
    this.#channel = channel;
    this.#message = message;
  }

  /** Runs the work in the context that subscribers have bound to `start`. */
  run<T>(work: () => T): T {
    const { start, end } = this.#channel;
    return start.runStores(this.#message, () => {
      this.#context = new AsyncResource('VastWebhookTrace');
      try {
        return work();
      } finally {
        end.publish(this.#message);
      }
    });
  }

  /** Returns a function that runs in the context of `run`, wherever it is called from. */
  bind<Args extends unknown[]>(fn: (...args: Args) => void): (...args: Args) => void {
    const context = this.#context;
    return context === undefined ? fn : context.bind(fn);
  }

  /** Ends the trace. A second call does nothing. */
  protected over(result: Partial<Message>): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { error, asyncStart, asyncEnd } = this.#channel;
    const message = Object.assign(this.#message, result);
    this.bind(() => {
      if (message.error !== undefined) error.publish(message);
      asyncStart.publish(message);
      asyncEnd.publish(message);
    })();
  }
}

export class DeliveryTrace extends Trace<DeliveryMessage> {
  answered(outcome: Outcome): void {
    this.over({ outcome, error: outcome.error });
  }
}

export class SinkTrace extends Trace<SinkMessage> {
  readonly #startedAt = performance.now();

  settled(error?: Error): void {
    const durationMs = performance.now() - this.#startedAt;
    this.over({ result: error === undefined ? 'delivered' : 'failed', durationMs, error });
  }
}
