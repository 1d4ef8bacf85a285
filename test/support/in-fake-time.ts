import { vi } from 'vitest';

/** Runs code that opens no connection under a clock that goes on whenever nothing else does, so that no limit takes time. */
export async function inFakeTime<T>(run: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const limit = new AbortController();
    setTimeout(() => limit.abort(new DOMException('it took too long', 'TimeoutError')), ms);
    return limit.signal;
  });
  let isOver = false;
  const running = run().finally(() => {
    isOver = true;
  });
  // It is awaited below.
  running.catch(() => {});
  try {
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      await vi.advanceTimersByTimeAsync(5);
    }
    return await running;
  } finally {
    timeout.mockRestore();
    vi.useRealTimers();
  }
}
