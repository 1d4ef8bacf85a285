import { type Clock, systemClock, type Timer } from '../clock.js';

/** What may hold back some of what is under way, until it is asked not to. */
interface Gathering {
  flush?(): Promise<void> | void;
}

/** How often that is asked, since more may come to it. */
const flushEveryMs = 100;

/** Counts what is under way, so that closing can wait for it. */
export class InFlight {
  readonly #clock: Clock;
  #count = 0;
  #closing = false;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  get closing(): boolean {
    return this.#closing;
  }

  enter(): void {
    this.#count++;
  }

  leave(): void {
    this.#count--;
    if (this.#count === 0) {
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
  }

  /**
   * Resolves when nothing is under way any more and `sinks` have told what they have gathered, or after `timeoutMs`.
   */
  close(timeoutMs?: number, sinks: readonly Gathering[] = []): Promise<void> {
    this.#closing = true;
    return new Promise((resolve) => {
      // Not unreferenced: what stands behind an awaited close shall still run.
      const timer = timeoutMs === undefined ? undefined : this.#clock.timeout(resolve, timeoutMs);
      this.#settled(sinks).then(() => {
        this.#clock.clear(timer);
        resolve();
      });
    });
  }

  async #settled(sinks: readonly Gathering[]): Promise<void> {
    const flush = () => Promise.allSettled(sinks.map(async (sink) => sink.flush?.()));
    let flushing: Timer;
    const flushAgain = () => {
      flush();
      flushing = this.#clock.unrefTimeout(flushAgain, flushEveryMs);
    };
    flushing = this.#clock.unrefTimeout(flushAgain, flushEveryMs);
    await this.#idle();
    this.#clock.clear(flushing);
    // What nobody has waited for.
    await flush();
  }

  #idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
