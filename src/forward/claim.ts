import type { Clock, Timer } from '../clock.js';
import type { ClaimResult } from './store.js';
import { type Next, type StoreCalls, unavailable } from './store-calls.js';

/** How long a claim is renewed for work that does not settle. */
export const maxWorkMs = 5 * 60_000;

/** How soon the store is asked again to record what it has failed to. Doubled each time, up to the second. */
const minPersistMs = 100;
const maxPersistMs = 5_000;

/** What a claim is taken with, the same for all of a middleware's. Durations are milliseconds. */
export interface ClaimSettings {
  readonly calls: StoreCalls;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly completedTtlMs: number;
}

/** The exclusive right to process one event, kept up while the work goes on. */
export class Claim {
  readonly #settings: ClaimSettings;
  readonly key: string;
  readonly #token: string;
  readonly #onError: (error: Error) => void;
  /** Times of the clock's `now()`. */
  #since: number | undefined;
  #renewAt = 0;
  #timer: Timer | undefined;
  #abort: AbortController | undefined;
  /** Why the claim is over although its holder has not settled it. */
  end: 'lost' | 'expired' | undefined;
  #onEnd: (() => void) | undefined;

  /** `onError` hears what goes wrong where nobody waits for it. */
  constructor(settings: ClaimSettings, key: string, token: string, onError: (error: Error) => void) {
    this.#settings = settings;
    this.key = key;
    this.#token = token;
    this.#onError = onError;
  }

  /** `then` is called when the claim is over before it is settled, in place of what was given before. */
  whenOver(then: () => void): void {
    this.#onEnd = then;
  }

  /** Made when first asked for: most sinks and all handlers never look at it. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.end !== undefined) this.#abort.abort(reasonOf(this.end));
    }
    return this.#abort.signal;
  }

  /** Asks for the event. Granted after we gave up on it, it is given back: nobody would settle it. */
  take(withinMs: number, { ok, fail }: Omit<Next<ClaimResult>, 'late'>): void {
    const { leaseMs, calls } = this.#settings;
    if (calls.isCongested()) {
      fail(unavailable('claim', 'too many calls to it are overdue'));
      return;
    }
    const late = ({ state }: ClaimResult) => {
      if (state === 'acquired') this.release(() => {});
    };
    calls.call('claim', this.key, this.#token, leaseMs, { ok, fail, late }, withinMs);
  }

  /** Renews at a third of the lease, until the claim is settled or over. */
  keepUp(): void {
    if (this.#timer !== undefined) return;
    const now = this.#settings.clock.now();
    if (this.#since === undefined) {
      this.#since = now;
      this.#renewAt = now + this.#settings.leaseMs / 3;
    }
    const wait = Math.min(this.#renewAt, this.#since + maxWorkMs) - now;
    this.#timer = this.#settings.clock.unrefTimeout(() => this.#renew(), Math.max(0, wait));
  }

  /** Records that a sink has had the event. `ok` hears whether the claim is still ours. */
  delivered(sink: string, next: Next<boolean>): void {
    this.#settings.calls.call('delivered', this.key, this.#token, sink, this.#unlessLost(next));
  }

  complete(next: Next<boolean>): void {
    this.#complete(this.#unlessLost(next));
  }

  /** Gives the event back. What goes wrong is only reported, since the lease ends by itself. */
  release(then: () => void): void {
    this.#stop();
    if (this.end === 'lost') {
      then();
      return;
    }
    const { calls, completedTtlMs } = this.#settings;
    const fail = (error: Error) => {
      this.#onError(error);
      then();
    };
    calls.call('release', this.key, this.#token, completedTtlMs, this.#unlessLost({ ok: then, fail }));
  }

  /**
   * Goes on asking the store to complete the event, or to record that `sinks` have had it and to give it back, after it
   * has failed to: whoever has had the event would have it again. `then` hears whether that is done when the claim ends.
   */
  persist(what: 'completed' | readonly string[], then: (isRecorded: boolean) => void, waitMs = minPersistMs): void {
    const fail = () => this.persist(what, then, Math.min(2 * waitMs, maxPersistMs));
    if (this.end === undefined) this.keepUp();
    this.#settings.clock.unrefTimeout(() => {
      if (this.end !== undefined) {
        then(false);
      } else if (what === 'completed') {
        // If it is no longer ours, the call that failed has reached the store after all, or others have taken over.
        this.#complete({ ok: then, fail });
      } else if (what[0] === undefined) {
        this.release(() => then(true));
      } else {
        this.delivered(what[0], { ok: () => this.persist(what.slice(1), then, 0), fail });
      }
    }, waitMs);
  }

  #complete(next: Next<boolean>): void {
    this.#stop();
    const { calls, completedTtlMs } = this.#settings;
    calls.call('complete', this.key, this.#token, completedTtlMs, next);
  }

  #unlessLost({ ok, fail }: Next<boolean>): Next<boolean> {
    return {
      ok: (held) => {
        if (!held) this.#over('lost');
        ok(held);
      },
      fail,
    };
  }

  #renew(): void {
    const timer = this.#timer;
    if (this.#settings.clock.now() - (this.#since as number) >= maxWorkMs) {
      this.#over('expired');
      return;
    }
    const { leaseMs, calls } = this.#settings;
    // Settled meanwhile, the claim is not lost by being gone when its renewal arrives.
    const isWanted = () => this.#timer === timer;
    calls.call('renew', this.key, this.#token, leaseMs, {
      ok: (held) => {
        if (!isWanted()) return;
        if (held) this.#goOn();
        else this.#over('lost');
      },
      fail: (error) => {
        if (!isWanted()) return;
        // The lease may outlast the store's trouble, and what ran out but was not taken is still ours.
        this.#onError(error);
        this.#goOn();
      },
    });
  }

  #goOn(): void {
    this.#stop();
    this.#renewAt = this.#settings.clock.now() + this.#settings.leaseMs / 3;
    this.keepUp();
  }

  #over(end: 'lost' | 'expired'): void {
    if (this.end !== undefined) return;
    this.end = end;
    this.#stop();
    const reason = reasonOf(end);
    this.#onError(reason);
    this.#abort?.abort(reason);
    this.#onEnd?.();
  }

  #stop(): void {
    this.#settings.clock.clear(this.#timer);
    this.#timer = undefined;
  }
}

function reasonOf(end: 'lost' | 'expired'): Error {
  return end === 'lost'
    ? new Error('the claim on the event was lost: its lease ran out and somebody else has claimed it since')
    : new Error(`the work on the event did not settle within ${maxWorkMs / 60_000} minutes: its claim is given back`);
}
