import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { memoryStore } from '../../../src/stores/memory/memory-store.js';

const lease = 1_000;
const ttl = 60_000;
const acquired = (delivered: string[] = []) => ({ state: 'acquired', delivered });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a claim', () => {
  it('is granted to the first and refused to others with the rest of the lease', () => {
    const store = memoryStore();
    expect(store.claim('k', 'a', lease)).toEqual(acquired());
    vi.advanceTimersByTime(400);
    expect(store.claim('k', 'b', lease)).toEqual({ state: 'in_flight', retryAfterMs: 600 });
    expect(store.claim('other', 'b', lease)).toEqual(acquired());
  });

  it('can be claimed by another when the lease has expired, and then the former holder changes nothing', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    store.delivered('k', 'a', 'slack');
    vi.advanceTimersByTime(lease);
    expect(store.claim('k', 'b', lease)).toEqual(acquired(['slack']));
    expect(store.renew('k', 'a', lease)).toBe(false);
    expect(store.delivered('k', 'a', 'audit')).toBe(false);
    expect(store.complete('k', 'a', ttl)).toBe(false);
    expect(store.release('k', 'a', ttl)).toBe(false);
    expect(store.claim('k', 'c', lease)).toMatchObject({ state: 'in_flight' });
  });

  it('still belongs to its holder when the lease has expired and no one has claimed it', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    vi.advanceTimersByTime(10 * lease);
    expect(store.delivered('k', 'a', 'slack')).toBe(true);
    expect(store.complete('k', 'a', ttl)).toBe(true);
    expect(store.claim('k', 'b', lease)).toEqual({ state: 'completed' });
  });

  it('lasts for a lease from each renewal', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    vi.advanceTimersByTime(900);
    expect(store.renew('k', 'a', lease)).toBe(true);
    vi.advanceTimersByTime(900);
    expect(store.claim('k', 'b', lease)).toEqual({ state: 'in_flight', retryAfterMs: 100 });
  });
});

describe('an event whose holder is gone', () => {
  const day = 24 * 60 * 60_000;
  const others = (store: ReturnType<typeof memoryStore>) => {
    for (let i = 0; i < 100; i++) store.claim(`other ${i}`, 'a', lease);
  };

  it('is known for a day after its lease, with the sinks that have had it, however many others there are', () => {
    const store = memoryStore();
    store.claim('k', 'gone', lease);
    store.delivered('k', 'gone', 'slack');
    vi.advanceTimersByTime(lease + day - 1);
    others(store);
    expect(store.claim('k', 'b', lease)).toEqual(acquired(['slack']));
  });

  it('is forgotten after that, as soon as its room is needed', () => {
    const store = memoryStore();
    store.claim('k', 'gone', lease);
    store.delivered('k', 'gone', 'slack');
    vi.advanceTimersByTime(lease + day);
    others(store);
    expect(store.claim('k', 'b', lease)).toEqual(acquired());
  });
});

describe('a completed event', () => {
  it('is remembered for its time, and then is new again', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    store.complete('k', 'a', ttl);
    vi.advanceTimersByTime(ttl - 1);
    expect(store.claim('k', 'b', lease)).toEqual({ state: 'completed' });
    vi.advanceTimersByTime(2);
    expect(store.claim('k', 'c', lease)).toEqual(acquired());
  });

  it('knows no holder', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    store.complete('k', 'a', ttl);
    expect(store.complete('k', 'a', ttl)).toBe(false);
    expect(store.release('k', 'a', ttl)).toBe(false);
    expect(store.claim('k', 'b', lease)).toEqual({ state: 'completed' });
  });
});

describe('a released event', () => {
  it('can be claimed at once, and keeps the sinks that were delivered to', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    store.delivered('k', 'a', 'slack');
    store.delivered('k', 'a', 'slack');
    expect(store.release('k', 'a', ttl)).toBe(true);
    expect(store.claim('k', 'b', lease)).toEqual(acquired(['slack']));
    store.delivered('k', 'b', 'audit');
    store.release('k', 'b', ttl);
    expect(store.claim('k', 'c', lease)).toEqual(acquired(['slack', 'audit']));
  });

  it('forgets them after its time', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    store.delivered('k', 'a', 'slack');
    store.release('k', 'a', ttl);
    vi.advanceTimersByTime(ttl);
    expect(store.claim('k', 'b', lease)).toEqual(acquired());
  });

  it('returns a separate list to each holder', () => {
    const store = memoryStore();
    store.claim('k', 'a', lease);
    store.delivered('k', 'a', 'slack');
    store.release('k', 'a', ttl);
    const second = store.claim('k', 'b', lease);
    store.delivered('k', 'b', 'audit');
    expect(second).toEqual(acquired(['slack']));
  });
});

describe('maxCompleted', () => {
  const process = (store: ReturnType<typeof memoryStore>, key: string) => {
    const result = store.claim(key, 'a', lease);
    store.complete(key, 'a', ttl);
    return result;
  };

  it('bounds its memory and evicts the oldest first', () => {
    const store = memoryStore({ maxCompleted: 3 });
    for (const key of ['1', '2', '3', '4']) process(store, key);
    expect(store.claim('2', 'b', lease)).toEqual({ state: 'completed' });
    expect(store.claim('4', 'b', lease)).toEqual({ state: 'completed' });
    expect(store.claim('1', 'b', lease)).toEqual(acquired());
  });

  it('never evicts a running event', () => {
    const store = memoryStore({ maxCompleted: 1 });
    store.claim('held', 'a', lease);
    store.delivered('held', 'a', 'slack');
    for (let i = 0; i < 10; i++) process(store, `k${i}`);
    expect(store.claim('held', 'b', lease)).toMatchObject({ state: 'in_flight' });
    expect(store.complete('held', 'a', ttl)).toBe(true);
  });

  it('counts a key that expired and was completed again as new', () => {
    const store = memoryStore({ maxCompleted: 2 });
    process(store, 'old');
    process(store, 'second');
    process(store, 'third'); // evicts old: eviction has begun
    vi.advanceTimersByTime(ttl + 1);
    expect(process(store, 'second')).toEqual(acquired());
    process(store, 'fourth'); // evicts third
    expect(store.claim('second', 'b', lease)).toEqual({ state: 'completed' });
    process(store, 'fifth'); // evicts second
    expect(store.claim('second', 'b', lease)).toEqual(acquired());
  });

  it('also bounds the progress of released events', () => {
    const store = memoryStore({ maxCompleted: 2 });
    for (const key of ['1', '2', '3']) {
      store.claim(key, 'a', lease);
      store.delivered(key, 'a', 'slack');
      store.release(key, 'a', ttl);
    }
    expect(store.claim('1', 'b', lease)).toEqual(acquired());
    expect(store.claim('2', 'b', lease)).toEqual(acquired(['slack']));
    expect(store.claim('3', 'b', lease)).toEqual(acquired(['slack']));
  });

  it('remembers the latest of many more events, in the order of completion', () => {
    const store = memoryStore({ maxCompleted: 1_000 });
    for (let i = 0; i < 50_000; i++) expect(process(store, `k${i}`)).toEqual(acquired());
    expect(store.claim('k48999', 'b', lease)).toEqual(acquired());
    for (let i = 49_000; i < 50_000; i++) expect(store.claim(`k${i}`, 'b', lease)).toEqual({ state: 'completed' });
  });

  it.each([0, -1, 1.5, Number.NaN, '10' as never])(
    'must be a whole number of at least 1, which %s is not',
    (maxCompleted) => {
      expect(() => memoryStore({ maxCompleted })).toThrow(/maxCompleted must be a whole number/);
    },
  );
});
