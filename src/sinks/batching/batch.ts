import { type Delivery, eventKey, type ReceivedDelivery } from '../../contracts/delivery.js';
import type { SinkContext } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import type { Clock } from '../../util/clock.js';
import { onAbort } from '../../util/on-abort.js';
import { type DigestEntry, digestOf, type EventGroup, groupOf } from './digest-event.js';
import { SetId } from './set-id.js';

/** Full events kept per severity, so that the digest can quote them. */
const maxQuoted = 20;

/** So many requests are settled in one turn of the event loop, because each goes on with work of its own. */
const settledPerTurn = 200;

/** A request that is answered when the sink has its event. */
interface Waiting {
  readonly deadlineAt: number | undefined;
  settle(error?: Error): void;
}

interface BatchEntry extends DigestEntry {
  /** Replaced, not changed, because an array that grows takes room for seventeen. */
  waiting: readonly Waiting[];
  /** A request with this event was answered, so the sender will not send it again. */
  isAnswered: boolean;
  received: ReceivedDelivery<object> | undefined;
}

/** Events that a sink gets in one delivery, each of them once. */
export class Batch {
  readonly #clock: Clock;
  readonly #id = new SetId();
  readonly #entries = new Map<string, BatchEntry>();
  readonly #groups = new Map<string, EventGroup>();
  /** How many full events are kept, by severity. */
  readonly #quoted = new Map<Severity, number>();
  #newest: Delivery | undefined;
  /** Whether the sink is running with this batch. */
  #isDelivering = false;
  /** Requests that lost their lease while the sink was running. The sink may still deliver their events. */
  #left: Waiting[] = [];
  /** Called when the last event has left the batch. */
  onAbandoned: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The earliest deadline of the waiting requests. */
  get deadlineAt(): number | undefined {
    let first: number | undefined;
    for (const { waiting } of this.#entries.values()) {
      for (const { deadlineAt } of waiting) {
        if (deadlineAt !== undefined) first = Math.min(first ?? deadlineAt, deadlineAt);
      }
    }
    return first;
  }

  /** Accepts an event whose request is answered now. Keeps only what the digest needs. */
  addAnswered(event: object, delivery: Delivery): void {
    const entry = this.#add(event, delivery);
    entry.isAnswered = true;
    if (entry.received !== undefined) return;
    const { severity } = entry.group;
    const quoted = this.#quoted.get(severity) ?? 0;
    if (quoted >= maxQuoted) return;
    this.#quoted.set(severity, quoted + 1);
    entry.received = { event, delivery };
  }

  /**
   * Resolves when the event is delivered, and rejects when the attempt has failed. On the signal's abort, the event
   * leaves the batch. Once the sink is running, the promise settles as the sink does, because it may have the event.
   */
  addWaiting(event: object, context: SinkContext): Promise<void> {
    const { delivery, deadlineAt } = context;
    return new Promise((resolve, reject) => {
      const forget = onAbort(context, (reason) => {
        entry.waiting = entry.waiting.filter((each) => each !== waiting);
        this.#removeUnlessWanted(entry);
        if (this.#isDelivering) this.#left.push(waiting);
        else reject(reason);
        if (this.size === 0) this.onAbandoned();
      });
      const waiting: Waiting = {
        deadlineAt,
        settle(error) {
          forget();
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const entry = this.#add(event, delivery);
      // The waiting request holds the event in memory anyway.
      entry.received ??= { event, delivery };
      entry.waiting = entry.waiting.concat(waiting);
    });
  }

  /** The digest, or the event itself if there is only one. The sink runs from now on. */
  toDeliver(): ReceivedDelivery<object> {
    this.#isDelivering = true;
    const [first] = this.#entries.values();
    if (this.size === 1 && first?.received !== undefined) return first.received;
    return digestOf([...this.#entries.values()], this.#newest as Delivery, this.#id.value);
  }

  async delivered(): Promise<void> {
    await this.#settleEach(({ waiting, id, group }) => {
      for (const { settle } of waiting) settle();
      // Not from its id: what is left, if this run ends between two turns, is still the same digest.
      this.#entries.delete(eventKey({ provider: group.provider, id }));
      return waiting.length;
    });
    this.#settleLeft();
  }

  /** Fails the waiting requests, whose senders will retry. Events that were answered stay in the batch. */
  async failed(error: Error): Promise<void> {
    await this.#settleEach((entry) => {
      const { length } = entry.waiting;
      for (const { settle } of entry.waiting) settle(error);
      entry.waiting = [];
      this.#removeUnlessWanted(entry);
      return length;
    });
    this.#settleLeft(error);
  }

  /** `settle` returns how many requests it has settled. */
  async #settleEach(settle: (entry: BatchEntry) => number): Promise<void> {
    let count = 0;
    for (const entry of this.#entries.values()) {
      count += settle(entry);
      if (count < settledPerTurn) continue;
      count = 0;
      await new Promise<void>((resolve) => this.#clock.timeout(resolve, 0));
    }
  }

  #settleLeft(error?: Error): void {
    this.#isDelivering = false;
    for (const { settle } of this.#left) settle(error);
    this.#left = [];
  }

  #add(event: object, delivery: Delivery): BatchEntry {
    const key = eventKey(delivery);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const group = this.#shared(groupOf(event, delivery));
      entry = { id: delivery.id, group, received: undefined, waiting: [], isAnswered: false };
      this.#entries.set(key, entry);
      this.#id.toggle(key);
      this.#newest = delivery;
    }
    return entry;
  }

  /** One object per group, because a batch can have 100,000 events. */
  #shared(group: EventGroup): EventGroup {
    const key = JSON.stringify(Object.values(group));
    const known = this.#groups.get(key);
    if (known === undefined) this.#groups.set(key, group);
    return known ?? group;
  }

  #removeUnlessWanted({ isAnswered, waiting, id, group }: BatchEntry): void {
    if (isAnswered || waiting.length > 0) return;
    const key = eventKey({ provider: group.provider, id });
    if (this.#entries.delete(key)) this.#id.toggle(key);
  }
}
