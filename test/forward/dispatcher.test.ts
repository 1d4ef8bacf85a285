import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { VerifiedDelivery } from '../../src/contracts/delivery.js';
import { SinkError, WebhookError } from '../../src/contracts/errors.js';
import type { Forwarded } from '../../src/contracts/result.js';
import { type Sink, type SinkContext, type SinkFunction, toSinks } from '../../src/contracts/sink.js';
import type { Handler } from '../../src/forward/dispatch.js';
import { Dispatcher } from '../../src/forward/dispatcher.js';
import { Drain } from '../../src/forward/drain.js';
import type { VastEvent } from '../../src/providers/vast.js';
import { memoryStore } from '../../src/stores/memory/memory-store.js';
import { sampleEvent } from '../../src/testing/index.js';
import { systemClock } from '../../src/util/clock.js';
import { type Deferred, deferred } from '../support/deferred.js';
import { fail, faultyStore, hang } from '../support/faulty-store.js';

const leaseMs = 30_000;
const minutes = 60_000;
const key = 'receiver:vast:event-1';

beforeEach(() => {
  vi.useFakeTimers();
  // At 0, times and durations would be the same.
  vi.advanceTimersByTime(60 * minutes);
});
afterEach(() => {
  vi.useRealTimers();
  expect(answeredAgain.splice(0)).toEqual([]);
});

/** What a delivery came to a second time, which it must not. */
const answeredAgain: Forwarded[] = [];

const event = sampleEvent('outbid');
const verified: VerifiedDelivery<VastEvent> = {
  event,
  delivery: {
    provider: 'vast',
    verified: true,
    id: 'event-1',
    attempt: 1,
    timestamp: 0,
    receivedAt: 0,
    rawBody: Buffer.from('{}'),
  },
};

/** A forwarder over a faulty store, with what it reported and whom it told. */
function setUp(...sinks: (Sink<VastEvent> | SinkFunction<VastEvent>)[]) {
  const faulty = faultyStore();
  const errors: { message: string; sink?: string; id?: string }[] = [];
  const inFlight = new Drain();
  const forwarder = new Dispatcher<VastEvent>({
    scope: 'receiver',
    sinks: toSinks(sinks),
    store: faulty.store,
    leaseMs,
    storeTimeoutMs: 2_000,
    completedTtlMs: 7 * 24 * 60 * minutes,
    drain: inFlight,
    onError: ({ message }, { id, sink }) => errors.push(sink === undefined ? { message, id } : { message, id, sink }),
  });
  return {
    ...faulty,
    errors,
    inFlight,
    forward: (handler?: Handler) => forwarded(forwarder, Number.POSITIVE_INFINITY, handler),
    forwardWithin: (ms: number, handler?: Handler) => forwarded(forwarder, performance.now() + ms, handler),
    /** What another claim would be answered now. */
    state: () => faulty.real.claim(key, 'probe', 1),
  };
}

function forwarded(forwarder: Dispatcher<VastEvent>, deadlineAt: number, handler?: Handler): Promise<Forwarded> {
  return new Promise((resolve) => {
    // Not at once: what `forward` throws after that would not be seen.
    let isDone = false;
    const done = (result: Forwarded) => {
      if (isDone) answeredAgain.push(result);
      isDone = true;
      queueMicrotask(() => resolve(result));
    };
    forwarder.forward(verified, 'outbid', deadlineAt, handler, done);
  });
}

/** A sink that settles when the test says so, as often as it is told. */
function slow(name: string) {
  const told: (Deferred & SinkContext)[] = [];
  const sink: Sink<VastEvent> = {
    name,
    deliver(_event, { delivery, signal }) {
      const settling = deferred();
      told.push({ ...settling, delivery, signal });
      return settling.promise;
    },
  };
  return { sink, told };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

describe('an event', () => {
  it('is claimed under its scope, provider and signed id, told, and then completed: never the other way round', async () => {
    const { sink, told } = slow('slack');
    const { forward, operations, calls } = setUp(sink);
    const forwarding = forward();
    await settled();
    expect(operations()).toEqual(['claim']);
    expect(calls[0]).toEqual(['claim', key, expect.any(String), leaseMs]);
    told[0]?.resolve();
    expect(await forwarding).toEqual({ duplicate: false, sinks: { slack: 'delivered' } });
    expect(operations()).toEqual(['claim', 'complete']);
    expect(calls[1]).toEqual(['complete', key, calls[0]?.[2], 7 * 24 * 60 * minutes]);
  });

  it('that is completed is a duplicate, and nobody is told', async () => {
    const { sink, told } = slow('slack');
    const { forward, real, operations } = setUp(sink);
    real.claim(key, 'other', 1_000);
    real.complete(key, 'other', minutes);
    expect(await forward()).toEqual({ duplicate: true });
    expect(told).toHaveLength(0);
    expect(operations()).toEqual(['claim']);
  });

  it('that the store has forgotten after its time is a new one, and told again', async () => {
    const audit = vi.fn();
    const { forward } = setUp({ name: 'audit', deliver: audit });
    await forward();
    await vi.advanceTimersByTimeAsync(7 * 24 * 60 * minutes);
    expect(await forward()).toEqual({ duplicate: false, sinks: { audit: 'delivered' } });
    expect(audit).toHaveBeenCalledTimes(2);
  });

  it('that somebody else holds is refused with what is left of the lease, and its claim is left alone', async () => {
    const { sink, told } = slow('slack');
    const { forward, real, operations } = setUp(sink);
    real.claim(key, 'other', 1_500);
    const { duplicate, error } = await forward();
    expect(error).toMatchObject({ code: 'in_flight', retryAfterMs: 1_500 });
    expect(error?.message).toBe('another delivery of the event is being processed');
    expect(duplicate).toBe(false);
    expect(told).toHaveLength(0);
    expect(operations()).toEqual(['claim']);
  });

  it('has a token of its own for each claim', async () => {
    const { forward, calls } = setUp();
    await forward();
    await forward();
    expect(calls[0]?.[2]).not.toBe(calls[2]?.[2]);
  });

  it('that nobody keeps waiting is done before `forward` returns', () => {
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
    }).forward(verified, 'outbid', performance.now() + 8_000, undefined, done);
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

describe('sinks', () => {
  it('are told in parallel, and each is recorded when it has the event', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward, calls, operations } = setUp(slack.sink, audit.sink);
    const forwarding = forward();
    await settled();
    expect([slack.told.length, audit.told.length]).toEqual([1, 1]);
    audit.told[0]?.resolve();
    await settled();
    expect(calls.at(-1)).toEqual(['delivered', key, expect.any(String), 'audit']);
    slack.told[0]?.resolve();
    expect((await forwarding).sinks).toEqual({ slack: 'delivered', audit: 'delivered' });
    // Completing stands for the last one's record.
    expect(operations()).toEqual(['claim', 'delivered', 'complete']);
  });

  it('that have it at once leave no timer behind, nor a renewal of what is completed', async () => {
    const { forward, operations } = setUp(function audit() {});
    await forward();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(leaseMs);
    expect(operations()).toEqual(['claim', 'complete']);
  });

  it('that have had the event are not told again by a retry', async () => {
    const failing = vi.fn(() => Promise.reject(new SinkError('refused', { status: 500 })));
    const audit = vi.fn();
    const { forward, operations } = setUp({ name: 'slack', deliver: failing }, { name: 'audit', deliver: audit });
    const first = await forward();
    expect(first.error).toMatchObject({ code: 'sink_failed', message: 'slack: refused', permanent: false });
    expect(first.sinks).toEqual({ slack: new SinkError('refused', { status: 500 }), audit: 'delivered' });
    expect(operations()).toEqual(['claim', 'delivered', 'release']);
    failing.mockImplementation(() => Promise.resolve() as never);
    expect(await forward()).toEqual({ duplicate: false, sinks: { slack: 'delivered', audit: 'already' } });
    expect([failing.mock.calls.length, audit.mock.calls.length]).toEqual([2, 1]);
  });

  it('that have failed are all named, with why, and their errors kept', async () => {
    const [busy, gone] = [new SinkError('busy', { status: 503 }), new SinkError('gone', { status: 410 })];
    const slack = { name: 'slack', deliver: () => Promise.reject(busy) };
    const chat = { name: 'chat', deliver: () => Promise.reject(gone) };
    const both = (await setUp(slack, chat, function audit() {}).forward()).error;
    expect(both?.message).toBe('slack: busy; chat: gone');
    expect(both?.cause).toMatchObject({ errors: [busy, gone] });
    expect((await setUp(slack).forward()).error?.cause).toBe(busy);
  });

  it('are recorded when another has failed before', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward, operations } = setUp(slack.sink, audit.sink);
    const forwarding = forward();
    await settled();
    slack.told[0]?.reject(new Error('no'));
    await settled();
    audit.told[0]?.resolve();
    await forwarding;
    expect(operations()).toEqual(['claim', 'delivered', 'release']);
  });

  it('that do not accept the event are skipped, and what is not for any of them is completed', async () => {
    const deliver = vi.fn();
    const { forward, state } = setUp({ name: 'slack', accepts: () => false, deliver });
    expect(await forward()).toEqual({ duplicate: false, sinks: { slack: 'skipped' } });
    expect(deliver).not.toHaveBeenCalled();
    expect(state()).toEqual({ state: 'completed' });
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no such field');
      },
      /no such field/,
    ],
    ['is asynchronous', async () => true, /must not be asynchronous/],
  ])('whose predicate %s have failed, and the others are told', async (_what, accepts, message) => {
    const deliver = vi.fn();
    const audit = vi.fn();
    const { forward } = setUp({ name: 'slack', accepts: accepts as never, deliver }, { name: 'audit', deliver: audit });
    const { error, sinks } = await forward();
    expect(error).toMatchObject({ code: 'sink_failed', message: expect.stringMatching(message) });
    expect(sinks).toMatchObject({ slack: expect.any(Error), audit: 'delivered' });
    expect([deliver.mock.calls.length, audit.mock.calls.length]).toEqual([0, 1]);
  });

  it('fail by throwing what they like', async () => {
    const { forward } = setUp(
      function text() {
        throw 'just text';
      },
      async function nothing() {
        throw undefined;
      },
    );
    const { sinks } = await forward();
    expect(sinks).toEqual({ text: new Error('just text'), nothing: expect.any(Error) });
  });

  it.each([
    ['settles like a promise', (resolve: () => void) => resolve(), 'delivered'],
    [
      'throws when it is waited for',
      () => {
        throw new Error('no promise at all');
      },
      new Error('no promise at all'),
    ],
  ])('may give something else with a then, which %s', async (_what, settle, result) => {
    // biome-ignore lint/suspicious/noThenProperty: that is the case.
    const { forward, state } = setUp({ name: 'slack', deliver: () => ({ then: settle }) as never });
    expect((await forward()).sinks).toEqual({ slack: result });
    expect(state()).toMatchObject({ state: result === 'delivered' ? 'completed' : 'acquired' });
  });

  it('get the delivery and a signal, which is the same for all of them', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward } = setUp(slack.sink, audit.sink);
    void forward();
    await settled();
    expect(slack.told[0]?.delivery).toBe(verified.delivery);
    expect(slack.told[0]?.signal).toBeInstanceOf(AbortSignal);
    expect(slack.told[0]?.signal).toBe(audit.told[0]?.signal);
  });
});

describe('while sinks are at work', () => {
  it('the claim is renewed at a third of its lease', async () => {
    const { sink, told } = slow('slack');
    const { forward, operations, state } = setUp(sink);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(2 * minutes);
    expect(operations().filter((operation) => operation === 'renew')).toHaveLength(12);
    expect(state()).toMatchObject({ state: 'in_flight' });
    told[0]?.resolve();
    await forwarding;
    const count = operations().length;
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(operations()).toHaveLength(count);
  });

  it('a failing renewal is reported, and the next one tried', async () => {
    const { sink, told } = slow('slack');
    const { forward, fault, errors, operations } = setUp(sink);
    const forwarding = forward();
    await settled();
    fault('renew', fail);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    expect(errors).toEqual([{ id: 'event-1', message: expect.stringContaining('failed to renew: connection lost') }]);
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    expect(operations().filter((operation) => operation === 'renew')).toHaveLength(2);
    told[0]?.resolve();
    expect((await forwarding).error).toBeUndefined();
  });

  it.each([
    ['finds it gone', false],
    ['fails', new Error('connection lost')],
  ])('a renewal that is overtaken by the completion and %s is no loss', async (_what, answer) => {
    const { sink, told } = slow('slack');
    const renewing = deferred<boolean>();
    const { forward, fault, errors } = setUp(sink);
    const forwarding = forward();
    await settled();
    fault('renew', () => renewing.promise);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    told[0]?.resolve();
    expect(await forwarding).toEqual({ duplicate: false, sinks: { slack: 'delivered' } });
    if (answer instanceof Error) renewing.reject(answer);
    else renewing.resolve(answer);
    await settled();
    expect(errors).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a lost lease stops it: the signal is aborted, it is reported, and nothing is overwritten', async () => {
    const { sink, told } = slow('slack');
    const { forward, real, fault, errors, operations } = setUp(sink);
    const forwarding = forward();
    await settled();
    fault('renew', hang);
    await vi.advanceTimersByTimeAsync(leaseMs + 1);
    expect(real.claim(key, 'other', 10 * minutes)).toMatchObject({ state: 'acquired' });
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs);
    expect((await forwarding).error).toMatchObject({ code: 'in_flight' });
    expect(told[0]?.signal.aborted).toBe(true);
    expect(errors.at(-1)?.message).toContain('lease was lost');
    told[0]?.resolve();
    await settled();
    expect(operations().filter((operation) => operation !== 'renew')).toEqual(['claim']);
  });

  it('gives up after five minutes: the sink has failed, the signal is aborted, the event is given back', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward, state, operations } = setUp(slack.sink, audit.sink);
    const forwarding = forward();
    await settled();
    audit.told[0]?.resolve();
    await vi.advanceTimersByTimeAsync(5 * minutes - 1);
    expect(slack.told[0]?.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    const { error, sinks } = await forwarding;
    expect(error).toMatchObject({ code: 'sink_failed' });
    expect(sinks).toEqual({ slack: expect.any(Error), audit: 'delivered' });
    expect(slack.told[0]?.signal.aborted).toBe(true);
    expect(operations().at(-1)).toBe('release');
    expect(state()).toEqual({ state: 'acquired', delivered: ['audit'] });
    const count = operations().length;
    slack.told[0]?.resolve();
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(operations()).toHaveLength(count);
  });

  it('gives up after five minutes also with a longer lease', async () => {
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

  it('a handler that has lost the event and never answers is not waited for without end', async () => {
    const { forward, real, fault, inFlight } = setUp();
    const forwarding = forward(() => {});
    await settled();
    fault('renew', hang);
    await vi.advanceTimersByTimeAsync(leaseMs + 1);
    expect(real.claim(key, 'other', 60 * minutes)).toMatchObject({ state: 'acquired' });
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(await forwarding).toMatchObject({ handlerStatus: 0, error: { code: 'handler_failed' } });
    expect(real.claim(key, 'late', minutes)).toMatchObject({ state: 'in_flight' });
    await inFlight.close();
  });

  it('a sink that has the event after all, when its claim is over, is not told again', async () => {
    const { sink, told } = slow('slack');
    const { forward, state } = setUp(sink);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(5 * minutes);
    expect((await forwarding).error?.code).toBe('sink_failed');
    told[0]?.resolve();
    await settled();
    expect(await forward()).toEqual({ duplicate: false, sinks: { slack: 'already' } });
    expect(told).toHaveLength(1);
    expect(state()).toEqual({ state: 'completed' });
  });

  it('a sink that fails when its claim is over changes nothing of what is said of it', async () => {
    const { sink, told } = slow('slack');
    const releasing = deferred();
    const { forwardWithin, fault, errors } = setUp(sink);
    fault('release', (release) => releasing.promise.then(release));
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    await forwarding;
    told[0]?.reject(new Error('at last'));
    await settled();
    releasing.resolve();
    await settled();
    expect(errors.filter(({ sink }) => sink === 'slack')).toEqual([
      { id: 'event-1', sink: 'slack', message: 'did not settle before the lease ended' },
    ]);
  });

  it('a signal that is first asked for when the claim is over is aborted already', async () => {
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

describe('the deadline', () => {
  it('is told to the sinks, unless nobody waits', async () => {
    const { sink, told } = slow('slack');
    const { forward, forwardWithin } = setUp(sink);
    const deadlines: unknown[] = [];
    const deliver = sink.deliver;
    sink.deliver = (event, context) => {
      deadlines.push(context.deadlineAt);
      return deliver(event, context);
    };
    for (const begin of [() => forwardWithin(8_000), () => forward()]) {
      const forwarding = begin();
      await settled();
      told.at(-1)?.reject(new Error('again'));
      await forwarding;
    }
    expect(deadlines).toEqual([performance.now() + 8_000, undefined]);
  });

  it('is kept by answering while the sinks go on, and what they reach is recorded', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forwardWithin, state, errors, inFlight } = setUp(slack.sink, audit.sink);
    const forwarding = forwardWithin(8_000);
    await settled();
    audit.told[0]?.resolve();
    await vi.advanceTimersByTimeAsync(8_000);
    const { error, sinks } = await forwarding;
    expect(error).toMatchObject({ code: 'deadline_exceeded', message: expect.stringContaining('slack') });
    expect(sinks).toEqual({ slack: 'pending', audit: 'delivered' });
    expect(slack.told[0]?.signal.aborted).toBe(false);
    expect(state()).toMatchObject({ state: 'in_flight' });
    slack.told[0]?.resolve();
    await inFlight.close();
    expect(state()).toEqual({ state: 'completed' });
    expect(sinks).toEqual({ slack: 'pending', audit: 'delivered' });
    expect(errors).toEqual([]);
  });

  it('passed, the error names all who are still at work', async () => {
    const { forwardWithin } = setUp(slow('slack').sink, slow('chat').sink, function audit() {});
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    expect((await forwarding).error?.message).toBe('still running at the deadline: slack, chat');
  });

  it('passed, a sink that fails is reported, and the event given back', async () => {
    const { sink, told } = slow('slack');
    const { forwardWithin, state, errors, inFlight } = setUp(sink);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    expect((await forwarding).error?.code).toBe('deadline_exceeded');
    told[0]?.reject(new Error('too late, too'));
    await inFlight.close();
    expect(errors).toEqual([{ id: 'event-1', sink: 'slack', message: 'too late, too' }]);
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it('passed, a completion that fails is reported, and tried again', async () => {
    const { sink, told } = slow('slack');
    const { forwardWithin, fault, errors, inFlight, state } = setUp(sink);
    fault('complete', fail);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    await forwarding;
    told[0]?.resolve();
    await settled();
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('failed to complete')]);
    fault('complete', undefined);
    await vi.advanceTimersByTimeAsync(100);
    await inFlight.close();
    expect(state()).toEqual({ state: 'completed' });
    expect(errors).toHaveLength(1);
  });

  it('passed, the event is not handed on any more: a retry finds the sinks told', async () => {
    const { sink, told } = slow('slack');
    const handler = vi.fn();
    const { forwardWithin, inFlight, state, errors } = setUp(sink);
    const forwarding = forwardWithin(100, handler);
    await vi.advanceTimersByTimeAsync(100);
    await forwarding;
    told[0]?.resolve();
    await inFlight.close();
    expect(handler).not.toHaveBeenCalled();
    expect(state()).toEqual({ state: 'acquired', delivered: ['slack'] });
    expect(errors).toEqual([]);
  });

  it('says so when it is the store that is waited for', async () => {
    const { forwardWithin, fault } = setUp(function audit() {});
    fault('complete', hang);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    const { error, sinks } = await forwarding;
    expect(error).toMatchObject({ code: 'deadline_exceeded', message: expect.stringContaining('idempotency store') });
    expect(sinks).toEqual({ audit: 'delivered' });
  });

  it('bounds the claim, too', async () => {
    const { forwardWithin, fault } = setUp();
    fault('claim', hang);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    expect((await forwarding).error?.code).toBe('store_unavailable');
  });

  it('does not hold up who is done before', async () => {
    const { sink, told } = slow('slack');
    const { forwardWithin } = setUp(sink);
    const forwarding = forwardWithin(8_000);
    await settled();
    told[0]?.resolve();
    expect(await forwarding).toMatchObject({ sinks: { slack: 'delivered' } });
    expect(vi.getTimerCount()).toBe(0);
  });
});

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

  it.each(nonsense)('that %s at the claim is unavailable, and nothing runs', async (_what, fault) => {
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
    // Which may have been granted nevertheless.
    await settled();
    expect(faulty.operations()).toEqual(['claim', 'release']);
  });

  it.each(nonsense.slice(0, 2))('that %s is why the error says so', async (_what, fault) => {
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
  ] as const)('that answers late, when a %s has been given up, with %j, harms nobody', async (operation, answer) => {
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
  });

  it('that hangs is unavailable after its time, and a claim granted later is given back', async () => {
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

  it('that refuses a late claim is left alone', async () => {
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
    'that %s when completing makes the delivery fail, and is asked again until it has completed',
    async (_what, fault) => {
      const deliver = vi.fn();
      const { forward, fault: set, operations, inFlight, errors } = setUp({ name: 'audit', deliver });
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
      await inFlight.close();
      expect(await forward()).toEqual({ duplicate: true });
      expect(deliver).toHaveBeenCalledOnce();
      expect(errors).toEqual([]);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it('that completes although it seems to fail is asked again, and nothing is lost', async () => {
    const { forward, fault, errors, inFlight } = setUp(function audit() {});
    fault('complete', (complete) => {
      complete();
      return fail(complete);
    });
    await forward();
    fault('complete', undefined);
    await vi.advanceTimersByTimeAsync(100);
    await inFlight.close();
    expect(await forward()).toEqual({ duplicate: true });
    expect(errors).toEqual([]);
  });

  it('that has lost the lease to an outage is not asked for what this process is still at', async () => {
    const slack = slow('slack');
    const { forward, fault, operations, inFlight } = setUp(slack.sink);
    fault('renew', fail);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(2 * leaseMs);
    expect((await forward()).error).toMatchObject({ code: 'in_flight' });
    expect(operations().filter((operation) => operation === 'claim')).toHaveLength(1);
    slack.told[0]?.resolve();
    await forwarding;
    await inFlight.close();
    expect(await forward()).toEqual({ duplicate: true });
    expect(slack.told).toHaveLength(1);
  });

  it('that has forgotten the claim over an outage does not make this process tell anybody twice', async () => {
    const audit = vi.fn();
    const slack = slow('slack');
    const { forward, fault, real, operations, inFlight } = setUp({ name: 'audit', deliver: audit }, slack.sink);
    fault('delivered', fail);
    fault('renew', fail);
    const forwarding = forward();
    await settled();
    slack.told[0]?.reject(new Error('down'));
    await forwarding;
    // A claim that was given up long ago arrives first, and is given back.
    await vi.advanceTimersByTimeAsync(leaseMs);
    real.claim(key, 'late', minutes);
    real.release(key, 'late', minutes);
    fault('delivered', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs);
    await inFlight.close();
    const retry = forward();
    await settled();
    slack.told[1]?.resolve();
    expect(await retry).toEqual({ duplicate: false, sinks: { audit: 'already', slack: 'delivered' } });
    expect(audit).toHaveBeenCalledOnce();
    expect(operations().at(-1)).toBe('complete');
  });

  it('that has given the event away before its completion does not make this process tell anybody twice', async () => {
    const audit = vi.fn();
    const { forward, fault } = setUp({ name: 'audit', deliver: audit });
    fault('complete', async () => false);
    expect((await forward()).error).toMatchObject({ code: 'in_flight' });
    fault('complete', undefined);
    fault('claim', async () => ({ state: 'acquired', delivered: [] }));
    await forward();
    expect(audit).toHaveBeenCalledOnce();
  });

  it('that answers no more is asked by a claim a second only, once many calls are overdue', async () => {
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

  it('that answers late is asked as before once it has', async () => {
    const { forward, fault } = setUp(function audit() {});
    const late = deferred();
    fault('claim', () => late.promise.then(() => Promise.reject(new Error('connection lost'))));
    const failing = Array.from({ length: 64 }, () => forward());
    await vi.advanceTimersByTimeAsync(2_000);
    await Promise.all(failing);
    late.resolve();
    await settled();
    fault('claim', undefined);
    // Both are asked for, and not one a second.
    const [first, second] = await Promise.all([forward(), forward()]);
    expect(first.error).toBeUndefined();
    expect(second.error?.code).toBe('in_flight');
  });

  it('that does not come back is asked for five minutes, while the claim is kept', async () => {
    const { forward, fault, errors, inFlight, state } = setUp(function audit() {});
    fault('complete', fail);
    await forward();
    await vi.advanceTimersByTimeAsync(4 * minutes);
    expect(state()).toMatchObject({ state: 'in_flight' });
    await vi.advanceTimersByTimeAsync(2 * minutes);
    await inFlight.close();
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toContain('5 minutes');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that fails to record is asked again for what is not recorded, before the event is given back', async () => {
    const slack = slow('slack');
    const chat = slow('chat');
    const { forward, fault, state, operations, inFlight } = setUp(function audit() {}, chat.sink, slack.sink);
    fault('delivered', fail);
    const forwarding = forward();
    await settled();
    chat.told[0]?.resolve();
    await settled();
    slack.told[0]?.reject(new Error('down'));
    expect((await forwarding).error).toMatchObject({ code: 'sink_failed' });
    expect(state()).toMatchObject({ state: 'in_flight' });
    await vi.advanceTimersByTimeAsync(100);
    fault('delivered', undefined);
    await vi.advanceTimersByTimeAsync(300);
    await inFlight.close();
    expect(operations()).toEqual(['claim', ...Array(5).fill('delivered'), 'release']);
    expect(state()).toEqual({ state: 'acquired', delivered: ['audit', 'chat'] });
  });

  it('that fails to record for long has the claim renewed no more often than before', async () => {
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

  it('that has given the event to another while it was away is asked no more', async () => {
    const { forward, fault, real, operations, inFlight, errors } = setUp(
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
    await inFlight.close();
    expect(operations()).not.toContain('release');
    expect(errors.at(-1)?.message).toContain('lost');
    expect(real.complete(key, 'other', minutes)).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that says at completion that the claim is lost makes the delivery fail, and nothing is released', async () => {
    const { forward, fault, operations, errors } = setUp(function audit() {});
    fault('complete', async () => false);
    expect((await forward()).error).toMatchObject({
      code: 'in_flight',
      message: 'the lease was lost: another delivery of the event is being processed',
    });
    expect(operations()).toEqual(['claim', 'complete']);
    expect(errors).toHaveLength(1);
  });

  it('that fails to record a sink makes the delivery fail, the other sinks are told and recorded', async () => {
    const slack = slow('slack');
    const { forward, fault, calls, operations } = setUp(function audit() {}, slack.sink);
    fault('delivered', fail);
    const forwarding = forward();
    await settled();
    fault('delivered', undefined);
    slack.told[0]?.resolve();
    expect((await forwarding).error).toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('delivered'),
    });
    expect(calls[2]?.[3]).toBe('slack');
    await vi.advanceTimersByTimeAsync(100);
    expect(operations()).toEqual(['claim', 'delivered', 'delivered', 'complete']);
    expect(await forward()).toEqual({ duplicate: true });
  });

  it('that is still recording one sink when the last one is done gets the last one’s record, too', async () => {
    const recording = deferred();
    const slack = slow('slack');
    const { forward, fault, operations } = setUp(function audit() {}, slack.sink);
    fault('delivered', (real) => recording.promise.then(real));
    const forwarding = forward();
    await settled();
    slack.told[0]?.resolve();
    await settled();
    expect(operations()).toEqual(['claim', 'delivered', 'delivered']);
    recording.resolve();
    expect((await forwarding).error).toBeUndefined();
    expect(operations()).toEqual(['claim', 'delivered', 'delivered', 'complete']);
  });

  it('that says at a record that the claim is lost stops the delivery', async () => {
    const slack = slow('slack');
    const { forward, fault, operations } = setUp(function audit() {}, slack.sink);
    fault('delivered', async () => false);
    expect((await forward()).error).toMatchObject({ code: 'in_flight' });
    expect(slack.told[0]?.signal.aborted).toBe(true);
    expect(operations()).toEqual(['claim', 'delivered']);
  });

  it('that says so of several sinks is heard once', async () => {
    const [slack, chat, audit] = [slow('slack'), slow('chat'), slow('audit')];
    const { forward, fault, errors } = setUp(slack.sink, chat.sink, audit.sink);
    fault('delivered', async () => false);
    const forwarding = forward();
    await settled();
    slack.told[0]?.resolve();
    chat.told[0]?.resolve();
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

describe('a store that fails and comes back', () => {
  const failing = { name: 'slack', deliver: () => Promise.reject(new Error('down')) };

  it('is asked again within a second to release, so that a retry need not wait for the lease', async () => {
    const { forward, fault, state, inFlight } = setUp(failing);
    fault('release', fail);
    await forward();
    fault('release', undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    await inFlight.close();
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it.each([
    ['before', fail],
    ['after', (claim: () => unknown) => Promise.resolve(claim()).then(fail as never)],
  ])('is asked to release a claim that failed %s its effect, until it has', async (_when, how) => {
    const { forward, fault, operations, state, inFlight } = setUp();
    fault('claim', how);
    fault('release', fail);
    expect((await forward()).error?.code).toBe('store_unavailable');
    await vi.advanceTimersByTimeAsync(800);
    fault('release', undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    await inFlight.close();
    expect(operations().filter((operation) => operation === 'release')).toHaveLength(5);
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is not asked to release what it has certainly not claimed', async () => {
    const { forward, fault, operations } = setUp();
    fault('claim', () => Promise.reject(Object.assign(new Error('locked'), { unclaimed: true })));
    expect((await forward()).error?.code).toBe('store_unavailable');
    await settled();
    expect(operations()).toEqual(['claim']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps a claim whose renewals failed for 12.5 s, because they are tried again within a second', async () => {
    const { sink, told } = slow('slack');
    const { forward, fault, real } = setUp(sink);
    const forwarding = forward();
    await vi.advanceTimersByTimeAsync(leaseMs / 3 - 1);
    fault('renew', fail);
    await vi.advanceTimersByTimeAsync(12_500);
    fault('renew', undefined);
    await vi.advanceTimersByTimeAsync(leaseMs - (leaseMs / 3 + 12_500));
    expect(real.claim(key, 'other', leaseMs)).toMatchObject({ state: 'in_flight', retryAfterMs: 23_001 });
    told[0]?.resolve();
    expect((await forwarding).error).toBeUndefined();
  });
});

describe('a claim that the store has lost', () => {
  /** As a Redis that comes back empty: whoever asks is granted the event, and nobody holds it. */
  function comesBackEmpty({ fault }: ReturnType<typeof setUp>) {
    const [lost, granted] = [async () => false, async () => ({ state: 'acquired', delivered: [] })];
    for (const operation of ['renew', 'delivered', 'complete', 'release'] as const) fault(operation, lost);
    fault('claim', granted);
    return () => {
      for (const operation of ['renew', 'delivered', 'complete', 'release', 'claim'] as const)
        fault(operation, undefined);
    };
  }

  it('leaves the sinks that have taken the event known here, and those that are at work', async () => {
    const audit = vi.fn();
    const slack = slow('slack');
    const forwarder = setUp({ name: 'audit', deliver: audit }, slack.sink);
    const first = forwarder.forward();
    await settled();
    const isBack = comesBackEmpty(forwarder);
    await vi.advanceTimersByTimeAsync(leaseMs / 3);
    expect((await first).error?.code).toBe('in_flight');
    // For as long as it takes, and not for a lease only.
    await vi.advanceTimersByTimeAsync(2 * leaseMs);
    expect((await forwarder.forward()).error?.code).toBe('in_flight');
    isBack();
    slack.told[0]?.resolve();
    await settled();
    expect(await forwarder.forward()).toEqual({ duplicate: false, sinks: { audit: 'already', slack: 'already' } });
    expect([audit.mock.calls.length, slack.told.length]).toEqual([1, 1]);
  });

  it('lets one deliver when two have asked before either was granted the event, and both are', async () => {
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
    slack.told[0]?.resolve();
    await settled();
    // The store knows of no claim of the first one's, but it knows itself what its sink has taken.
    await first;
    expect(await forwarder.forward()).toEqual({ duplicate: false, sinks: { slack: 'already' } });
    expect(slack.told).toHaveLength(1);
  });

  it('leaves a sink known whose record was refused, as it does one whose record failed', async () => {
    const audit = vi.fn();
    const slack = slow('slack');
    const forwarder = setUp({ name: 'audit', deliver: audit }, slack.sink);
    const isBack = comesBackEmpty(forwarder);
    const first = forwarder.forward();
    await settled();
    slack.told[0]?.reject(new Error('aborted'));
    expect((await first).error?.code).toBe('in_flight');
    isBack();
    const second = forwarder.forward();
    await settled();
    slack.told[1]?.resolve();
    expect((await second).sinks).toEqual({ audit: 'already', slack: 'delivered' });
    expect(audit).toHaveBeenCalledOnce();
  });

  it('leaves a sink known whose record was kept, when the release behind the deadline is refused', async () => {
    const { sink, told } = slow('slack');
    const handler: Handler = (settle) => settle({ status: 204 });
    const forwarder = setUp(sink);
    const first = forwarder.forwardWithin(100, handler);
    await vi.advanceTimersByTimeAsync(100);
    expect((await first).error?.code).toBe('deadline_exceeded');
    forwarder.fault('release', () => {
      // It has come back empty since the record.
      forwarder.real.release(key, String(forwarder.calls[0]?.[2]), 0);
      return Promise.resolve(false);
    });
    told[0]?.resolve();
    await settled();
    forwarder.fault('release', undefined);
    forwarder.fault('claim', async () => ({ state: 'acquired', delivered: [] }));
    const { sinks } = await forwarder.forward(handler);
    expect(sinks).toEqual({ slack: 'already' });
    expect(told).toHaveLength(1);
  });

  it('leaves a handler known that has answered 2xx', async () => {
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

describe('an isolate that was frozen', () => {
  it('knows what it was at until the lease ends that it could not renew, and then the store decides', async () => {
    const told: string[] = [];
    const store = memoryStore();
    const forwarder = new Dispatcher<VastEvent>({
      // Its timers are gone with the request that made them.
      clock: { ...systemClock, unrefTimeout: () => setTimeout(() => {}, 0) },
      scope: 'receiver',
      sinks: [
        {
          name: 'slack',
          deliver: () => {
            told.push('slack');
            return told.length === 1 ? new Promise<void>(() => {}) : undefined;
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
    expect(told).toEqual(['slack', 'slack']);
  });
});

describe('the handler', () => {
  const answering =
    (status: number, error?: unknown): Handler =>
    (settle) =>
      settle({ status, error });

  it.each([200, 204, 299])('that answers %i has taken the event', async (status) => {
    const { forward, state } = setUp();
    expect(await forward(answering(status))).toEqual({ duplicate: false, handlerStatus: status });
    expect(state()).toEqual({ state: 'completed' });
  });

  it.each([
    [500, false],
    [503, false],
    [408, false],
    [429, false],
    [0, false],
    [302, true],
    [400, true],
    [404, true],
  ])('that answers %i has not, which is permanent: %s', async (status, permanent) => {
    const { forward, state } = setUp();
    const { error, handlerStatus } = await forward(answering(status));
    expect(error).toMatchObject({ code: 'handler_failed', status, permanent });
    const what = status === 0 ? 'the handler gave no answer' : `the handler answered ${status}`;
    if (permanent) expect(error?.message).toMatch(new RegExp(`^${what}, .*gives the event up`));
    else expect(error?.message).toBe(what);
    expect(error?.message.includes('is there a handler')).toBe(status === 404);
    expect(handlerStatus).toBe(status);
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it('that answers 404 is asked whether it is there', async () => {
    expect((await setUp().forward(answering(404))).error?.message).toContain('is there a handler for this path');
  });

  it('comes after the sinks, which are recorded before it', async () => {
    const order: string[] = [];
    const { forward, operations, state } = setUp(async function audit() {
      order.push('audit');
    });
    await forward((settle) => {
      order.push('handler');
      settle({ status: 500 });
    });
    expect(order).toEqual(['audit', 'handler']);
    expect(operations()).toEqual(['claim', 'delivered', 'release']);
    expect(state()).toEqual({ state: 'acquired', delivered: ['audit'] });
  });

  it('does not come when a sink has failed', async () => {
    const handler = vi.fn();
    const { forward } = setUp(async function audit() {
      throw new Error('no');
    });
    await forward(handler);
    expect(handler).not.toHaveBeenCalled();
  });

  it('keeps its claim while it is at work, also past the deadline', async () => {
    const answer = deferred<number>();
    const { forwardWithin, state, operations } = setUp();
    const forwarding = forwardWithin(8_000, (settle) => void answer.promise.then((status) => settle({ status })));
    await vi.advanceTimersByTimeAsync(2 * minutes);
    expect(state()).toMatchObject({ state: 'in_flight' });
    expect(operations()).toContain('renew');
    answer.resolve(200);
    expect((await forwarding).error).toBeUndefined();
    expect(state()).toEqual({ state: 'completed' });
  });

  it('loses its claim after five minutes', async () => {
    const { forward, state } = setUp();
    const forwarding = forward(() => {});
    await vi.advanceTimersByTimeAsync(5 * minutes);
    expect((await forwarding).error).toMatchObject({
      code: 'handler_failed',
      status: 0,
      message: 'the handler gave no answer: not in time',
    });
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it('answers once, whatever it says after that', async () => {
    const { forward, operations } = setUp();
    const twice: Handler = (settle) => {
      settle({ status: 200 });
      settle({ status: 500 });
    };
    expect(await forward(twice)).toEqual({ duplicate: false, handlerStatus: 200 });
    expect(operations()).toEqual(['claim', 'complete']);
  });

  it('that throws has not taken the event, and the error says why', async () => {
    const { forward, state } = setUp();
    const throwing: Handler = () => {
      throw new Error('no such field');
    };
    expect((await forward(throwing)).error).toMatchObject({
      code: 'handler_failed',
      status: 0,
      message: 'the handler gave no answer: no such field',
      cause: { message: 'no such field' },
    });
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it('that has lost its claim is waited for, and nothing is overwritten', async () => {
    const answer = deferred<number>();
    const { forward, fault, errors, operations } = setUp();
    fault('renew', async () => false);
    const forwarding = forward((settle) => void answer.promise.then((status) => settle({ status })));
    await vi.advanceTimersByTimeAsync(leaseMs);
    expect(errors).toHaveLength(1);
    answer.resolve(200);
    expect(await forwarding).toEqual({ duplicate: false, handlerStatus: 200 });
    expect(operations()).toEqual(['claim', 'renew']);
  });

  it('has answered when completing fails, so that only a report can tell', async () => {
    const { forward, fault, errors, state } = setUp();
    fault('complete', fail);
    expect(await forward(answering(200))).toEqual({ duplicate: false, handlerStatus: 200 });
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('failed to complete')]);
    fault('complete', undefined);
    await vi.advanceTimersByTimeAsync(100);
    expect(state()).toEqual({ state: 'completed' });
  });
});

describe('what is in flight', () => {
  it('is waited for at closing, sinks behind the deadline included', async () => {
    const { sink, told } = slow('slack');
    const { forwardWithin, inFlight } = setUp(sink);
    void forwardWithin(100);
    await vi.advanceTimersByTimeAsync(200);
    let closed = false;
    const closing = inFlight.close().then(() => {
      closed = true;
    });
    await settled();
    expect(closed).toBe(false);
    told[0]?.resolve();
    await closing;
  });

  it('is not waited for longer than the time given', async () => {
    const { sink } = slow('slack');
    const { forward, inFlight } = setUp(sink);
    void forward();
    await settled();
    const closing = inFlight.close(5_000);
    await vi.advanceTimersByTimeAsync(5_000);
    await closing;
  });

  it.each(['duplicate', 'in_flight', 'store down', 'accepted'])('ends with each delivery: %s', async (how) => {
    const { forward, real, fault, inFlight } = setUp();
    if (how !== 'accepted') real.claim(key, 'other', minutes);
    if (how === 'duplicate') real.complete(key, 'other', minutes);
    if (how === 'store down') fault('claim', fail);
    await forward();
    await inFlight.close();
  });
});

it('errors are recognised across builds by their brand', () => {
  const foreign = Object.create(Error.prototype, { [Symbol.for('vast-webhook.WebhookError')]: { value: true } });
  expect(foreign instanceof WebhookError).toBe(true);
  expect(foreign instanceof SinkError).toBe(false);
  expect((new Error('x') as unknown) instanceof WebhookError).toBe(false);
  class Limited extends SinkError {}
  expect(new SinkError('x') instanceof Limited).toBe(false);
  expect(new Limited('x') instanceof Limited && new Limited('x') instanceof SinkError).toBe(true);
});
