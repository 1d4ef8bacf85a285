import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Drain } from '../../src/forward/drain.js';
import { deferred } from '../support/deferred.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Whether it is closed by now. */
function watch(closing: Promise<void>): () => Promise<boolean> {
  let closed = false;
  closing.then(() => {
    closed = true;
  });
  return async () => {
    await vi.advanceTimersByTimeAsync(0);
    return closed;
  };
}

describe('closing', () => {
  it('waits for all running work', async () => {
    const inFlight = new Drain();
    expect(inFlight.closing).toBe(false);
    inFlight.enter();
    inFlight.enter();
    const isClosed = watch(inFlight.close());
    expect(inFlight.closing).toBe(true);
    inFlight.leave();
    expect(await isClosed()).toBe(false);
    inFlight.leave();
    expect(await isClosed()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('resolves at once when nothing runs', async () => {
    const isClosed = watch(new Drain().close(60_000));
    expect(await isClosed()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends at its timeout, whatever runs', async () => {
    const inFlight = new Drain();
    inFlight.enter();
    const isClosed = watch(inFlight.close(5_000));
    await vi.advanceTimersByTimeAsync(4_999);
    expect(await isClosed()).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await isClosed()).toBe(true);
  });

  it('may be asked for several times', async () => {
    const inFlight = new Drain();
    inFlight.enter();
    const areClosed = [watch(inFlight.close()), watch(inFlight.close())];
    inFlight.leave();
    for (const isClosed of areClosed) expect(await isClosed()).toBe(true);
  });
});

describe('closing, with sinks that buffer', () => {
  it('flushes them again and again while something runs, and once more when nothing does', async () => {
    const inFlight = new Drain();
    const flush = vi.fn();
    inFlight.enter();
    const isClosed = watch(inFlight.close(undefined, [{ flush }, {}]));
    await vi.advanceTimersByTimeAsync(250);
    expect(flush).toHaveBeenCalledTimes(2);
    inFlight.leave();
    expect(await isClosed()).toBe(true);
    expect(flush).toHaveBeenCalledTimes(3);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(flush).toHaveBeenCalledTimes(3);
  });

  it('waits until they have flushed', async () => {
    const opened = deferred();
    const isClosed = watch(new Drain().close(undefined, [{ flush: () => opened.promise }]));
    expect(await isClosed()).toBe(false);
    opened.resolve();
    expect(await isClosed()).toBe(true);
  });

  it('is not delayed by a flush that fails', async () => {
    const thrown = () => {
      throw new Error('no');
    };
    const rejected = () => Promise.reject(new Error('no'));
    const flush = vi.fn();
    const isClosed = watch(new Drain().close(undefined, [{ flush: thrown }, { flush: rejected }, { flush }]));
    expect(await isClosed()).toBe(true);
    expect(flush).toHaveBeenCalledTimes(1);
  });
});
