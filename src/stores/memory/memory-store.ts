import type { ClaimResult, IdempotencyStore } from '../../contracts/store.js';
import { type Check, checkOptions, isWholeUpTo } from '../../util/check-options.js';
import { type Clock, systemClock } from '../../util/clock.js';
import { hashOf, KeyMap } from '../../util/key-map.js';
import { CompletedKeys } from './completed-keys.js';

/** What `memoryStore` takes. */
export interface MemoryStoreOptions {
  /**
   * How many processed events are remembered, 100,000 unless told otherwise, and of how many others that were given back
   * it is known which sinks have had them. The oldest go first.
   * It must be more than arrive in twice `toleranceSeconds` (10 minutes), because a recorded delivery can be replayed
   * once its event is forgotten.
   */
  readonly maxCompleted?: number;
}

const maxCompleted: Check = [isWholeUpTo(1, Number.MAX_SAFE_INTEGER), 'a whole number of at least 1'];

/** How long what a holder recorded outlives its lease: the contract says a day. */
const progressMs = 24 * 60 * 60_000;

/** An event that somebody holds. */
interface Held {
  readonly token: string;
  leaseUntil: number;
  delivered: string[] | undefined;
}

/** An event that was given back after some sinks had had it. */
interface Released {
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
export function memoryStore(options: MemoryStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { maxCompleted }, 'memoryStore');
  return memoryStoreOn(systemClock, options.maxCompleted ?? 100_000);
}

/** The same by another clock. */
export function memoryStoreOn(clock: Clock, maxCompleted: number): IdempotencyStore {
  return new MemoryStore(clock, maxCompleted);
}

class MemoryStore implements IdempotencyStore {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #held: KeyMap<Held>;
  readonly #completed: CompletedKeys;
  /** In the order of their release. */
  readonly #released = new Map<string, Released>();
  /** One for good: a new one walks over the holes that evictions leave behind. */
  #oldestReleased: MapIterator<string> | undefined;

  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
    this.#completed = new CompletedKeys(max);
    // A holder that is gone settles nothing.
    this.#held = new KeyMap(({ leaseUntil }) => leaseUntil + progressMs <= clock.now());
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    const now = this.#clock.now();
    const hash = hashOf(key);
    const held = this.#held.get(key, hash);
    if (held !== undefined && held.leaseUntil > now && held.token !== token) {
      return { state: 'in_flight', retryAfterMs: held.leaseUntil - now };
    }
    if (this.#completed.has(key, hash, now)) return completed;
    const delivered = held === undefined ? this.#takeReleased(key, now) : held.delivered;
    this.#held.set(key, hash, { token, leaseUntil: now + leaseMs, delivered });
    return delivered === undefined ? acquired : { state: 'acquired', delivered: [...delivered] };
  }

  renew(key: string, token: string, leaseMs: number): boolean {
    const held = this.#heldBy(key, hashOf(key), token);
    if (held === undefined) return false;
    held.leaseUntil = this.#clock.now() + leaseMs;
    return true;
  }

  delivered(key: string, token: string, sink: string): boolean {
    const held = this.#heldBy(key, hashOf(key), token);
    if (held === undefined) return false;
    if (held.delivered === undefined) held.delivered = [sink];
    else if (!held.delivered.includes(sink)) held.delivered.push(sink);
    return true;
  }

  complete(key: string, token: string, ttlMs: number): boolean {
    const hash = hashOf(key);
    if (this.#heldBy(key, hash, token) === undefined) return false;
    this.#held.delete(key, hash);
    this.#completed.add(key, hash, this.#clock.now() + ttlMs);
    return true;
  }

  release(key: string, token: string, ttlMs: number): boolean {
    const hash = hashOf(key);
    const held = this.#heldBy(key, hash, token);
    if (held === undefined) return false;
    this.#held.delete(key, hash);
    if (held.delivered !== undefined) this.#keepReleased(key, this.#clock.now() + ttlMs, held.delivered);
    return true;
  }

  #heldBy(key: string, hash: number, token: string): Held | undefined {
    const held = this.#held.get(key, hash);
    return held?.token === token ? held : undefined;
  }

  #takeReleased(key: string, now: number): string[] | undefined {
    if (this.#released.size === 0) return undefined;
    const released = this.#released.get(key);
    this.#released.delete(key);
    return released !== undefined && released.until > now ? released.delivered : undefined;
  }

  #keepReleased(key: string, until: number, delivered: string[]): void {
    this.#released.set(key, { until, delivered });
    if (this.#released.size <= this.#max) return;
    this.#oldestReleased ??= this.#released.keys();
    this.#released.delete(this.#oldestReleased.next().value as string);
  }
}
