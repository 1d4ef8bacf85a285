import { AsyncLocalStorage } from 'node:async_hooks';
import { vi } from 'vitest';

/** How long the platform waits for `waitUntil` after the answer. */
const waitUntilMs = 30_000;

/** A request in the isolate. */
export interface IsolatedRequest<T> {
  readonly answer: Promise<T>;
  /** Whether its timers still run. */
  isAlive(): boolean;
  /** The platform ends it, as when its sender has hung up. */
  end(): void;
}

export interface Isolate {
  /** Handles a request, whose timers end with its answer and with what it has given to `waitUntil`. */
  handle<T>(handler: (context: { waitUntil(work: Promise<unknown>): void }) => Promise<T>): IsolatedRequest<T>;
}

/**
 * Makes this process an isolate of Workers until `vi.unstubAllGlobals()` and then `vi.useRealTimers()`, as far as
 * ends of requests go: a timer belongs to the request that set it, and never fires when that has ended. Time is the test's.
 */
export function isolate(): Isolate {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  const requests = new AsyncLocalStorage<{ isOver: boolean }>();
  const { setTimeout } = globalThis;
  vi.stubGlobal('setTimeout', (run: () => void, ms?: number) => {
    const request = requests.getStore();
    if (request === undefined) return setTimeout(run, ms);
    return setTimeout(() => {
      if (!request.isOver) requests.run(request, run);
    }, ms);
  });
  vi.stubGlobal('navigator', { userAgent: 'Cloudflare-Workers' });
  return {
    handle(handler) {
      const request = { isOver: false };
      let running = 1;
      const end = () => {
        request.isOver = true;
      };
      const left = () => {
        running--;
        if (running === 0) end();
      };
      const waitUntil = (work: Promise<unknown>) => {
        if (request.isOver) throw new Error('the request has ended');
        running++;
        work.then(left, left);
      };
      const answer = requests.run(request, () => handler({ waitUntil }));
      answer.then(left, left);
      answer.then(() => setTimeout(end, waitUntilMs), end);
      return { answer, isAlive: () => !request.isOver, end };
    },
  };
}

/** Lets time pass, and everything that is due happen. */
export async function pass(ms: number): Promise<void> {
  // Bodies are read by the real event loop.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(ms);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
