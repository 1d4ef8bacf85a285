/** A timer that does not keep the process alive. In workers a timer is a number and has no unref(). */
export function unrefTimeout(run: () => void, ms: number): NodeJS.Timeout {
  const timer = setTimeout(run, ms);
  timer.unref?.();
  return timer;
}
