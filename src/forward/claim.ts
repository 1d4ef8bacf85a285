import type { Clock, Timer } from '../clock.js';
import type { WebhookError } from '../errors.js';
import type { ClaimResult } from './store.js';
import { maxAbandoned, type Next, type StoreCalls, unavailable } from './store-calls.js';

/** How long a claim is renewed for work that does not settle. */
const maxWorkMs = 5 * 60_000;

/** How soon the store is asked again for what it has failed to do. Doubled each time, up to the second. */
const minPersistMs = 100;
const maxPersistMs = 5_000;

/** How soon a renewal is tried again, since a lease must outlast the store's trouble. */
const renewAgainMs = 1_000;

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
  /** When the lease ends, as far as this process knows. */
  #leaseUntil = 0;
  #isTroubled = false;
  #timer: Timer | undefined;
  #abort: AbortController | undefined;
  /**
   * Until when this process keeps others of its own deliveries from the event. It is put off for as long as timers run
   * here: an isolate that has lost what it was at will never settle it, and the store decides then.
   */
  knownUntil = 0;
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

  /**
   * Asks for the event. A call that has failed may have reached the store nevertheless, also later than we gave up on
   * it, and nobody would settle the claim: it is released. `fail` hears at once, `over` when that is done.
   */
  take(
    withinMs: number,
    ok: (result: ClaimResult) => void,
    fail: (error: WebhookError) => void,
    over: () => void,
  ): void {
    const { leaseMs, calls, clock } = this.#settings;
    if (calls.isCongested()) {
      fail(unavailable('claim', 'too many calls to it are overdue'));
      over();
      return;
    }
    const giveUp = () => {
      this.#leaseUntil = clock.now() + leaseMs;
    };
    const next: Next<ClaimResult> = {
      ok: (result) => {
        if (result.state === 'acquired') this.#held();
        ok(result);
      },
      fail: (error) => {
        fail(error);
        giveUp();
        this.#releaseAbandoned(over);
      },
      late: (result) => {
        if (result !== undefined && result.state !== 'acquired') return;
        giveUp();
        this.#releaseAbandoned(() => {});
      },
    };
    calls.call('claim', this.key, this.#token, leaseMs, next, withinMs);
  }

  /** Many claims fail in an outage. Beyond some, leases end by themselves. */
  #releaseAbandoned(then: () => void): void {
    const { calls } = this.#settings;
    if (calls.abandoned >= maxAbandoned) {
      then();
      return;
    }
    calls.abandoned++;
    const over = () => {
      calls.abandoned--;
      then();
    };
    const again = () => this.persist([], over);
    if (calls.isOverdue) again();
    else this.#callRelease({ ok: over, fail: again });
  }

  #held(): void {
    this.#leaseUntil = this.#settings.clock.now() + this.#settings.leaseMs;
    this.knownUntil = this.#leaseUntil;
  }

  /** Lost, but with work that goes on here: stays known until `whenOver` is called again or the work is too long. */
  linger(isWanted: () => boolean, then: () => void): void {
    const { clock, leaseMs } = this.#settings;
    const now = clock.now();
    if (!isWanted()) return;
    if (now - (this.#since ?? now) >= maxWorkMs) {
      then();
      return;
    }
    this.knownUntil = now + leaseMs;
    clock.unrefTimeout(() => this.linger(isWanted, then), leaseMs / 3);
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

  /** Gives the event back. */
  release({ ok, fail }: Next<boolean>): void {
    this.#stop();
    if (this.end === 'lost') {
      ok(false);
      return;
    }
    const failed = (error: WebhookError) => {
      this.#onError(error);
      fail(error);
    };
    this.#callRelease(this.#unlessLost({ ok, fail: failed }));
  }

  #callRelease(next: Next<boolean>): void {
    const { calls, completedTtlMs } = this.#settings;
    calls.call('release', this.key, this.#token, completedTtlMs, next);
  }

  /**
   * Goes on asking the store to complete the event, or to record that `sinks` have had it and to give it back, after it
   * has failed to: whoever has had the event would have it again, or nobody could until the lease ends. `then` hears
   * whether that is done when the claim ends.
   */
  persist(what: 'completed' | readonly string[], then: (isRecorded: boolean) => void, waitMs = minPersistMs): void {
    const fail = () => this.persist(what, then, Math.min(Math.max(minPersistMs, 2 * waitMs), maxPersistMs));
    const { clock, calls } = this.#settings;
    // With nothing to record, the lease may end by itself.
    const isReleasing = what !== 'completed' && what.length === 0;
    if (this.end === undefined && !isReleasing) this.keepUp();
    clock.unrefTimeout(() => {
      if (this.end === 'lost' || (this.end === 'expired' && clock.now() >= this.#leaseUntil)) {
        then(false);
      } else if (what === 'completed') {
        // If it is no longer ours, the call that failed has reached the store after all, or others have taken over.
        this.#complete({ ok: then, fail });
      } else if (what[0] === undefined) {
        this.#stop();
        // First, since a call that hangs for good is overdue for ever.
        if (clock.now() >= this.#leaseUntil) then(true);
        else if (calls.isOverdue) fail();
        else this.#callRelease({ ok: () => then(true), fail });
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
    const { leaseMs, calls, clock } = this.#settings;
    this.knownUntil = clock.now() + leaseMs;
    // Settled meanwhile, the claim is not lost by being gone when its renewal arrives.
    const isWanted = () => this.#timer === timer;
    calls.call('renew', this.key, this.#token, leaseMs, {
      ok: (held) => {
        if (!isWanted()) return;
        if (held) {
          this.#isTroubled = false;
          this.#held();
          this.#goOn(leaseMs / 3);
        } else {
          this.#over('lost');
        }
      },
      fail: (error) => {
        if (!isWanted()) return;
        // The lease may outlast the store's trouble, and what ran out but was not taken is still ours.
        if (!this.#isTroubled) this.#onError(error);
        this.#isTroubled = true;
        this.#goOn(Math.min(renewAgainMs, leaseMs / 3));
      },
    });
  }

  #goOn(waitMs: number): void {
    this.#stop();
    this.#renewAt = this.#settings.clock.now() + waitMs;
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
