import type { ClaimResult, IdempotencyStore } from './store.js';

/** What `memoryStore` takes. */
export interface MemoryStoreOptions {
  /** How many processed events are remembered, 100,000 unless told otherwise. The oldest go first. */
  readonly maxCompleted?: number;
}

/** An event that somebody holds. */
interface Held {
  readonly token: string;
  leaseUntil: number;
  delivered: string[] | undefined;
}

/** An event that was given back after some sinks had had it. */
interface Released {
  readonly token: undefined;
  readonly until: number;
  readonly delivered: string[];
}

/** A completed event is only the time until which it is. */
type Entry = Held | Released | number;

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
  readonly #maxEnded: number;
  /** In the order of the claims that made or renewed each entry. */
  readonly #entries = new Map<string, Entry>();
  #ended = 0;
  #oldest: MapIterator<[string, Entry]> | undefined;

  constructor(maxEnded: number) {
    this.#maxEnded = maxEnded;
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    const now = performance.now();
    const entry = this.#entries.get(key);
    let delivered: string[] | undefined;
    if (entry !== undefined) {
      if (typeof entry === 'number') {
        if (entry > now) return completed;
      } else if (entry.token !== undefined) {
        if (entry.leaseUntil > now) return { state: 'in_flight', retryAfterMs: entry.leaseUntil - now };
        delivered = entry.delivered;
      } else if (entry.until > now) {
        delivered = entry.delivered;
      }
      this.#delete(key, entry);
    }
    this.#entries.set(key, { token, leaseUntil: now + leaseMs, delivered });
    return delivered === undefined ? acquired : { state: 'acquired', delivered: [...delivered] };
  }

  renew(key: string, token: string, leaseMs: number): boolean {
    const held = this.#held(key, token);
    if (held === undefined) return false;
    held.leaseUntil = performance.now() + leaseMs;
    return true;
  }

  delivered(key: string, token: string, sink: string): boolean {
    const held = this.#held(key, token);
    if (held === undefined) return false;
    if (held.delivered === undefined) held.delivered = [sink];
    else if (!held.delivered.includes(sink)) held.delivered.push(sink);
    return true;
  }

  complete(key: string, token: string, ttlMs: number): boolean {
    if (this.#held(key, token) === undefined) return false;
    // A whole number below 2 ** 31 lies in the map itself; a fraction would be an object for the collector.
    this.#end(key, Math.ceil(performance.now() + ttlMs));
    return true;
  }

  release(key: string, token: string, ttlMs: number): boolean {
    const held = this.#held(key, token);
    if (held === undefined) return false;
    if (held.delivered === undefined) this.#entries.delete(key);
    else this.#end(key, { token: undefined, until: performance.now() + ttlMs, delivered: held.delivered });
    return true;
  }

  #held(key: string, token: string): Held | undefined {
    const entry = this.#entries.get(key);
    return typeof entry === 'object' && entry.token === token ? (entry as Held) : undefined;
  }

  #end(key: string, entry: Released | number): void {
    this.#entries.set(key, entry);
    if (++this.#ended > this.#maxEnded) this.#evict();
  }

  /** The oldest that has ended. One iterator for good: a new one walks over the holes that evictions leave behind. */
  #evict(): void {
    this.#oldest ??= this.#entries.entries();
    for (;;) {
      const { value } = this.#oldest.next() as IteratorYieldResult<[string, Entry]>;
      const [key, entry] = value;
      this.#delete(key, entry);
      if (typeof entry === 'number' || entry.token === undefined) return;
      // Still in flight, so that it comes up again when others have ended.
      this.#entries.set(key, entry);
    }
  }

  #delete(key: string, entry: Entry): void {
    this.#entries.delete(key);
    if (typeof entry === 'number' || entry.token === undefined) this.#ended--;
  }
}
