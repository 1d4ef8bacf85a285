import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../clock.js';
import { WebhookError } from '../errors.js';
import type { Received } from '../receive/delivery.js';
import { Claim, type ClaimSettings } from './claim.js';
import type { InFlight } from './in-flight.js';
import { hashOf, KeyMap } from './key-map.js';
import { type Forwarded, type Handler, Run, type RunSettings } from './run.js';
import type { IdempotencyStore } from './store.js';
import { StoreCalls } from './store-calls.js';
import { Unrecorded } from './unrecorded.js';

export interface ForwarderSettings<Event>
  extends Omit<ClaimSettings, 'calls' | 'clock'>,
    Omit<RunSettings<Event>, 'unrecorded' | 'clock'> {
  readonly clock?: Clock;
  readonly store: IdempotencyStore;
  readonly storeTimeoutMs: number;
  readonly inFlight: InFlight;
  /** Keeps apart what a receiver and a worker remember of one event in one store. */
  readonly scope: string;
}

/** What the store knows an event by. */
export function keyOf(scope: string, provider: string, id: string): string {
  return `${scope}:${provider}:${id}`;
}

const duplicate: Forwarded = { duplicate: true };

function inFlight(retryAfterMs: number): Forwarded {
  const message = 'another delivery of the event is being processed';
  return { duplicate: false, error: new WebhookError('in_flight', message, { retryAfterMs }) };
}

/** Takes a delivery to its end: claimed, told to the sinks, handed on, completed or released. */
export class Forwarder<Event> {
  readonly #settings: ForwarderSettings<Event> & ClaimSettings & RunSettings<Event>;
  readonly #prefixes = new Map<string, string>();
  /**
   * Fencing tokens are this and a number, which costs less than a UUID for each. Made with the first claim: a process that
   * is frozen before that, and thawed many times, must not be the same one each time.
   */
  #origin: string | undefined;
  #claims = 0;
  /** What this process is at, which the store may have forgotten: a lease does not outlast every outage. */
  readonly #running: KeyMap<Run<Event>>;

  constructor(settings: ForwarderSettings<Event>) {
    const { clock = systemClock } = settings;
    const calls = new StoreCalls(settings.store, settings.storeTimeoutMs, clock);
    this.#settings = { ...settings, clock, calls, unrecorded: new Unrecorded() };
    this.#running = new KeyMap((run) => run.knownUntil <= clock.now());
  }

  /**
   * Calls `done` once. By `deadlineAt`, a time of the clock's `now()`, that is; sinks still at work are then settled
   * behind it, and a handler that has the event is waited for as long as its claim can be kept. Then, when nothing more
   * will happen, `ended` is called. Does not throw.
   */
  forward(
    received: Received<Event>,
    type: string | undefined,
    deadlineAt: number,
    handler: Handler | undefined,
    done: (forwarded: Forwarded) => void,
    ended?: () => void,
  ): void {
    const settings = this.#settings;
    const running = this.#running;
    const { provider, id } = received.delivery;
    const key = this.#prefixOf(provider) + id;
    const hash = hashOf(key);
    const other = running.get(key, hash);
    if (other !== undefined) {
      const leftMs = other.knownUntil - settings.clock.now();
      if (leftMs > 0) {
        done(inFlight(leftMs));
        ended?.();
        return;
      }
      // It may go on, but whatever it has reached must not be done again.
      other.remember();
    }
    const claim = new Claim(settings, key, this.#nextToken(), (error) => settings.onError(error, { id, type }));
    const leave = () => {
      settings.inFlight.leave();
      ended?.();
    };
    settings.inFlight.enter();
    claim.take(
      deadlineAt - settings.clock.now(),
      (result) => {
        if (result.state === 'acquired') {
          const over = () => {
            if (running.get(key, hash) === run) running.delete(key, hash);
            leave();
          };
          const run = new Run(settings, received, type, claim, handler, done, over);
          running.set(key, hash, run);
          run.start(result.delivered, deadlineAt);
          return;
        }
        if (result.state === 'completed') {
          settings.unrecorded.take(key);
          done(duplicate);
        } else {
          done(inFlight(result.retryAfterMs));
        }
        leave();
      },
      (error) => done({ duplicate: false, error }),
      leave,
    );
  }

  /** How many events this process is at. */
  get runningCount(): number {
    return this.#running.size;
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
