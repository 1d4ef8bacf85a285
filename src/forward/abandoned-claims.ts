import type { Clock } from '../util/clock.js';
import { type Held, storeRetryMs } from './core.js';
import type { GuardedStore } from './guarded-store.js';

/** With more, we let their leases expire. */
const maxWaiting = 1_000;
/** How many releases run at once while the store answers. */
const maxAtOnce = 16;

interface Abandoned {
  readonly key: string;
  readonly token: string;
  readonly leaseUntil: number;
  readonly then: () => void;
}

export interface AbandonedSettings {
  readonly store: GuardedStore;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly completedTtlMs: number;
}

/**
 * Releases claims whose call failed. Such a call may have reached the store all the same, even after our timeout, and
 * nobody would settle that claim. An outage leaves many of them. While the store fails, we try one release at a time,
 * because more calls would keep the store from recovering.
 */
export class AbandonedClaims {
  readonly #settings: AbandonedSettings;
  readonly #waiting: Abandoned[] = [];
  #running = 0;
  #atOnce = 1;
  /** Failed releases in a row. */
  #failures = 0;
  #isPaused = false;

  constructor(settings: AbandonedSettings) {
    this.#settings = settings;
  }

  /** Calls `then` when the claim is released or its lease has expired. */
  add(key: string, token: string, then: () => void): void {
    const { clock, leaseMs } = this.#settings;
    if (this.#waiting.length + this.#running >= maxWaiting) {
      then();
      return;
    }
    this.#waiting.push({ key, token, leaseUntil: clock.now() + leaseMs, then });
    this.#next();
  }

  #next(): void {
    while (!this.#isPaused && this.#running < this.#atOnce) {
      const claim = this.#waiting.shift();
      if (claim === undefined) return;
      this.#release(claim);
    }
  }

  #release(claim: Abandoned): void {
    const { store, clock, completedTtlMs } = this.#settings;
    if (clock.now() >= claim.leaseUntil) {
      claim.then();
    } else if (store.isOverdue) {
      this.#tryLater(claim);
    } else {
      this.#running++;
      store.call('release', claim.key, claim.token, completedTtlMs, {
        stored: (_operation, held) => this.#released(claim, held),
      });
    }
  }

  #released(claim: Abandoned, held: Held): void {
    this.#running--;
    if (held instanceof Error) {
      this.#tryLater(claim);
      return;
    }
    this.#atOnce = Math.min(2 * this.#atOnce, maxAtOnce);
    this.#failures = 0;
    claim.then();
    this.#next();
  }

  /** Goes behind the others, because the store may fail on this one only. */
  #tryLater(claim: Abandoned): void {
    this.#waiting.push(claim);
    this.#atOnce = 1;
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#settings.clock.unrefTimeout(
      () => {
        this.#isPaused = false;
        this.#next();
      },
      storeRetryMs(++this.#failures),
    );
  }
}
