import { type Clock, systemClock, type Timer } from '../util/clock.js';

/** What may hold back some of what is under way, until it is asked not to. */
interface Buffering {
  flush?(): Promise<void> | void;
}

/** How often that is asked, since more may come to it. */
const flushEveryMs = 100;

/** Counts what is under way, so that closing can wait for it. */
export class Drain {
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
  close(timeoutMs?: number, sinks: readonly Buffering[] = []): Promise<void> {
    this.#closing = true;
    const clock = this.#clock;
    const flush = () => Promise.allSettled(sinks.map(async (sink) => sink.flush?.()));
    return new Promise((resolve) => {
      // Referenced, because all that is waited for here may hang on timers that keep no process alive.
      let again: Timer;
      const keepAlive = () => {
        again = clock.timeout(() => {
          if (this.#count > 0) flush();
          keepAlive();
        }, flushEveryMs);
      };
      const end = () => {
        clock.clear(again);
        clock.clear(timer);
        resolve();
      };
      keepAlive();
      const timer = timeoutMs === undefined ? undefined : clock.timeout(end, timeoutMs);
      // At last what nobody has waited for.
      this.#idle().then(flush).then(end);
    });
  }

  #idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
