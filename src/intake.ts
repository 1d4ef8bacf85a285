import { accepted } from './contracts/answer.js';
import { type Delivery, eventType, type ReceivedDelivery } from './contracts/delivery.js';
import type { Forwarded } from './contracts/result.js';
import type { Dispatcher } from './forward/dispatcher.js';
import type { Drain } from './forward/drain.js';
import type { Settings } from './options.js';
import { outcomeOf } from './outcome.js';
import type { Clock } from './util/clock.js';

/** Where `catchUp` finds the intake of a middleware or forwarder. Both builds of the package use this symbol. */
export const intakeOf = Symbol.for('vast-webhook.intake');

/** Sees what else happens at a middleware or forwarder. Must not throw. */
export interface IntakeWatcher {
  /** Called with each delivery that a request or a queue brings, when it is verified. */
  seen(delivery: Delivery): void;
  /** Called when the middleware or forwarder closes. */
  closed(): void;
}

interface Parts<Event> {
  /** Undefined for a forwarder, which takes the deliveries of all. */
  readonly provider?: string;
  readonly settings: Settings<Event>;
  readonly dispatcher: Dispatcher<Event>;
  readonly drain: Drain;
  readonly clock: Clock;
  /** The labels of the secrets. Rejects while they are not known. Undefined for a forwarder, which has no secrets. */
  readonly labels?: () => Promise<readonly string[]>;
}

/**
 * The way into a middleware or forwarder for events that no request and no queue brings. They go through the same
 * dispatcher, so the same claim keeps them from being delivered twice.
 */
export class Intake<Event> {
  readonly #parts: Parts<Event>;
  watcher: IntakeWatcher | undefined;

  constructor(parts: Parts<Event>) {
    this.#parts = parts;
  }

  get provider(): string | undefined {
    return this.#parts.provider;
  }

  get settings(): Settings<Event> {
    return this.#parts.settings;
  }

  get clock(): Clock {
    return this.#parts.clock;
  }

  get isClosing(): boolean {
    return this.#parts.drain.closing;
  }

  async labels(): Promise<readonly string[] | undefined> {
    return this.#parts.labels?.();
  }

  /** Runs the work, and keeps `close()` waiting until it has settled. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const { drain } = this.#parts;
    drain.enter();
    try {
      return await work();
    } finally {
      drain.leave();
    }
  }

  /** Resolves when the event is settled. There is no deadline, because no sender waits. */
  async take(received: ReceivedDelivery<Event>): Promise<Forwarded> {
    const { dispatcher, settings, clock } = this.#parts;
    const startedAt = clock.now();
    const forwarded = await new Promise<Forwarded>((resolve) => {
      dispatcher.forward(received, Number.POSITIVE_INFINITY, undefined, resolve);
    });
    // A duplicate is the rule, and another delivery of the event reports what becomes of it.
    if (!forwarded.duplicate && forwarded.error?.code !== 'in_flight') {
      const status = forwarded.error?.status ?? accepted.status;
      const durationMs = clock.now() - startedAt;
      settings.onOutcome(outcomeOf(forwarded, status, undefined, received.delivery, eventType(received), durationMs));
    }
    return forwarded;
  }
}
