import type { Clock } from '../util/clock.js';
import { type Hold, SharedWork } from '../util/shared-work.js';
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
  /** In the order in which they are released. */
  readonly #claims = new Set<Abandoned>();
  readonly #work: SharedWork;
  #atOnce = 1;
  /** Failed releases in a row. */
  #failures = 0;

  constructor(settings: AbandonedSettings) {
    this.#settings = settings;
    this.#work = new SharedWork(settings.clock, () => this.#releaseAll());
  }

  /** Calls `then` when the claim is released or its lease has expired. */
  add(key: string, token: string, then: () => void, hold?: Hold): void {
    const { clock, leaseMs } = this.#settings;
    if (this.#claims.size >= maxWaiting) {
      then();
      return;
    }
    const now = clock.now();
    this.#claims.add({ key, token, leaseUntil: now + leaseMs, then });
    // A further one waits with the others, because the store may be failing.
    if (this.#claims.size === 1) this.#work.schedule(now);
    this.#work.attend(hold);
  }

  async #releaseAll(): Promise<void> {
    const { clock } = this.#settings;
    for (;;) {
      const now = clock.now();
      for (const claim of this.#claims) if (now >= claim.leaseUntil) this.#end(claim);
      const next = [...this.#claims].slice(0, this.#atOnce);
      if (next.length === 0) break;
      const results = await Promise.all(next.map((claim) => this.#release(claim)));
      if (results.includes(false)) {
        this.#atOnce = 1;
        this.#work.schedule(clock.now() + storeRetryMs(++this.#failures));
        return;
      }
      this.#atOnce = Math.min(2 * this.#atOnce, maxAtOnce);
      this.#failures = 0;
    }
    this.#work.schedule();
  }

  /** Whether it succeeded. */
  #release(claim: Abandoned): Promise<boolean> {
    const { store, completedTtlMs } = this.#settings;
    return new Promise((resolve) => {
      const settle = (held: Held | undefined) => {
        const isReleased = typeof held === 'boolean';
        if (isReleased) this.#end(claim);
        // Goes behind the others, because the store may fail on this one only.
        else if (this.#claims.delete(claim)) this.#claims.add(claim);
        resolve(isReleased);
      };
      if (store.isOverdue) settle(undefined);
      else
        store.call('release', claim.key, claim.token, completedTtlMs, { stored: (_operation, held) => settle(held) });
    });
  }

  #end(claim: Abandoned): void {
    if (this.#claims.delete(claim)) claim.then();
  }
}
