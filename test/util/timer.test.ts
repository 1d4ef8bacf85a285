import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { timeoutAfterTurn } from '../../src/util/timer.js';

describe('timeoutAfterTurn', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it.each(['', ' where there are no immediates'])('runs after the time%s', (where) => {
    if (where !== '') vi.stubGlobal('setImmediate', undefined);
    const run = vi.fn();
    timeoutAfterTurn(run, 50);
    vi.advanceTimersByTime(49);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledOnce();
  });

  it.each([
    ['within the turn', 0],
    ['after the turn', 10],
  ])('does not run when it is cancelled %s', (_, afterMs) => {
    const run = vi.fn();
    const cancel = timeoutAfterTurn(run, 50);
    if (afterMs > 0) vi.advanceTimersByTime(afterMs);
    cancel();
    vi.advanceTimersByTime(100);
    expect(run).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
