import { describe, expect, it, vi } from 'vitest';
import { toSinks } from '../../src/contracts/sink.js';
import { Dispatcher } from '../../src/forward/dispatcher.js';
import { Drain } from '../../src/forward/drain.js';
import type { VastEvent } from '../../src/providers/vast.js';
import { memoryStore } from '../../src/stores/memory/memory-store.js';
import { fail } from '../support/faulty-store.js';
import { key, leaseMs, minutes, settled, setUp, slow, useFakeTime, verified } from './set-up.js';

useFakeTime();

describe('an event', () => {
  it('is claimed under its scope, provider and signed id, then delivered, then completed', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, operations, calls } = setUp(sink);
    const forwarding = forward();
    await settled();
    expect(operations()).toEqual(['claim']);
    expect(calls[0]).toEqual(['claim', key, expect.any(String), leaseMs]);
    attempts[0]?.resolve();
    expect(await forwarding).toEqual({ duplicate: false, sinks: { slack: 'delivered' } });
    expect(operations()).toEqual(['claim', 'complete']);
    expect(calls[1]).toEqual(['complete', key, calls[0]?.[2], 7 * 24 * 60 * minutes]);
  });

  it('that is completed is a duplicate, and no sink is called', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, real, operations } = setUp(sink);
    real.claim(key, 'other', 1_000);
    real.complete(key, 'other', minutes);
    expect(await forward()).toEqual({ duplicate: true });
    expect(attempts).toHaveLength(0);
    expect(operations()).toEqual(['claim']);
  });

  it('that the store has forgotten, because its time is over, is new and delivered again', async () => {
    const audit = vi.fn();
    const { forward } = setUp({ name: 'audit', deliver: audit });
    await forward();
    await vi.advanceTimersByTimeAsync(7 * 24 * 60 * minutes);
    expect(await forward()).toEqual({ duplicate: false, sinks: { audit: 'delivered' } });
    expect(audit).toHaveBeenCalledTimes(2);
  });

  it('that another delivery holds fails with the rest of that lease, and its claim stays', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, real, operations } = setUp(sink);
    real.claim(key, 'other', 1_500);
    const { duplicate, error } = await forward();
    expect(error).toMatchObject({ code: 'in_flight', retryAfterMs: 1_500 });
    expect(error?.message).toBe('another delivery of the event is being processed');
    expect(duplicate).toBe(false);
    expect(attempts).toHaveLength(0);
    expect(operations()).toEqual(['claim']);
  });

  it('has a token of its own for each claim', async () => {
    const { forward, calls } = setUp();
    await forward();
    await forward();
    expect(calls[0]?.[2]).not.toBe(calls[2]?.[2]);
  });

  it('is done before `forward` returns, if nothing has to be waited for', () => {
    const done = vi.fn();
    new Dispatcher<VastEvent>({
      scope: 'receiver',
      sinks: toSinks([function audit() {}, function other() {}]),
      store: memoryStore(),
      leaseMs,
      storeTimeoutMs: 2_000,
      completedTtlMs: minutes,
      drain: new Drain(),
      onError: () => {},
    }).forward(verified, performance.now() + 8_000, undefined, done);
    expect(done).toHaveBeenCalledExactlyOnceWith({
      duplicate: false,
      sinks: { audit: 'delivered', other: 'delivered' },
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('without sinks is completed at once', async () => {
    const { forward, operations } = setUp();
    expect(await forward()).toEqual({ duplicate: false });
    expect(operations()).toEqual(['claim', 'complete']);
  });
});

describe('close()', () => {
  it('waits for running events, also for sinks that run after the deadline', async () => {
    const { sink, attempts } = slow('slack');
    const { forwardWithin, drain } = setUp(sink);
    void forwardWithin(100);
    await vi.advanceTimersByTimeAsync(200);
    let closed = false;
    const closing = drain.close().then(() => {
      closed = true;
    });
    await settled();
    expect(closed).toBe(false);
    attempts[0]?.resolve();
    await closing;
  });

  it('waits no longer than its argument says', async () => {
    const { sink } = slow('slack');
    const { forward, drain } = setUp(sink);
    void forward();
    await settled();
    const closing = drain.close(5_000);
    await vi.advanceTimersByTimeAsync(5_000);
    await closing;
  });

  it.each(['duplicate', 'in_flight', 'store down', 'accepted'])(
    'waits for no delivery that has ended: %s',
    async (how) => {
      const { forward, real, fault, drain } = setUp();
      if (how !== 'accepted') real.claim(key, 'other', minutes);
      if (how === 'duplicate') real.complete(key, 'other', minutes);
      if (how === 'store down') fault('claim', fail);
      await forward();
      await drain.close();
    },
  );
});
