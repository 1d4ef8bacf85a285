import type { ClaimResult, IdempotencyStore } from '../../contracts/store.js';
import { type Check, checkOptions, isWholeUpTo } from '../../util/check-options.js';
import { type Clock, systemClock } from '../../util/clock.js';
import { hashOf, KeyMap } from '../../util/key-map.js';
import { progressTtlMs } from '../sweep.js';
import { CompletedKeys } from './completed-keys.js';

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /**
   * How many completed events are remembered: 100,000 by default. Also for how many released events the store remembers
   * the sinks that were delivered to. The oldest are forgotten first.
   * The number must exceed the events that arrive within twice `toleranceSeconds` (10 minutes), because anybody who
   * recorded a delivery can replay it once its event is forgotten.
   */
  readonly maxCompleted?: number;
}

const maxCompleted: Check = [isWholeUpTo(1, Number.MAX_SAFE_INTEGER), 'a whole number of at least 1'];

/** Marks a store that forgets everything with its process, in both builds of the package. */
export const inMemory = Symbol.for('vast-webhook.in-memory');

/** A claimed event. */
interface Lease {
  readonly token: string;
  expiresAt: number;
  delivered: string[] | undefined;
}

/** A released event that some sinks were delivered to. */
interface Released {
  readonly expiresAt: number;
  readonly delivered: string[];
}

// Shared objects, so that the hot path allocates nothing.
const acquired: ClaimResult = Object.freeze({ state: 'acquired', delivered: Object.freeze([]) });
const completed: ClaimResult = Object.freeze({ state: 'completed' });

/**
 * An idempotency store in the memory of this process. It does not survive a restart. Other processes cannot share it.
 * Throws a `TypeError` for an invalid option.
 */
export function memoryStore(options: MemoryStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { maxCompleted }, 'memoryStore');
  return memoryStoreOn(systemClock, options.maxCompleted ?? 100_000);
}

/** The same with another clock. */
export function memoryStoreOn(clock: Clock, maxCompleted: number): IdempotencyStore {
  return new MemoryStore(clock, maxCompleted);
}

class MemoryStore implements IdempotencyStore {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #leases: KeyMap<Lease>;
  readonly #completed: CompletedKeys;
  /** Ordered by release. */
  readonly #released = new Map<string, Released>();
  /** Reuse one iterator: a new one would skip all deleted entries first. */
  #oldestReleased: MapIterator<string> | undefined;

  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
    this.#completed = new CompletedKeys(max);
    // Drops leases of holders that crashed, because nobody will settle them.
    this.#leases = new KeyMap(({ expiresAt }) => expiresAt + progressTtlMs <= clock.now());
  }

  get [inMemory](): true {
    return true;
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    const now = this.#clock.now();
    const hash = hashOf(key);
    const lease = this.#leases.get(key, hash);
    if (lease !== undefined && lease.expiresAt > now && lease.token !== token) {
      return { state: 'in_flight', retryAfterMs: lease.expiresAt - now };
    }
    if (this.#completed.has(key, hash, now)) return completed;
    const delivered = lease === undefined ? this.#takeReleased(key, now) : lease.delivered;
    this.#leases.set(key, hash, { token, expiresAt: now + leaseMs, delivered });
    return delivered === undefined ? acquired : { state: 'acquired', delivered: [...delivered] };
  }

  renew(key: string, token: string, leaseMs: number): boolean {
    const lease = this.#leaseOf(key, hashOf(key), token);
    if (lease === undefined) return false;
    lease.expiresAt = this.#clock.now() + leaseMs;
    return true;
  }

  delivered(key: string, token: string, sink: string): boolean {
    const lease = this.#leaseOf(key, hashOf(key), token);
    if (lease === undefined) return false;
    if (lease.delivered === undefined) lease.delivered = [sink];
    else if (!lease.delivered.includes(sink)) lease.delivered.push(sink);
    return true;
  }

  complete(key: string, token: string, ttlMs: number): boolean {
    const hash = hashOf(key);
    if (this.#leaseOf(key, hash, token) === undefined) return false;
    this.#leases.delete(key, hash);
    this.#completed.add(key, hash, this.#clock.now() + ttlMs);
    return true;
  }

  release(key: string, token: string, ttlMs: number): boolean {
    const hash = hashOf(key);
    const lease = this.#leaseOf(key, hash, token);
    if (lease === undefined) return false;
    this.#leases.delete(key, hash);
    if (lease.delivered !== undefined) this.#keepReleased(key, this.#clock.now() + ttlMs, lease.delivered);
    return true;
  }

  #leaseOf(key: string, hash: number, token: string): Lease | undefined {
    const lease = this.#leases.get(key, hash);
    return lease?.token === token ? lease : undefined;
  }

  #takeReleased(key: string, now: number): string[] | undefined {
    if (this.#released.size === 0) return undefined;
    const released = this.#released.get(key);
    this.#released.delete(key);
    return released !== undefined && released.expiresAt > now ? released.delivered : undefined;
  }

  #keepReleased(key: string, expiresAt: number, delivered: string[]): void {
    this.#released.set(key, { expiresAt, delivered });
    if (this.#released.size <= this.#max) return;
    this.#oldestReleased ??= this.#released.keys();
    this.#released.delete(this.#oldestReleased.next().value as string);
  }
}
