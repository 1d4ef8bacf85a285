/** Sinks, a handler and a store that read their faults from the event's id, so that bytes alone repeat a case. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimResult, IdempotencyStore } from '../../src/contracts/store.js';
import type { Delivery, SinkFunction, VastEvent } from '../../src/index.js';
import { memoryStore } from '../../src/stores/memory/memory-store.js';
import { hashOf, terms } from './observer.js';

/** In the order of the digits: `0000002a.0000000`. Each digit is at most this. */
export const faulty = { handler: 8, a: 9, b: 9, claim: 9, delivered: 9, complete: 9, release: 9 } as const;
export type Faulty = keyof typeof faulty;
const names = Object.keys(faulty) as Faulty[];

const slowMs = 40;
/** Longer than the deadline and than the timeout of a store call. */
const longMs = 5 * terms.deadlineMs;

export function idOf(serial: string, digits: readonly number[]): string {
  return `${serial}.${digits.join('')}`;
}

/** The faults of a sink or handler, which are encoded in the id. */
function digitOf(id: string, name: Faulty): number {
  const digits = /^[0-9a-f]+\.(\d{7})$/.exec(id)?.[1];
  return Number(digits?.[names.indexOf(name)] ?? 0);
}

/** Whether the id of an event encodes no fault, so that the event must be accepted. */
export function isPlain(id: unknown): boolean {
  return typeof id === 'string' && /^[0-9a-f]{8}\.0{7}$/.test(id);
}

/** A handler or a sink was called. */
export interface Call {
  readonly who: 'handler' | 'a' | 'b';
  readonly id: string;
  readonly hash: string;
  isOver: boolean;
  /** Whether it took the event. */
  took: boolean;
}

export class Behaviour {
  readonly calls: Call[] = [];
  /** How often a claim was granted, by id. */
  readonly granted: Record<string, number> = {};
  /** Tokens of claims that are not settled. */
  readonly held = new Set<string>();
  /** Store calls that have not settled. */
  open = 0;
  readonly #had = new Set<string>();
  readonly #memory = memoryStore({ maxCompleted: 100 });
  readonly store: IdempotencyStore = {
    claim: (key, token, leaseMs) => {
      return this.#asked('claim', key, () => {
        const result = this.#memory.claim(key, token, leaseMs) as ClaimResult;
        const id = idIn(key);
        if (result.state !== 'acquired') return result;
        this.granted[id] = (this.granted[id] ?? 0) + 1;
        // A claim whose answer was lost has no holder until its lease expires.
        if (digitOf(id, 'claim') === 7) this.#endLater(key, token);
        else this.held.add(token);
        return result;
      }) as ClaimResult | Promise<ClaimResult>;
    },
    renew: (...args) => this.#memory.renew(...args),
    delivered: (...args) => this.#asked('delivered', args[0], () => this.#memory.delivered(...args)) as boolean,
    complete: (key, token, ttlMs) => {
      return this.#asked('complete', key, () => {
        this.held.delete(token);
        return this.#memory.complete(key, token, ttlMs);
      }) as boolean;
    },
    release: (key, token, ttlMs) => {
      // Asked for once: when that fails, the lease ends by itself.
      this.held.delete(token);
      this.#endLater(key, token);
      return this.#asked('release', key, () => this.#memory.release(key, token, ttlMs)) as boolean;
    },
  };

  sink(who: 'a' | 'b'): SinkFunction<VastEvent> {
    const deliver: SinkFunction<VastEvent> = (_event, { delivery }) => {
      const call = this.#called(who, delivery);
      const took = () => {
        call.isOver = true;
        call.took = true;
      };
      const failed = (reason: unknown) => {
        call.isOver = true;
        return reason;
      };
      switch (digitOf(delivery.id, who)) {
        case 1:
          return sleep(0).then(took);
        case 2:
          throw failed(new Error('thrown'));
        case 3:
          return Promise.reject(failed(new Error('rejected')));
        case 4:
          return sleep(slowMs).then(took);
        case 5:
          return sleep(longMs).then(took);
        case 6:
          return sleep(longMs).then(() => Promise.reject(failed(new Error('late'))));
        case 7:
          throw failed(undefined);
        case 8:
          return thenableThat(() => {
            throw failed(new Error('thenable'));
          });
        case 9:
          return sleep(0).then(() => Promise.reject(failed({ status: 429, retryAfterMs: Number.NaN })));
        default:
          took();
      }
    };
    return Object.defineProperty(deliver, 'name', { value: who });
  }

  /** A status, as the adapters want it. */
  handle(delivery: Delivery, closed: () => Promise<unknown>): number | Promise<number> {
    const call = this.#called('handler', delivery);
    const answer = (status: number) => {
      call.isOver = true;
      call.took = status < 300;
      return status;
    };
    switch (digitOf(delivery.id, 'handler')) {
      case 1:
        return sleep(0).then(() => answer(200));
      case 2:
        call.isOver = true;
        throw new Error('thrown');
      case 3:
        call.isOver = true;
        return Promise.reject(new Error('rejected'));
      case 4:
        return answer(500);
      case 5:
        return sleep(0).then(() => answer(503));
      case 6:
        return sleep(slowMs).then(() => answer(202));
      case 7:
        return sleep(longMs).then(() => answer(204));
      case 8:
        // Ends only when the sender is gone, or nearly as late.
        return Promise.race([closed(), sleep(longMs)]).then(() => answer(204));
      default:
        return answer(204);
    }
  }

  /** Forgets its notes, and keeps the store's data. */
  clear(): void {
    this.calls.length = 0;
    this.held.clear();
    this.#had.clear();
    for (const id in this.granted) delete this.granted[id];
  }

  /** Drops claims that are not settled. The memory store would keep them, because it expects no faults in between. */
  #endLater(key: string, token: string): void {
    setTimeout(() => this.#memory.release(key, token, 1), 2 * longMs).unref();
  }

  #called(who: Call['who'], { id, rawBody }: Delivery): Call {
    const call: Call = { who, id, hash: hashOf(rawBody), isOver: false, took: false };
    this.calls.push(call);
    return call;
  }

  /** Each fault once: a store that recovers is asked again. */
  #asked(operation: Faulty, key: string, real: () => unknown): unknown {
    const id = idIn(key);
    const fault = `${operation} ${id}`;
    const digit = this.#had.has(fault) ? 0 : digitOf(id, operation);
    if (digit > 0) this.#had.add(fault);
    const later = async (ms: number, then: () => unknown) => {
      this.open++;
      await sleep(ms);
      this.open--;
      return then();
    };
    const fail = (message: string) => {
      throw new Error(message);
    };
    switch (digit) {
      case 1:
        return Promise.resolve(real());
      case 2:
        return fail('thrown');
      case 3:
        return Promise.reject(new Error('rejected'));
      case 4:
        return undefined;
      case 5:
        return later(2 * terms.storeTimeoutMs, real);
      case 6:
        return later(2 * terms.storeTimeoutMs, () => fail('late'));
      case 7:
        // It was done, and its answer lost.
        real();
        return fail('after the work');
      case 8:
        return later(slowMs, real);
      case 9:
        return Promise.reject();
      default:
        return real();
    }
  }
}

function idIn(key: string): string {
  return key.slice('receiver:vast:'.length);
}

function thenableThat(then: () => void): Promise<void> {
  return { then } as unknown as Promise<void>;
}
