import type { BoundedStore } from './bounded-store.js';
import { isPromise } from './bounded-store.js';

/** How long a claim is renewed for work that does not settle. */
const maxWorkMs = 5 * 60_000;

export type ClaimEnd = 'lost' | 'expired';

/** The exclusive right to process one event, kept up while the work goes on. */
export class Claim {
  readonly #store: BoundedStore;
  readonly #key: string;
  readonly #token: string;
  readonly #leaseMs: number;
  readonly #ttlMs: number;
  readonly #onError: (error: unknown) => void;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;
  /** Why the claim is over although its holder has not settled it. */
  end: ClaimEnd | undefined;
  /** Called once when that happens. */
  onEnd: (() => void) | undefined;

  constructor(
    store: BoundedStore,
    key: string,
    token: string,
    leaseMs: number,
    ttlMs: number,
    onError: (error: unknown) => void,
  ) {
    this.#store = store;
    this.#key = key;
    this.#token = token;
    this.#leaseMs = leaseMs;
    this.#ttlMs = ttlMs;
    this.#onError = onError;
  }

  /** Made when first asked for: most sinks and all handlers never look at it. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.end !== undefined) this.#abort.abort(reasonOf(this.end));
    }
    return this.#abort.signal;
  }

  /** Renews at a third of the lease, until the claim is settled or over. */
  keepUp(): void {
    if (this.#since !== 0) return;
    this.#since = performance.now();
    this.#schedule();
  }

  /** Records that a sink has had the event. Throws `store_unavailable`; false when the claim was lost. */
  delivered(sink: string): boolean | Promise<boolean> {
    return this.#unlessLost(this.#store.delivered(this.#key, this.#token, sink));
  }

  complete(): boolean | Promise<boolean> {
    this.#stop();
    return this.#unlessLost(this.#store.complete(this.#key, this.#token, this.#ttlMs));
  }

  /** Gives the event back. What goes wrong is reported, since the lease ends by itself. */
  async release(): Promise<void> {
    this.#stop();
    if (this.end === 'lost') return;
    try {
      await this.#unlessLost(this.#store.release(this.#key, this.#token, this.#ttlMs));
    } catch (error) {
      this.#onError(error);
    }
  }

  #unlessLost(held: boolean | Promise<boolean>): boolean | Promise<boolean> {
    if (isPromise(held)) return held.then((value) => this.#unlessLost(value));
    if (!held) this.#over('lost');
    return held;
  }

  #schedule(): void {
    const left = this.#since + maxWorkMs - performance.now();
    this.#timer = setTimeout(() => void this.#renew(), Math.max(0, Math.min(this.#leaseMs / 3, left)));
    this.#timer.unref();
  }

  async #renew(): Promise<void> {
    const timer = this.#timer;
    if (performance.now() - this.#since >= maxWorkMs) return this.#over('expired');
    try {
      await this.#unlessLost(this.#store.renew(this.#key, this.#token, this.#leaseMs));
    } catch (error) {
      // The lease may outlast the store's trouble, and what ran out but was not taken is still ours.
      this.#onError(error);
    }
    if (this.#timer === timer && this.end === undefined) this.#schedule();
  }

  #over(end: ClaimEnd): void {
    if (this.end !== undefined) return;
    this.end = end;
    this.#stop();
    const reason = reasonOf(end);
    this.#onError(reason);
    this.#abort?.abort(reason);
    this.onEnd?.();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function reasonOf(end: ClaimEnd): Error {
  return end === 'lost'
    ? new Error('the claim on the event was lost: its lease ran out and somebody else has claimed it since')
    : new Error(`the work on the event did not settle within ${maxWorkMs / 60_000} minutes: its claim is given back`);
}
