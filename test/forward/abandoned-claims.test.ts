import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AbandonedClaims } from '../../src/forward/abandoned-claims.js';
import { GuardedStore } from '../../src/forward/guarded-store.js';
import { systemClock } from '../../src/util/clock.js';
import type { Hold } from '../../src/util/shared-work.js';
import { type Deferred, deferred } from '../support/deferred.js';
import { fail, faultyStore } from '../support/faulty-store.js';

const leaseMs = 30_000;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function setUp() {
  const faulty = faultyStore();
  const calls = new GuardedStore(faulty.store, 2_000);
  const abandoned = new AbandonedClaims({ store: calls, clock: systemClock, leaseMs, completedTtlMs: leaseMs });
  const over: string[] = [];
  return {
    ...faulty,
    over,
    abandon(count: number, hold?: Hold) {
      for (let claim = 0; claim < count; claim++)
        abandoned.add(`key-${claim}`, 'token', () => over.push(`key-${claim}`), hold);
    },
  };
}

describe('claims that failed', () => {
  it('are released one at a time, and ever more rarely, while the store fails', async () => {
    const { abandon, fault, operations, over } = setUp();
    fault('release', fail);
    abandon(200);
    await vi.advanceTimersByTimeAsync(10_000);
    // After 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 s.
    expect(operations()).toHaveLength(7);
    expect(over).toEqual([]);
  });

  it('are released no sooner because more of them come', async () => {
    const { abandon, fault, operations } = setUp();
    fault('release', fail);
    for (let add = 0; add < 100; add++) {
      abandon(1);
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(operations()).toHaveLength(7);
  });

  it('cost only timers of recent requests in a long outage, where requests are held', async () => {
    const { abandon, fault } = setUp();
    fault('release', fail);
    const held = new Set<Promise<unknown>>();
    for (let second = 0; second < 300; second++) {
      abandon(1, (request) => {
        held.add(request);
        request.then(() => held.delete(request));
      });
      await vi.advanceTimersByTimeAsync(1_000);
    }
    // One for each request of the last 30 s or so, and none for the 270 before.
    expect(vi.getTimerCount()).toBeLessThan(60);
    expect(held.size).toBeLessThan(60);
    await vi.advanceTimersByTimeAsync(leaseMs + 6_000);
    expect(vi.getTimerCount() + held.size).toBe(0);
  });

  it('are released within seconds after the store is back, at most sixteen at once', async () => {
    const { abandon, fault, over } = setUp();
    fault('release', fail);
    abandon(200);
    await vi.advanceTimersByTimeAsync(6_000);
    let most = 0;
    const releasing = new Set<Deferred>();
    fault('release', (release) => {
      const answer = deferred();
      releasing.add(answer);
      most = Math.max(most, releasing.size);
      return answer.promise.then(release);
    });
    for (let round = 0; round < 400; round++) {
      await vi.advanceTimersByTimeAsync(10);
      for (const answer of releasing) answer.resolve();
      releasing.clear();
    }
    expect(over).toHaveLength(200);
    expect(most).toBe(16);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('do not wait for one that the store cannot release', async () => {
    const { abandon, fault, calls, over } = setUp();
    fault('release', (release) => (calls.at(-1)?.[1] === 'key-0' ? fail(release) : Promise.resolve(release())));
    abandon(3);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(over).toEqual(['key-1', 'key-2']);
  });

  it('are left alone once their leases have ended, and beyond a thousand', async () => {
    const { abandon, fault, over } = setUp();
    fault('release', fail);
    abandon(1_001);
    expect(over).toEqual(['key-1000']);
    await vi.advanceTimersByTimeAsync(leaseMs + 6_000);
    expect(over).toHaveLength(1_001);
    expect(vi.getTimerCount()).toBe(0);
  });
});
