import { randomUUID } from 'node:crypto';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import type { Forwarded } from '../contracts/result.js';
import type { IdempotencyStore } from '../contracts/store.js';
import { type Clock, systemClock } from '../util/clock.js';
import { hashOf, KeyMap } from '../util/key-map.js';
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
  /** Keeps apart what a receiver and a worker remember of one event in one store. */
  readonly scope: string;
}

/** What the store knows an event by. */
export function keyOf(scope: string, provider: string, id: string): string {
  return `${scope}:${provider}:${id}`;
}

/** Takes a delivery to its end: claimed, told to the sinks, handed on, completed or released. */
export class Dispatcher<Event> {
  readonly #settings: DispatchSettings<Event> & { readonly scope: string };
  readonly #prefixes = new Map<string, string>();
  /**
   * Fencing tokens are this and a number, which costs less than a UUID for each. Made with the first claim: a process that
   * is frozen before that, and thawed many times, must not be the same one each time.
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
   * Calls `done` once. By `deadlineAt`, a time of the clock's `now()`, that is; sinks still at work are then settled
   * behind it, and a handler that has the event is waited for as long as its claim can be kept. Then, when nothing more
   * will happen, `ended` is called. Does not throw.
   */
  forward(
    received: ReceivedDelivery<Event>,
    type: string | undefined,
    deadlineAt: number,
    handler: Handler | undefined,
    done: (forwarded: Forwarded) => void,
    ended?: () => void,
  ): void {
    const settings = this.#settings;
    const { running, clock } = settings;
    const { provider, id } = received.delivery;
    const key = this.#prefixOf(provider) + id;
    const hash = hashOf(key);
    const leftMs = msLeftOf(running.get(key, hash), clock);
    if (leftMs > 0) {
      done({ duplicate: false, error: inFlight(leftMs) });
      ended?.();
      return;
    }
    new Dispatch(settings, received, type, key, hash, this.#nextToken(), deadlineAt, handler, done, ended).start();
  }

  /** How many events this process is at. */
  get runningCount(): number {
    return this.#settings.running.size;
  }

  #nextToken(): string {
    this.#origin ??= randomUUID();
    this.#claims++;
    return `${this.#origin}-${this.#claims}`;
  }

  /** Kept, since a store in memory holds every part that a key was put together of. */
  #prefixOf(provider: string): string {
    let prefix = this.#prefixes.get(provider);
    if (prefix === undefined) {
      prefix = keyOf(this.#settings.scope, provider, '');
      this.#prefixes.set(provider, prefix);
    }
    return prefix;
  }
}
