import { randomUUID } from 'node:crypto';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import type { Forwarded } from '../contracts/result.js';
import type { IdempotencyStore } from '../contracts/store.js';
import { type Clock, systemClock } from '../util/clock.js';
import { hashOf, KeyMap } from '../util/key-map.js';
import type { Hold } from '../util/shared-work.js';
import { AbandonedClaims } from './abandoned-claims.js';
import { Dispatch, type DispatchSettings, type Handler, msLeftOf } from './dispatch.js';
import { inFlight } from './failures.js';
import { GuardedStore } from './guarded-store.js';
import { LocalProgress } from './local-progress.js';

export interface DispatcherSettings<Event>
  extends Omit<DispatchSettings<Event>, 'store' | 'clock' | 'progress' | 'abandoned' | 'running'> {
  readonly clock?: Clock;
  readonly store: IdempotencyStore;
  readonly storeTimeoutMs: number;
  /** Separates what a receiver and a worker remember about one event in one store. */
  readonly scope: string;
}

/** The store's key of an event. */
export function keyOf(scope: string, provider: string, id: string): string {
  return `${scope}:${provider}:${id}`;
}

/** Dispatches deliveries: claim, sinks, handler, complete or release. */
export class Dispatcher<Event> {
  readonly #settings: DispatchSettings<Event> & { readonly scope: string };
  readonly #prefixes = new Map<string, string>();
  /**
   * Fencing tokens are this and a number, which costs less than a UUID for each. Created with the first claim, so that
   * copies of a process snapshot get different tokens.
   */
  #origin: string | undefined;
  #claims = 0;

  constructor(settings: DispatcherSettings<Event>) {
    const { clock = systemClock, store, storeTimeoutMs } = settings;
    const guarded = new GuardedStore(store, storeTimeoutMs, clock);
    this.#settings = {
      ...settings,
      clock,
      store: guarded,
      progress: new LocalProgress(),
      abandoned: new AbandonedClaims({ ...settings, clock, store: guarded }),
      running: new KeyMap((run) => run.knownUntil <= clock.now()),
    };
  }

  /**
   * Calls `done` exactly once, by `deadlineAt`, a time of the clock's `now()`. Sinks that still run finish in the
   * background. A running handler is waited for as long as the lease can be renewed. `hold` keeps
   * the request's timers and connections until nothing more will happen. Does not throw.
   */
  forward(
    received: ReceivedDelivery<Event>,
    deadlineAt: number,
    handler: Handler | undefined,
    done: (forwarded: Forwarded) => void,
    hold?: Hold,
  ): void {
    const settings = this.#settings;
    const { running, clock } = settings;
    const { provider, id } = received.delivery;
    const key = this.#prefixOf(provider) + id;
    const hash = hashOf(key);
    const leftMs = msLeftOf(running.get(key, hash), clock);
    if (leftMs > 0) {
      done({ duplicate: false, error: inFlight(leftMs) });
      return;
    }
    new Dispatch(settings, received, key, hash, this.#nextToken(), deadlineAt, handler, done, hold).start();
  }

  /** How many events are in progress here. */
  get runningCount(): number {
    return this.#settings.running.size;
  }

  #nextToken(): string {
    this.#origin ??= randomUUID();
    this.#claims++;
    return `${this.#origin}-${this.#claims}`;
  }

  /** Cached, because V8 keeps the parts of a concatenated key alive in the memory store. */
  #prefixOf(provider: string): string {
    let prefix = this.#prefixes.get(provider);
    if (prefix === undefined) {
      prefix = keyOf(this.#settings.scope, provider, '');
      this.#prefixes.set(provider, prefix);
    }
    return prefix;
  }
}
