import { describe, expect, it, vi } from 'vitest';
import { deferred } from '../support/deferred.js';
import { fail, hang } from '../support/faulty-store.js';
import { key, leaseMs, minutes, settled, setUp, slow, useFakeTime } from './set-up.js';

useFakeTime();

describe('a store', () => {
  const nonsense: [string, (real: () => unknown) => unknown][] = [
    ['rejects', fail],
    [
      'throws',
      () => {
        throw new Error('connection lost');
      },
    ],
    ['answers nothing', () => undefined],
    ['answers null', async () => null],
    ['answers OK', async () => 'OK'],
    ['answers an unknown state', async () => ({ state: 'fine' })],
    ['forgets the delivered list', async () => ({ state: 'acquired' })],
    ['forgets how long', async () => ({ state: 'in_flight' })],
  ];

  it.each(nonsense)('that %s at the claim is unavailable, and no sink is called', async (_what, fault) => {
    const deliver = vi.fn();
    const faulty = setUp({ name: 'slack', deliver });
    faulty.fault('claim', fault);
    const { duplicate, error } = await faulty.forward();
    expect(error).toMatchObject({
      code: 'store_unavailable',
      status: 503,
      permanent: false,
      message: expect.stringMatching(/^the idempotency store failed to claim: ./),
    });
    expect(duplicate).toBe(false);
    expect(deliver).not.toHaveBeenCalled();
    // The claim may have been granted, so it is released.
    await settled();
    expect(faulty.operations()).toEqual(['claim', 'release']);
  });

  it.each(nonsense.slice(0, 2))('that %s is the cause of the error', async (_what, fault) => {
    const faulty = setUp();
    faulty.fault('claim', fault);
    expect((await faulty.forward()).error).toMatchObject({
      message: 'the idempotency store failed to claim: connection lost',
      cause: { message: 'connection lost' },
    });
  });

  it.each([
    ['claim', undefined],
    ['claim', 'OK'],
    ['complete', true],
  ] as const)(
    'that answers a %s with %j after its timeout leaves no unhandled rejection',
    async (operation, answer) => {
      const unhandled = vi.fn();
      process.on('unhandledRejection', unhandled);
      const late = deferred<unknown>();
      const { forward, fault } = setUp();
      fault(operation, () => late.promise);
      const forwarding = forward();
      await vi.advanceTimersByTimeAsync(2_000);
      expect((await forwarding).error?.code).toBe('store_unavailable');
      late.resolve(answer);
      await settled();
      vi.useRealTimers();
      await new Promise(setImmediate);
      process.off('unhandledRejection', unhandled);
      expect(unhandled).not.toHaveBeenCalled();
    },
  );

  it('that hangs is unavailable after its timeout, and a claim granted later is released', async () => {
    const { forward, fault, operations, state } = setUp();
    const late = deferred();
    fault('claim', (real) => late.promise.then(real));
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(1_999);
    expect(operations()).toEqual(['claim']);
    await vi.advanceTimersByTimeAsync(1);
    expect((await forwarding).error).toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('2000 ms'),
    });
    late.resolve();
    await settled();
    expect(operations()).toEqual(['claim', 'release', 'release']);
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it('that refuses a late claim keeps the claim of the other holder', async () => {
    const { forward, fault, operations, real } = setUp();
    real.claim(key, 'other', minutes);
    const late = deferred();
    fault('claim', (claim) => late.promise.then(claim));
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(2_000);
    await forwarding;
    late.resolve();
    await settled();
    expect(operations()).toEqual(['claim', 'release']);
    expect(real.claim(key, 'probe', 1)).toMatchObject({ state: 'in_flight' });
  });

  it.each([
    ['rejects', fail],
    ['answers nonsense', async () => 1],
  ])(
    'that %s when completing makes the delivery fail, and the completion is retried until it succeeds',
    async (_what, fault) => {
      const deliver = vi.fn();
      const { forward, fault: set, operations, drain, errors } = setUp({ name: 'audit', deliver });
      set('complete', fault);
      expect((await forward()).error).toMatchObject({
        code: 'store_unavailable',
        message: expect.stringContaining('complete'),
      });
      expect((await forward()).error).toMatchObject({ code: 'in_flight' });
      await vi.advanceTimersByTimeAsync(700);
      expect(operations()).toEqual(['claim', 'complete', 'complete', 'complete', 'complete']);
      set('complete', undefined);
      await vi.advanceTimersByTimeAsync(800);
      await drain.close();
      expect(await forward()).toEqual({ duplicate: true });
      expect(deliver).toHaveBeenCalledOnce();
      expect(errors).toEqual([]);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it('that completes although the call fails is called again, and the event is a duplicate', async () => {
    const { forward, fault, errors, drain } = setUp(function audit() {});
    fault('complete', (complete) => {
      complete();
      return fail(complete);
    });
    await forward();
    fault('complete', undefined);
    await vi.advanceTimersByTimeAsync(100);
    await drain.close();
    expect(await forward()).toEqual({ duplicate: true });
    expect(errors).toEqual([]);
  });

  it('that lost the lease in an outage gets no claim of an event that still runs in this process', async () => {
    const slack = slow('slack');
    const { forward, fault, operations, drain } = setUp(slack.sink);
    fault('renew', fail);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(2 * leaseMs);
    expect((await forward()).error).toMatchObject({ code: 'in_flight' });
    expect(operations().filter((operation) => operation === 'claim')).toHaveLength(1);
    slack.attempts[0]?.resolve();
    await forwarding;
    await drain.close();
    expect(await forward()).toEqual({ duplicate: true });
    expect(slack.attempts).toHaveLength(1);
  });

  it('that forgot the claim in an outage does not make this process deliver twice', async () => {
    const audit = vi.fn();
    const slack = slow('slack');
    const { forward, fault, real, operations, drain } = setUp({ name: 'audit', deliver: audit }, slack.sink);
    fault('delivered', fail);
    fault('renew', fail);
    const forwarding = forward();
    await settled();
    slack.attempts[0]?.reject(new Error('down'));
    await forwarding;
    // A claim that timed out long ago arrives first, and is released.
    await vi.advanceTimersByTimeAsync(leaseMs);
    real.claim(key, 'late', minutes);
    real.release(key, 'late', minutes);
    fault('delivered', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs);
    await drain.close();
    const retry = forward();
    await settled();
    slack.attempts[1]?.resolve();
    expect(await retry).toEqual({ duplicate: false, sinks: { audit: 'already', slack: 'delivered' } });
    expect(audit).toHaveBeenCalledOnce();
    expect(operations().at(-1)).toBe('complete');
  });

  it('that granted the event to another before its completion does not make this process deliver twice', async () => {
    const audit = vi.fn();
    const { forward, fault } = setUp({ name: 'audit', deliver: audit });
    fault('complete', async () => false);
    expect((await forward()).error).toMatchObject({ code: 'in_flight' });
    fault('complete', undefined);
    fault('claim', async () => ({ state: 'acquired', delivered: [] }));
    await forward();
    expect(audit).toHaveBeenCalledOnce();
  });

  it('that stops answering gets one claim a second at most, once many calls are overdue', async () => {
    const { forward, fault, operations } = setUp(function audit() {});
    const late = deferred();
    fault('claim', (claim) => late.promise.then(claim));
    fault('release', hang);
    const claims = () => operations().filter((operation) => operation === 'claim');
    const failing = Array.from({ length: 64 }, () => forward());
    await vi.advanceTimersByTimeAsync(2_000);
    await Promise.all(failing);
    forward();
    const { error } = await forward();
    expect(error).toMatchObject({
      code: 'store_unavailable',
      message: expect.stringMatching(/failed to claim: .*overdue/),
    });
    expect(claims()).toHaveLength(65);
    await vi.advanceTimersByTimeAsync(1_000);
    forward();
    expect(claims()).toHaveLength(66);
    fault('claim', undefined);
    fault('release', undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await forward()).error).toBeUndefined();
    expect(await forward()).toEqual({ duplicate: true });
    late.resolve();
  });

  it('that answers late gets all claims again after its answer', async () => {
    const { forward, fault } = setUp(function audit() {});
    const late = deferred();
    fault('claim', () => late.promise.then(() => Promise.reject(new Error('connection lost'))));
    const failing = Array.from({ length: 64 }, () => forward());
    await vi.advanceTimersByTimeAsync(2_000);
    await Promise.all(failing);
    late.resolve();
    await settled();
    fault('claim', undefined);
    // Both claims are sent, not one a second.
    const [first, second] = await Promise.all([forward(), forward()]);
    expect(first.error).toBeUndefined();
    expect(second.error?.code).toBe('in_flight');
  });

  it('that does not come back is retried for five minutes, while the lease is renewed', async () => {
    const { forward, fault, errors, drain, state } = setUp(function audit() {});
    fault('complete', fail);
    await forward();
    await vi.advanceTimersByTimeAsync(4 * minutes);
    expect(state()).toMatchObject({ state: 'in_flight' });
    await vi.advanceTimersByTimeAsync(2 * minutes);
    await drain.close();
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toContain('5 minutes');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that fails to record gets the missing records again before the event is released', async () => {
    const slack = slow('slack');
    const chat = slow('chat');
    const { forward, fault, state, operations, drain } = setUp(function audit() {}, chat.sink, slack.sink);
    fault('delivered', fail);
    const forwarding = forward();
    await settled();
    chat.attempts[0]?.resolve();
    await settled();
    slack.attempts[0]?.reject(new Error('down'));
    expect((await forwarding).error).toMatchObject({ code: 'sink_failed' });
    expect(state()).toMatchObject({ state: 'in_flight' });
    await vi.advanceTimersByTimeAsync(100);
    fault('delivered', undefined);
    await vi.advanceTimersByTimeAsync(300);
    await drain.close();
    expect(operations()).toEqual(['claim', ...Array(5).fill('delivered'), 'release']);
    expect(state()).toEqual({ state: 'acquired', delivered: ['audit', 'chat'] });
  });

  it('that fails to record for a long time gets renewals at the usual rate', async () => {
    const { forward, fault, operations } = setUp(
      function audit() {},
      function broken() {
        throw new Error('down');
      },
    );
    fault('delivered', fail);
    await forward();
    await vi.advanceTimersByTimeAsync(2 * minutes);
    expect(operations().filter((operation) => operation === 'renew')).toHaveLength(12);
  });

  it('that granted the event to another during an outage gets no more calls for it', async () => {
    const { forward, fault, real, operations, drain, errors } = setUp(
      function audit() {},
      function broken() {
        throw new Error('down');
      },
    );
    fault('delivered', fail);
    fault('renew', fail);
    await forward();
    await vi.advanceTimersByTimeAsync(leaseMs);
    real.claim(key, 'other', minutes);
    fault('delivered', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs);
    await drain.close();
    expect(operations()).not.toContain('release');
    expect(errors.at(-1)?.message).toContain('lost');
    expect(real.complete(key, 'other', minutes)).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that reports a lost lease at completion makes the delivery fail, and gets no release', async () => {
    const { forward, fault, operations, errors } = setUp(function audit() {});
    fault('complete', async () => false);
    expect((await forward()).error).toMatchObject({
      code: 'in_flight',
      message: 'the lease was lost: another delivery of the event is being processed',
    });
    expect(operations()).toEqual(['claim', 'complete']);
    expect(errors).toHaveLength(1);
  });

  it('that fails to record a sink makes the delivery fail, and the other sinks are delivered to and recorded', async () => {
    const slack = slow('slack');
    const { forward, fault, calls, operations } = setUp(function audit() {}, slack.sink);
    fault('delivered', fail);
    const forwarding = forward();
    await settled();
    fault('delivered', undefined);
    slack.attempts[0]?.resolve();
    expect((await forwarding).error).toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('delivered'),
    });
    expect(calls[2]?.[3]).toBe('slack');
    await vi.advanceTimersByTimeAsync(100);
    expect(operations()).toEqual(['claim', 'delivered', 'delivered', 'complete']);
    expect(await forward()).toEqual({ duplicate: true });
  });

  it('that is still recording one sink when the last one succeeds gets a record of the last one too', async () => {
    const recording = deferred();
    const slack = slow('slack');
    const { forward, fault, operations } = setUp(function audit() {}, slack.sink);
    fault('delivered', (real) => recording.promise.then(real));
    const forwarding = forward();
    await settled();
    slack.attempts[0]?.resolve();
    await settled();
    expect(operations()).toEqual(['claim', 'delivered', 'delivered']);
    recording.resolve();
    expect((await forwarding).error).toBeUndefined();
    expect(operations()).toEqual(['claim', 'delivered', 'delivered', 'complete']);
  });

  it('that reports a lost lease at a record stops the delivery', async () => {
    const slack = slow('slack');
    const { forward, fault, operations } = setUp(function audit() {}, slack.sink);
    fault('delivered', async () => false);
    expect((await forward()).error).toMatchObject({ code: 'in_flight' });
    expect(slack.attempts[0]?.signal.aborted).toBe(true);
    expect(operations()).toEqual(['claim', 'delivered']);
  });

  it('that reports a lost lease for several sinks causes one report', async () => {
    const [slack, chat, audit] = [slow('slack'), slow('chat'), slow('audit')];
    const { forward, fault, errors } = setUp(slack.sink, chat.sink, audit.sink);
    fault('delivered', async () => false);
    const forwarding = forward();
    await settled();
    slack.attempts[0]?.resolve();
    chat.attempts[0]?.resolve();
    expect((await forwarding).error).toMatchObject({ code: 'in_flight' });
    expect(errors).toEqual([{ id: 'event-1', message: expect.stringContaining('lost') }]);
  });

  it('that fails to release is reported', async () => {
    const { forward, fault, errors } = setUp(async function audit() {
      throw new Error('no');
    });
    fault('release', fail);
    expect((await forward()).error?.code).toBe('sink_failed');
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('failed to release')]);
  });
});

describe('a store that fails and recovers', () => {
  const failing = { name: 'slack', deliver: () => Promise.reject(new Error('down')) };

  it('gets the release again within a second, so that a retry need not wait for the lease', async () => {
    const { forward, fault, state, drain } = setUp(failing);
    fault('release', fail);
    await forward();
    fault('release', undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    await drain.close();
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it.each([
    ['before', fail],
    ['after', (claim: () => unknown) => Promise.resolve(claim()).then(fail as never)],
  ])('gets a release of a claim that failed %s its effect, until the release succeeds', async (_when, how) => {
    const { forward, fault, operations, state, drain } = setUp();
    fault('claim', how);
    fault('release', fail);
    expect((await forward()).error?.code).toBe('store_unavailable');
    await vi.advanceTimersByTimeAsync(800);
    fault('release', undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    await drain.close();
    expect(operations().filter((operation) => operation === 'release')).toHaveLength(5);
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('gets no release of a claim that certainly failed', async () => {
    const { forward, fault, operations } = setUp();
    fault('claim', () => Promise.reject(Object.assign(new Error('locked'), { unclaimed: true })));
    expect((await forward()).error?.code).toBe('store_unavailable');
    await settled();
    expect(operations()).toEqual(['claim']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps a lease whose renewals failed for 12.5 s, because they are retried within a second', async () => {
    const { sink, attempts } = slow('slack');
    const { forward, fault, real } = setUp(sink);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(leaseMs / 3 - 1);
    fault('renew', fail);
    await vi.advanceTimersByTimeAsync(12_500);
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs - (leaseMs / 3 + 12_500));
    expect(real.claim(key, 'other', leaseMs)).toMatchObject({ state: 'in_flight', retryAfterMs: 23_001 });
    attempts[0]?.resolve();
    expect((await forwarding).error).toBeUndefined();
  });
});
