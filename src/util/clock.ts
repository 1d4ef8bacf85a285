/** What `timeout` gives, to be cleared with. */
export type Timer = NodeJS.Timeout;

/**
 * Time, as the engine sees it. It is handed in, so that a simulation can have a clock and a scheduler of its own.
 * Everything that waits, retries, renews or gathers asks this object, and nothing else.
 */
export interface Clock {
  /** Milliseconds that only go forward, as `performance.now()`. */
  now(): number;
  /** Unix milliseconds, which can be set back and forward, as `Date.now()`. */
  date(): number;
  /** Keeps the process alive until then. */
  timeout(run: () => void, ms: number): Timer;
  /** Keeps no process alive. */
  unrefTimeout(run: () => void, ms: number): Timer;
  clear(timer: Timer | undefined): void;
  /** Runs it when what is running now, and all that it has resolved, is over. */
  immediate(run: () => void): void;
}

/** The globals are looked up at each call, because tests replace them. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  timeout: (run, ms) => setTimeout(run, ms),
  unrefTimeout(run, ms) {
    const timer = setTimeout(run, ms);
    // In workers a timer is a number, and no process waits for it.
    timer.unref?.();
    return timer;
  },
  clear: (timer) => clearTimeout(timer),
  immediate: (run) => setImmediate(run),
};
