import type { Delivery, ReceivedDelivery } from '../../contracts/delivery.js';
import type { SinkContext } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { type DigestEntry, digestOf, type EventGroup, groupOf } from './digest-event.js';

/** Of each severity, so many events that nobody waits for are kept whole, to be quoted. */
const maxQuoted = 20;

/** A delivery that is answered when its event has been told. */
interface Waiting {
  readonly deadlineAt: number | undefined;
  settle(error?: Error): void;
}

interface Entry extends DigestEntry {
  readonly waiting: Set<Waiting>;
  /** Its delivery has been answered, so that it will not come again. */
  isAnswered: boolean;
  received: ReceivedDelivery<object> | undefined;
}

/** Events that are told in one go, each of them once. */
export class Batch {
  readonly #entries = new Map<string, Entry>();
  readonly #kinds = new Map<string, EventGroup>();
  readonly #quoted = new Map<Severity, number>();
  #newest: Delivery | undefined;
  /** Whether the sink is at work on it. */
  #isDelivering = false;
  /** Deliveries that lost their claim meanwhile. The sink may take their events nevertheless. */
  #left: Waiting[] = [];
  /** Called when nobody wants it told any more. */
  onAbandoned: () => void = () => {};

  get size(): number {
    return this.#entries.size;
  }

  /** By when the first of those who wait is answered. */
  get deadlineAt(): number | undefined {
    let first: number | undefined;
    for (const { waiting } of this.#entries.values()) {
      for (const { deadlineAt } of waiting) {
        if (deadlineAt !== undefined) first = Math.min(first ?? deadlineAt, deadlineAt);
      }
    }
    return first;
  }

  /** Promises that the event will be told, without more of it than is needed for that. */
  addAnswered(event: object, delivery: Delivery): void {
    const entry = this.#add(event, delivery);
    entry.isAnswered = true;
    if (entry.received !== undefined) return;
    const { severity } = entry.kind;
    const quoted = this.#quoted.get(severity) ?? 0;
    if (quoted >= maxQuoted) return;
    this.#quoted.set(severity, quoted + 1);
    entry.received = { event, delivery };
  }

  /**
   * Resolves when the event has been told, and rejects when that has failed. When the signal is aborted, the event leaves
   * the batch. Once the sink is at work, the promise settles as the sink does, because the event may have reached it.
   */
  addWaiting(event: object, { delivery, signal, deadlineAt }: SinkContext): Promise<void> {
    signal.throwIfAborted();
    const entry = this.#add(event, delivery);
    // Whoever is waited for keeps it in memory anyhow.
    entry.received ??= { event, delivery };
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        deadlineAt,
        settle(error) {
          signal.removeEventListener('abort', leave);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const leave = () => {
        entry.waiting.delete(waiting);
        this.#leaveUnlessWanted(entry);
        if (this.#isDelivering) this.#left.push(waiting);
        else reject(signal.reason);
        if (this.size === 0) this.onAbandoned();
      };
      entry.waiting.add(waiting);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** What to tell: the event itself where there is one only. The sink is at work from then on. */
  toDeliver(): ReceivedDelivery<object> {
    this.#isDelivering = true;
    const [first, ...others] = this.#entries.values();
    if (others.length === 0 && first?.received !== undefined) return first.received;
    return digestOf([...this.#entries.values()], this.#newest as Delivery);
  }

  delivered(): void {
    for (const { waiting } of this.#entries.values()) {
      for (const { settle } of waiting) settle();
    }
    this.#entries.clear();
    this.#settleLeft();
  }

  /** Those who wait hear of it, and will come again. What was taken stays. */
  failed(error: Error): void {
    for (const entry of this.#entries.values()) {
      for (const { settle } of entry.waiting) settle(error);
      entry.waiting.clear();
      this.#leaveUnlessWanted(entry);
    }
    this.#settleLeft(error);
  }

  #settleLeft(error?: Error): void {
    this.#isDelivering = false;
    for (const { settle } of this.#left) settle(error);
    this.#left = [];
  }

  #add(event: object, delivery: Delivery): Entry {
    const key = keyOf(delivery);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const kind = this.#shared(groupOf(event, delivery));
      entry = { id: delivery.id, kind, received: undefined, waiting: new Set(), isAnswered: false };
      this.#entries.set(key, entry);
      this.#newest = delivery;
    }
    return entry;
  }

  #shared(kind: EventGroup): EventGroup {
    const key = JSON.stringify(Object.values(kind));
    const known = this.#kinds.get(key);
    if (known === undefined) this.#kinds.set(key, kind);
    return known ?? kind;
  }

  #leaveUnlessWanted({ isAnswered: isTaken, waiting, id, kind }: Entry): void {
    if (!isTaken && waiting.size === 0) this.#entries.delete(keyOf({ provider: kind.provider, id }));
  }
}

function keyOf({ provider, id }: Pick<Delivery, 'provider' | 'id'>): string {
  return `${provider}:${id}`;
}
