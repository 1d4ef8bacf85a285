const installed = Symbol.for('vast-webhook: timers that wait');

/**
 * The timers that wait, but for those of Node.js itself. `clear()` ends them, so that no poll, renewal or retry of one
 * test file sets a timer in the fake time of the next one, which may have the same process.
 */
export function timersOfThisFile(): { clear(): void } {
  const globals = globalThis as { [installed]?: Set<NodeJS.Timeout> };
  globals[installed] ??= track();
  const waiting = globals[installed];
  return {
    clear() {
      for (const timer of waiting) clearTimeout(timer);
      waiting.clear();
    },
  };
}

function track(): Set<NodeJS.Timeout> {
  const waiting = new Set<NodeJS.Timeout>();
  const set = globalThis.setTimeout;
  function setTimeout(run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): NodeJS.Timeout {
    if (isOfNode(new Error())) return set(run, ms, ...args);
    const timer = set(() => {
      waiting.delete(timer);
      run(...args);
    }, ms);
    waiting.add(timer);
    return timer;
  }
  // With what `promisify` looks for.
  globalThis.setTimeout = Object.assign(setTimeout, set);
  return waiting;
}

/** Such as those of fetch's connections, which are kept for the next request. */
function isOfNode({ stack = '' }: Error): boolean {
  return /\bnode:internal\b/.test(stack.split('\n')[2] ?? '');
}
