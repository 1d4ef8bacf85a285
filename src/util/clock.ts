/** A running timer, for `clear`. */
export type Timer = NodeJS.Timeout;

/**
 * Time, as the engine sees it. It is a parameter, so that a simulation can have its own clock and scheduler.
 * All code that waits, retries, renews or buffers uses only this object.
 */
export interface Clock {
  /** Monotonic milliseconds, like `performance.now()`. */
  now(): number;
  /** Unix milliseconds of the system clock, which can be set back, like `Date.now()`. */
  date(): number;
  /** A timer that keeps the process alive. */
  timeout(run: () => void, ms: number): Timer;
  /** A timer that does not keep the process alive. */
  unrefTimeout(run: () => void, ms: number): Timer;
  clear(timer: Timer | undefined): void;
  /** Runs the function after the running code and all its microtasks. */
  immediate(run: () => void): void;
}

/** The globals are looked up at each call, because tests replace them. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  timeout: (run, ms) => setTimeout(run, ms),
  unrefTimeout(run, ms) {
    const timer = setTimeout(run, ms);
    // In workers a timer is a number and has no unref().
    timer.unref?.();
    return timer;
  },
  clear: (timer) => clearTimeout(timer),
  immediate: (run) => setImmediate(run),
};
