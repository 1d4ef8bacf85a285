/** A timer that does not keep the process alive. In workers a timer is a number and has no unref(). */
export function unrefTimeout(run: () => void, ms: number): NodeJS.Timeout {
  const timer = setTimeout(run, ms);
  timer.unref?.();
  return timer;
}

/**
 * The same for work that is mostly over within this turn of the event loop, such as reading a body that came with its
 * head. It starts with an immediate, which costs a third of a timer, and a tenth in Deno. Returns what cancels it.
 */
export function timeoutAfterTurn(run: () => void, ms: number): () => void {
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = unrefTimeout(run, ms);
  };
  // Jest's jsdom has no immediates.
  const immediate = globalThis.setImmediate?.(start);
  if (immediate === undefined) start();
  return () => {
    if (immediate !== undefined) clearImmediate(immediate);
    clearTimeout(timer);
  };
}
