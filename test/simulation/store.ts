import type { ClaimResult, IdempotencyStore } from '../../src/contracts/store.js';
import type { Life, Machine } from './machine.js';

interface Entry {
  token: string | undefined;
  leaseUntil: number;
  delivered: string[];
  isCompleted: boolean;
}

/** The contract of a store, and nothing else. */
export class ModelStore {
  readonly #machine: Machine;
  readonly #entries = new Map<string, Entry>();
  /** When each sink of an event was recorded, `*` for all of them. */
  readonly recorded = new Map<string, number>();
  /** When each event was completed first, whatever was forgotten since. */
  readonly completedAt = new Map<string, number>();
  /** Claims that came after the release that followed them, without an answer: nobody knows of them. */
  unknownClaims = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  forget(): void {
    this.#entries.clear();
    this.recorded.clear();
  }

  /** Calls it as a method of the interface. */
  do(operation: keyof IdempotencyStore, key: string, token: string, argument: number | string): ClaimResult | boolean {
    const { now } = this.#machine;
    if (operation === 'claim') return this.#claim(key, token, argument as number, now);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.isCompleted || entry.token !== token) return false;
    if (operation === 'renew') {
      entry.leaseUntil = now + (argument as number);
    } else if (operation === 'delivered') {
      if (!entry.delivered.includes(argument as string)) entry.delivered.push(argument as string);
      this.recorded.set(`${key} ${argument}`, now);
    } else if (operation === 'complete') {
      entry.isCompleted = true;
      this.recorded.set(`${key} *`, now);
      if (!this.completedAt.has(key)) this.completedAt.set(key, now);
    } else {
      entry.token = undefined;
    }
    return true;
  }

  #claim(key: string, token: string, leaseMs: number, now: number): ClaimResult {
    let entry = this.#entries.get(key);
    if (entry?.isCompleted) return { state: 'completed' };
    if (entry?.token !== undefined && entry.token !== token && entry.leaseUntil > now) {
      return { state: 'in_flight', retryAfterMs: entry.leaseUntil - now };
    }
    if (entry === undefined) {
      entry = { token, leaseUntil: 0, delivered: [], isCompleted: false };
      this.#entries.set(key, entry);
    }
    entry.token = token;
    entry.leaseUntil = now + leaseMs;
    return { state: 'acquired', delivered: [...entry.delivered] };
  }
}

/** How a call fares. Times are milliseconds. */
export interface Fare {
  readonly there: number;
  readonly back: number;
  /** `before` and `after` its effect it fails; `lost` and `silent` never answer, the latter without an effect. */
  readonly end: 'ok' | 'before' | 'after' | 'lost' | 'silent' | 'twice';
}

/** A caller has given up on an answer by then. */
const storeTimeoutMs = 2_000;

/**
 * What one process has of the store: a client, whose calls go through `fareOf`. `onLost` hears of each renewal that has
 * just been answered in time with that the claim is lost, unless this process has claimed the event again since.
 */
export function clientOf(
  store: ModelStore,
  life: Life,
  isPooled: boolean,
  fareOf: (operation: string) => Fare,
  onLost: (key: string) => void,
): IdempotencyStore {
  const { machine } = life;
  /** By key: the token of this process's latest claim. */
  const latest = new Map<string, string>();
  let arrivesAt = 0;
  const call = (operation: keyof IdempotencyStore) => (key: string, token: string, argument: number | string) =>
    new Promise<never>((resolve, reject) => {
      const { there, back, end } = fareOf(operation);
      const askedAt = machine.now;
      const name = `${operation} ${key.slice(-2)} ${argument}`;
      if (operation === 'claim') latest.set(key, token);
      const answer = (ms: number, what: string, go: () => void) =>
        life.io(ms, `${name}: ${what}`, go, `store ${life.name} answers`);
      if (end === 'silent') return;
      if (end === 'before') {
        answer(there + back, 'failed', () => reject(new Error('connection reset')));
        return;
      }
      // In the order of one connection, if there is one only, and also when its sender has died.
      arrivesAt = isPooled ? machine.now + there : Math.max(arrivesAt, machine.now + there);
      machine.in(
        arrivesAt - machine.now,
        undefined,
        'io',
        `store for ${life.name}: ${name}`,
        () => {
          if (isPooled && end === 'lost' && operation === 'claim' && there > 1_000) store.unknownClaims++;
          let value = store.do(operation, key, token, argument);
          if (end === 'twice') value = store.do(operation, key, token, argument);
          machine.log(`  ${end} ${JSON.stringify(value)}`);
          if (end === 'after') answer(back, 'failed', () => reject(new Error('connection reset')));
          else if (end !== 'lost') {
            answer(back, JSON.stringify(value), () => {
              resolve(value as never);
              if (operation !== 'renew' || value !== false || machine.now >= askedAt + storeTimeoutMs) return;
              machine.afterTurn(() => {
                if (latest.get(key) === token) onLost(key);
              });
            });
          }
        },
        `store ${life.name}`,
      );
    });
  return {
    claim: call('claim'),
    renew: call('renew'),
    delivered: call('delivered'),
    complete: call('complete'),
    release: call('release'),
  };
}
