import { type Clock, systemClock, type Timer } from '../util/clock.js';

/** A sink that may buffer events until flush(). */
interface Buffering {
  flush?(): Promise<void> | void;
}

/** How often we flush while closing, because more events may arrive. */
const flushEveryMs = 100;

/** Counts running work, so that close() can wait for it. */
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
   * Resolves when no work runs any more and `sinks` have delivered what they buffered, or after `timeoutMs`.
   */
  close(timeoutMs?: number, sinks: readonly Buffering[] = []): Promise<void> {
    this.#closing = true;
    const clock = this.#clock;
    const flush = () => Promise.allSettled(sinks.map(async (sink) => sink.flush?.()));
    return new Promise((resolve) => {
      // Not unref'ed: code after `await close()` must run, and everything else here may hang on unref'ed timers.
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
      // At last the events that no request waits for.
      this.#idle().then(flush).then(end);
    });
  }

  #idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
