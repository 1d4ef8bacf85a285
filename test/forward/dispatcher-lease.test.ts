import { describe, expect, it, vi } from 'vitest';
import type { SinkContext } from '../../src/contracts/sink.js';
import type { Handler } from '../../src/forward/dispatch.js';
import { Dispatcher } from '../../src/forward/dispatcher.js';
import { Drain } from '../../src/forward/drain.js';
import type { VastEvent } from '../../src/providers/vast.js';
import { memoryStore } from '../../src/stores/memory/memory-store.js';
import { systemClock } from '../../src/util/clock.js';
import { deferred } from '../support/deferred.js';
import { fail, faultyStore, hang } from '../support/faulty-store.js';
import { forwarded, key, leaseMs, minutes, settled, setUp, slow, useFakeTime } from './set-up.js';

useFakeTime();

describe('while sinks run', () => {
  it('the lease is renewed after a third of its time', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, operations, state } = setUp(sink);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(2 * minutes);
    expect(operations().filter((operation) => operation === 'renew')).toHaveLength(12);
    expect(state()).toMatchObject({ state: 'in_flight' });
    attempts[0]?.resolve();
    await forwarding;
    const count = operations().length;
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(operations()).toHaveLength(count);
  });

  it('a failing renewal is reported, and the next one tried', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, fault, errors, operations } = setUp(sink);
    const forwarding = forward();
    await settled();
    fault('renew', fail);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    expect(errors).toEqual([{ id: 'event-1', message: expect.stringContaining('failed to renew: connection lost') }]);
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    expect(operations().filter((operation) => operation === 'renew')).toHaveLength(2);
    attempts[0]?.resolve();
    expect((await forwarding).error).toBeUndefined();
  });

  it.each([
    ['finds no claim', false],
    ['fails', new Error('connection lost')],
  ])('a renewal that %s is no lost lease if the event was completed meanwhile', async (_what, answer) => {
    const { sink, attempts } = slow('slack');
    const renewing = deferred<boolean>();
    const { forward, fault, errors } = setUp(sink);
    const forwarding = forward();
    await settled();
    fault('renew', () => renewing.promise);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    attempts[0]?.resolve();
    expect(await forwarding).toEqual({ duplicate: false, sinks: { slack: 'delivered' } });
    if (answer instanceof Error) renewing.reject(answer);
    else renewing.resolve(answer);
    await settled();
    expect(errors).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a lost lease aborts the signal and is reported, and the claim of the next holder stays', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, real, fault, errors, operations } = setUp(sink);
    const forwarding = forward();
    await settled();
    fault('renew', hang);
    await vi.advanceTimersByTimeAsync(leaseMs + 1);
    expect(real.claim(key, 'other', 10 * minutes)).toMatchObject({ state: 'acquired' });
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs);
    expect((await forwarding).error).toMatchObject({ code: 'in_flight' });
    expect(attempts[0]?.signal.aborted).toBe(true);
    expect(errors.at(-1)?.message).toContain('lease was lost');
    attempts[0]?.resolve();
    await settled();
    expect(operations().filter((operation) => operation !== 'renew')).toEqual(['claim']);
  });

  it('the lease ends after five minutes: the sink has failed, its signal is aborted, the event is released', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward, state, operations } = setUp(slack.sink, audit.sink);
    const forwarding = forward();
    await settled();
    audit.attempts[0]?.resolve();
    await vi.advanceTimersByTimeAsync(5 * minutes - 1);
    expect(slack.attempts[0]?.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    const { error, sinks } = await forwarding;
    expect(error).toMatchObject({ code: 'sink_failed' });
    expect(sinks).toEqual({ slack: expect.any(Error), audit: 'delivered' });
    expect(slack.attempts[0]?.signal.aborted).toBe(true);
    expect(operations().at(-1)).toBe('release');
    expect(state()).toEqual({ state: 'acquired', delivered: ['audit'] });
    const count = operations().length;
    slack.attempts[0]?.resolve();
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(operations()).toHaveLength(count);
  });

  it('the lease ends after five minutes also if leaseMs is longer', async () => {
    const { sink } = slow('slack');
    const faulty = faultyStore();
    const forwarder = new Dispatcher<VastEvent>({
      scope: 'receiver',
      sinks: [sink],
      store: faulty.store,
      leaseMs: 60 * minutes,
      storeTimeoutMs: 2_000,
      completedTtlMs: minutes,
      drain: new Drain(),
      onError: () => {},
    });
    const forwarding = forwarded(forwarder, Number.POSITIVE_INFINITY);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    expect((await forwarding).error?.code).toBe('sink_failed');
  });

  it('the wait for a handler that never answers ends, also when its lease was lost', async () => {
    const { forward, real, fault, drain } = setUp();
    const forwarding = forward(() => {});
    await settled();
    fault('renew', hang);
    await vi.advanceTimersByTimeAsync(leaseMs + 1);
    expect(real.claim(key, 'other', 60 * minutes)).toMatchObject({ state: 'acquired' });
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(await forwarding).toMatchObject({ handlerStatus: 0, error: { code: 'handler_failed' } });
    expect(real.claim(key, 'late', minutes)).toMatchObject({ state: 'in_flight' });
    await drain.close();
  });

  it('a sink that succeeds after its lease has ended is not called again', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, state } = setUp(sink);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(5 * minutes);
    expect((await forwarding).error?.code).toBe('sink_failed');
    attempts[0]?.resolve();
    await settled();
    expect(await forward()).toEqual({ duplicate: false, sinks: { slack: 'already' } });
    expect(attempts).toHaveLength(1);
    expect(state()).toEqual({ state: 'completed' });
  });

  it('a sink that fails after its lease has ended is not reported again', async () => {
    const { sink, attempts } = slow('slack');
    const releasing = deferred();
    const { forwardWithin, fault, errors } = setUp(sink);
    fault('release', (release) => releasing.promise.then(release));
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    await forwarding;
    attempts[0]?.reject(new Error('at last'));
    await settled();
    releasing.resolve();
    await settled();
    expect(errors.filter(({ sink }) => sink === 'slack')).toEqual([
      { id: 'event-1', sink: 'slack', message: 'did not settle before the lease ended' },
    ]);
  });

  it('a signal that is first read after the lease has ended is already aborted', async () => {
    let context: SinkContext | undefined;
    const { forward } = setUp({
      name: 'slack',
      deliver: (_event, given) => {
        context = given;
        return new Promise(() => {});
      },
    });
    void forward();
    await vi.advanceTimersByTimeAsync(5 * minutes);
    expect(context?.signal.aborted).toBe(true);
  });
});

describe('a claim that the store has lost', () => {
  /** Like a Redis that comes back empty: every claim is granted, and it knows no token. */
  function comesBackEmpty({ fault }: ReturnType<typeof setUp>) {
    const [lost, granted] = [async () => false, async () => ({ state: 'acquired', delivered: [] })];
    for (const operation of ['renew', 'delivered', 'complete', 'release'] as const) fault(operation, lost);
    fault('claim', granted);
    return () => {
      for (const operation of ['renew', 'delivered', 'complete', 'release', 'claim'] as const)
        fault(operation, undefined);
    };
  }

  it('does not make this process call sinks again that succeeded or still run', async () => {
    const audit = vi.fn();
    const slack = slow('slack');
    const forwarder = setUp({ name: 'audit', deliver: audit }, slack.sink);
    const first = forwarder.forward();
    await settled();
    const isBack = comesBackEmpty(forwarder);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    expect((await first).error?.code).toBe('in_flight');
    // For as long as the sink runs, and not for one lease only.
    await vi.advanceTimersByTimeAsync(2 * leaseMs);
    expect((await forwarder.forward()).error?.code).toBe('in_flight');
    isBack();
    slack.attempts[0]?.resolve();
    await settled();
    expect(await forwarder.forward()).toEqual({ duplicate: false, sinks: { audit: 'already', slack: 'already' } });
    expect([audit.mock.calls.length, slack.attempts.length]).toEqual([1, 1]);
  });

  it('lets one of two claims deliver when both were granted at the same time', async () => {
    const slack = slow('slack');
    const forwarder = setUp(slack.sink);
    let grant = () => {};
    const isGranted = new Promise<void>((resolve) => {
      grant = resolve;
    });
    forwarder.fault('claim', async () => {
      await isGranted;
      return { state: 'acquired', delivered: [] };
    });
    const [first, second] = [forwarder.forward(), forwarder.forward()];
    grant();
    expect((await second).error?.code).toBe('in_flight');
    forwarder.fault('claim', undefined);
    slack.attempts[0]?.resolve();
    await settled();
    // The store does not know the first claim, but this process remembers its delivery.
    await first;
    expect(await forwarder.forward()).toEqual({ duplicate: false, sinks: { slack: 'already' } });
    expect(slack.attempts).toHaveLength(1);
  });

  it('does not make this process call a sink again whose record was refused', async () => {
    const audit = vi.fn();
    const slack = slow('slack');
    const forwarder = setUp({ name: 'audit', deliver: audit }, slack.sink);
    const isBack = comesBackEmpty(forwarder);
    const first = forwarder.forward();
    await settled();
    slack.attempts[0]?.reject(new Error('aborted'));
    expect((await first).error?.code).toBe('in_flight');
    isBack();
    const second = forwarder.forward();
    await settled();
    slack.attempts[1]?.resolve();
    expect((await second).sinks).toEqual({ audit: 'already', slack: 'delivered' });
    expect(audit).toHaveBeenCalledOnce();
  });

  it('does not make this process call a recorded sink again when the release after the deadline is refused', async () => {
    const { sink, attempts } = slow('slack');
    const handler: Handler = (settle) => settle({ status: 204 });
    const forwarder = setUp(sink);
    const first = forwarder.forwardWithin(100, handler);
    await vi.advanceTimersByTimeAsync(100);
    expect((await first).error?.code).toBe('deadline_exceeded');
    forwarder.fault('release', () => {
      // The store lost its data after the record.
      forwarder.real.release(key, String(forwarder.calls[0]?.[2]), 0);
      return Promise.resolve(false);
    });
    attempts[0]?.resolve();
    await settled();
    forwarder.fault('release', undefined);
    forwarder.fault('claim', async () => ({ state: 'acquired', delivered: [] }));
    const { sinks } = await forwarder.forward(handler);
    expect(sinks).toEqual({ slack: 'already' });
    expect(attempts).toHaveLength(1);
  });

  it('does not make this process call a handler again that answered 2xx', async () => {
    const handler = vi.fn<Handler>((settle) => settle({ status: 204 }));
    const forwarder = setUp();
    const isBack = comesBackEmpty(forwarder);
    expect((await forwarder.forward(handler)).handlerStatus).toBe(204);
    isBack();
    expect((await forwarder.forward(handler)).error).toBeUndefined();
    expect(handler).toHaveBeenCalledOnce();
    expect(forwarder.state()).toEqual({ state: 'completed' });
  });
});

describe('a frozen isolate', () => {
  it('remembers its running events until their lease expires, and then the store decides', async () => {
    const calls: string[] = [];
    const store = memoryStore();
    const forwarder = new Dispatcher<VastEvent>({
      // The platform drops timers when the request that made them ends.
      clock: { ...systemClock, unrefTimeout: () => setTimeout(() => {}, 0) },
      scope: 'receiver',
      sinks: [
        {
          name: 'slack',
          deliver: () => {
            calls.push('slack');
            return calls.length === 1 ? new Promise<void>(() => {}) : undefined;
          },
        },
      ],
      store,
      leaseMs,
      storeTimeoutMs: 2_000,
      completedTtlMs: minutes,
      drain: new Drain(),
      onError: () => {},
    });
    void forwarded(forwarder, Number.POSITIVE_INFINITY);
    await vi.advanceTimersByTimeAsync(leaseMs - 1);
    expect((await forwarded(forwarder, Number.POSITIVE_INFINITY)).error).toMatchObject({
      code: 'in_flight',
      retryAfterMs: 1,
    });
    await vi.advanceTimersByTimeAsync(1);
    expect((await forwarded(forwarder, Number.POSITIVE_INFINITY)).error).toBeUndefined();
    expect(calls).toEqual(['slack', 'slack']);
  });
});
