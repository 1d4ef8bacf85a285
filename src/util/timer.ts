/** A timer that keeps no process alive. In workers a timer is a number, and no process waits for it. */
export function unrefTimeout(run: () => void, ms: number): NodeJS.Timeout {
  const timer = setTimeout(run, ms);
  timer.unref?.();
  return timer;
}
