import type { ClaimResult, IdempotencyStore } from './store.js';

export interface MemoryStoreOptions {
  /** How many processed events are remembered, 100,000 unless told otherwise. The oldest go first. */
  readonly maxCompleted?: number;
}

interface Holder {
  readonly token: string;
  leaseUntil: number;
  delivered: string[] | undefined;
}

interface Progress {
  readonly until: number;
  readonly delivered: string[];
}

// Shared, since every delivery is answered with one of them.
const acquired: ClaimResult = Object.freeze({ state: 'acquired', delivered: Object.freeze([]) });
const completed: ClaimResult = Object.freeze({ state: 'completed' });

/**
 * An idempotency store in this process: gone with it, and not shared with another.
 * Throws a `TypeError` when `maxCompleted` is not a whole number of at least 1.
 */
export function memoryStore({ maxCompleted = 100_000 }: MemoryStoreOptions = {}): IdempotencyStore {
  if (!Number.isSafeInteger(maxCompleted) || maxCompleted < 1) {
    throw new TypeError('memoryStore: maxCompleted must be a whole number of at least 1');
  }
  return new MemoryStore(maxCompleted);
}

class MemoryStore implements IdempotencyStore {
  readonly #maxCompleted: number;
  readonly #inFlight = new Map<string, Holder>();
  /** What is remembered of ended claims, oldest first: until when it is completed, or what was delivered before. */
  readonly #ended = new Map<string, number | Progress>();
  #oldest: MapIterator<string> | undefined;

  constructor(maxCompleted: number) {
    this.#maxCompleted = maxCompleted;
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    const now = performance.now();
    const holder = this.#inFlight.get(key);
    if (holder !== undefined && holder.leaseUntil > now) {
      return { state: 'in_flight', retryAfterMs: holder.leaseUntil - now };
    }
    const ended = this.#ended.get(key);
    let delivered = holder?.delivered;
    if (typeof ended === 'number') {
      if (ended > now) return completed;
      this.#ended.delete(key);
    } else if (ended !== undefined) {
      if (ended.until > now) delivered = ended.delivered;
      this.#ended.delete(key);
    }
    this.#inFlight.set(key, { token, leaseUntil: now + leaseMs, delivered });
    return delivered === undefined ? acquired : { state: 'acquired', delivered: [...delivered] };
  }

  renew(key: string, token: string, leaseMs: number): boolean {
    const holder = this.#held(key, token);
    if (holder === undefined) return false;
    holder.leaseUntil = performance.now() + leaseMs;
    return true;
  }

  delivered(key: string, token: string, sink: string): boolean {
    const holder = this.#held(key, token);
    if (holder === undefined) return false;
    if (holder.delivered === undefined) holder.delivered = [sink];
    else if (!holder.delivered.includes(sink)) holder.delivered.push(sink);
    return true;
  }

  complete(key: string, token: string, ttlMs: number): boolean {
    if (this.#held(key, token) === undefined) return false;
    this.#inFlight.delete(key);
    // A whole number below 2 ** 31 lies in the map itself; a fraction would be an object for the collector.
    this.#remember(key, Math.ceil(performance.now() + ttlMs));
    return true;
  }

  release(key: string, token: string, ttlMs: number): boolean {
    const holder = this.#held(key, token);
    if (holder === undefined) return false;
    this.#inFlight.delete(key);
    if (holder.delivered) this.#remember(key, { until: performance.now() + ttlMs, delivered: holder.delivered });
    return true;
  }

  #held(key: string, token: string): Holder | undefined {
    const holder = this.#inFlight.get(key);
    return holder?.token === token ? holder : undefined;
  }

  #remember(key: string, ended: number | Progress): void {
    if (this.#ended.size >= this.#maxCompleted) {
      // One iterator for good: a new one would walk over the holes that earlier evictions left at the map's head.
      this.#oldest ??= this.#ended.keys();
      this.#ended.delete(this.#oldest.next().value as string);
    }
    this.#ended.set(key, ended);
  }
}
