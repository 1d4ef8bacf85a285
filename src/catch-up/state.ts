import { randomUUID } from 'node:crypto';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import type { Held, Operation } from '../forward/core.js';
import { keyOf } from '../forward/dispatcher.js';
import { inFlight } from '../forward/failures.js';
import { GuardedStore } from '../forward/guarded-store.js';
import { type Clock, systemClock } from '../util/clock.js';

/** What is remembered about catching up. */
export interface CatchUpState {
  /** When the first run was, in Unix seconds of the sender. Nothing older is delivered. */
  readonly since: number;
  /** Whether a row's id has been seen to equal that of a webhook's delivery. */
  readonly idsAgree: boolean;
  /** For a forwarder, which has no secrets: the labels of deliveries. */
  readonly labels: readonly string[];
}

/** For a call, and for the four that a reading takes. */
const leaseMs = 10_000;
const yearMs = 365 * 24 * 60 * 60_000;

const sincePrefix = 'since:';
const idsAgreeName = 'ids-agree';
const labelPrefix = 'label:';

/** A dot keeps the key apart from those of events: no provider has one in its name. */
export function stateKeyOf(scope: string): string {
  return keyOf(scope, 'vast.catch-up', 'state');
}

/** The state in the names that are recorded under its key. Undefined before the first run. */
function stateIn(names: readonly string[]): CatchUpState | undefined {
  const times = valuesIn(names, sincePrefix).map(Number).filter(Number.isFinite);
  if (times.length === 0) return undefined;
  return {
    since: Math.min(...times),
    idsAgree: names.includes(idsAgreeName),
    labels: valuesIn(names, labelPrefix),
  };
}

function valuesIn(names: readonly string[], prefix: string): string[] {
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}

/**
 * Keeps the state in the idempotency store, as names of sinks that a key of its own was delivered to. The key is
 * claimed, read, and released for a year. A crash in between loses nothing: names outlive a lease by a day.
 */
export class StateStore {
  readonly #store: GuardedStore;
  readonly #key: string;

  constructor(store: IdempotencyStore, scope: string, timeoutMs: number, clock: Clock) {
    this.#store = new GuardedStore(store, timeoutMs, clock);
    this.#key = stateKeyOf(scope);
  }

  /**
   * Reads the state, and records what the store does not know yet. `seen.since` counts for the first run only. Rejects
   * if the store fails, or if another process holds the key.
   */
  async update(seen: CatchUpState): Promise<CatchUpState> {
    const token = randomUUID();
    const delivered = await this.#claim(token);
    const known = stateIn(delivered);
    const names = [sincePrefix + (known?.since ?? seen.since)];
    if (seen.idsAgree) names.push(idsAgreeName);
    names.push(...seen.labels.map((label) => labelPrefix + label));
    const all = [...new Set([...delivered, ...names])];
    try {
      for (const name of all.slice(delivered.length)) await this.#call('delivered', token, name);
    } finally {
      await this.#release(token);
    }
    return stateIn(all) as CatchUpState;
  }

  /** Reads the state, and records nothing. Undefined before the first run. */
  async read(): Promise<CatchUpState | undefined> {
    const token = randomUUID();
    const names = await this.#claim(token);
    await this.#release(token);
    return stateIn(names);
  }

  async #claim(token: string): Promise<readonly string[]> {
    const result = await new Promise<ClaimResult | Error>((claimed) => {
      const caller = { claimed, claimedLate() {}, stored() {} };
      this.#store.claim(this.#key, token, leaseMs, Number.POSITIVE_INFINITY, caller);
    });
    if (result instanceof Error) throw result;
    if (result.state !== 'acquired') throw inFlight(leaseMs);
    return result.delivered;
  }

  /** If it fails, the lease expires, and the next reading releases it. */
  async #release(token: string): Promise<void> {
    await this.#call('release', token, yearMs).catch(() => {});
  }

  async #call(operation: Operation, token: string, argument: string | number): Promise<void> {
    const held = await new Promise<Held>((answered) => {
      this.#store.call(operation, this.#key, token, argument, { stored: (_, held) => answered(held) });
    });
    if (held instanceof Error) throw held;
    if (!held) throw inFlight(leaseMs);
  }
}

/**
 * What `catchUp` remembers in a store, for the middleware or forwarder with this scope. Undefined before its first run.
 * Rejects if the store fails, or if another process is reading it at this moment.
 */
export function catchUpState(store: IdempotencyStore, scope = 'receiver'): Promise<CatchUpState | undefined> {
  return new StateStore(store, scope, leaseMs, systemClock).read();
}
