import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Sink, SinkError, type VastEvent, when } from '../../src/index.js';
import { type DigestOptions, digest, quiet } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { after, anEvent, deliverTo, recorder, resultsOf } from './buffering.js';

const seconds = 1_000;
const minutes = 60 * seconds;
/** Of the middleware, for a delivery that has just arrived. */
const deadline = 8 * seconds;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function setUp(options: Partial<DigestOptions> = {}, slack = recorder()) {
  const errors: { message: string; id?: string; type?: string; sink?: string }[] = [];
  const sink = digest(
    { everyMs: 60 * seconds, onError: ({ message }, context) => errors.push({ message, ...context }), ...options },
    slack.sink,
  );
  return { ...slack, slack, sink, errors };
}

describe('digest({ everyMs }, sink)', () => {
  it('delivers all events since the first in one digest when the time is over, and then begins anew', async () => {
    const { sink, calls, subjects } = setUp();
    const storm = [deliverTo(sink), deliverTo(sink)];
    await after(59_999);
    storm.push(deliverTo(sink));
    expect(calls).toHaveLength(0);
    await after(1);
    expect(subjects()).toEqual(['3 notifications: 3 × instance_offline']);
    expect(resultsOf(storm)).toEqual(['delivered']);

    await after(10 * minutes);
    const next = [deliverTo(sink), deliverTo(sink)];
    await after(60 * seconds);
    expect(subjects()).toEqual([expect.any(String), '2 notifications: 2 × instance_offline']);
    expect(resultsOf(next)).toEqual(['delivered']);
  });

  it('ends its window in time although an isolate has lost the timer of the request that opened it', async () => {
    const { sink, subjects } = setUp();
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const loseTimer = () => clearTimeout(timers.mock.results.at(-1)?.value);
    deliverTo(sink);
    loseTimer();
    await after(59 * seconds);
    const second = deliverTo(sink);
    await after(1 * seconds);
    expect(subjects()).toEqual(['2 notifications: 2 × instance_offline']);
    expect(second.result).toBe('delivered');

    const third = deliverTo(sink);
    loseTimer();
    await after(61 * seconds);
    deliverTo(sink);
    await after(0);
    expect(third.result).toBe('delivered');
  });

  it('passes on an event that remains alone as it is', async () => {
    const { sink, calls } = setUp();
    const { event, delivery } = deliverTo(sink);
    await after(60 * seconds);
    expect(calls).toMatchObject([{ event, context: { delivery } }]);
    expect(calls[0]?.event).toBe(event);
    expect(calls[0]?.context.signal).toBeInstanceOf(AbortSignal);
  });

  it('counts a repeated event once, and answers both deliveries', async () => {
    const { sink, calls, subjects } = setUp();
    const twice = anEvent();
    const attempts = [deliverTo(sink, twice), deliverTo(sink, twice)];
    await after(60 * seconds);
    expect(calls[0]?.event).toBe(twice.event);
    expect(resultsOf(attempts)).toEqual(['delivered']);

    const again = [deliverTo(sink, twice), deliverTo(sink), deliverTo(sink, twice)];
    await after(60 * seconds);
    expect(subjects()[1]).toBe('2 notifications: 2 × instance_offline');
    expect(resultsOf(again)).toEqual(['delivered']);
  });

  it('does not take two senders’ events for one because their ids are the same', async () => {
    const { sink, subjects } = setUp();
    deliverTo(sink, anEvent({}, { id: 'same' }));
    deliverTo(sink, {
      ...anEvent({ notif_type: 'digest', subject: 'x' }),
      delivery: anEvent({}, { id: 'same', provider: 'vast-webhook' }).delivery,
    });
    await after(60 * seconds);
    expect(subjects()).toEqual([expect.stringMatching(/^2 notifications/)]);
  });

  it('keeps the name and the predicate of the sink', () => {
    const { sink } = setUp();
    expect([sink.name, sink.accepts]).toEqual(['slack', undefined]);
    const narrowed = digest({ everyMs: 1 }, when('client:*', recorder().sink));
    const { delivery } = anEvent();
    expect(narrowed.accepts?.(sampleEvent('outbid'), delivery)).toBe(true);
    expect(narrowed.accepts?.(sampleEvent('outbid'), { ...delivery, webhook: 'host' })).toBe(false);
  });

  it('accepts a named function as the sink', async () => {
    const audit = vi.fn();
    const sink = digest({ everyMs: 1 }, function audited(event: VastEvent) {
      audit(event.subject);
    });
    expect(sink.name).toBe('audited');
    const attempts = [deliverTo(sink), deliverTo(sink)];
    await after(1);
    expect(audit).toHaveBeenCalledExactlyOnceWith('2 notifications: 2 × instance_offline');
    expect(resultsOf(attempts)).toEqual(['delivered']);
  });

  it.each([
    ['inside', (slack: Sink<VastEvent>) => digest({ everyMs: 1_000 }, when(['outbid', 'host:*'], slack))],
    ['outside', (slack: Sink<VastEvent>) => when(['outbid', 'host:*'], digest({ everyMs: 1_000 }, slack))],
  ])('stands with when, %s: what is accepted is gathered', async (_where, make) => {
    const slack = recorder();
    const sink = make(slack.sink);
    const { delivery } = anEvent();
    expect(sink.accepts?.(sampleEvent('outbid'), delivery)).toBe(true);
    expect(sink.accepts?.(sampleEvent('low_credit'), delivery)).toBe(false);
    expect(sink.concurrency).toBe(4_000);
    deliverTo(sink, anEvent(sampleEvent('outbid')));
    deliverTo(sink, anEvent(sampleEvent('machine_error')));
    await sink.flush?.();
    expect(slack.subjects()).toEqual(['2 notifications: 1 × outbid, 1 × machine_error']);
  });

  it.each([
    [{}, /everyMs must be a whole number of milliseconds, 1 to 240000/],
    [undefined, /everyMs/],
    [{ everyMs: 0 }, /everyMs/],
    [{ everyMs: 240_001 }, /everyMs/],
    [{ everyMs: 1.5 }, /everyMs/],
    [{ everyMs: 1, onError: 7 }, /onError must be a function/],
    [{ everyMs: 1, every: 1 }, /unknown option "every" \(valid: everyMs, onError\)/],
  ])('refuses %j', (options, message) => {
    expect(() => digest(options as never, recorder().sink)).toThrow(TypeError);
    expect(() => digest(options as never, recorder().sink)).toThrow(message);
  });

  it('refuses a value that is no sink', () => {
    expect(() => digest({ everyMs: 1 }, async () => {})).toThrow(/has no name/);
    expect(() => digest({ everyMs: 1 }, {} as never)).toThrow(/named function or an object/);
  });
});

describe('where the digest can be waited for', () => {
  it('a delivery settles only when its digest is delivered', async () => {
    const { sink, calls } = setUp({}, recorder({ isSlow: true }));
    const storm = [deliverTo(sink), deliverTo(sink)];
    await after(5 * minutes - 60 * seconds);
    expect(calls).toHaveLength(1);
    expect(resultsOf(storm)).toEqual([undefined]);
    calls[0]?.resolve();
    await after(0);
    expect(resultsOf(storm)).toEqual(['delivered']);
  });

  it('all of its deliveries fail with it, with the sink’s own error, and it is not tried again: they are', async () => {
    const { sink, calls, answers, errors } = setUp();
    const error = new SinkError('down', { status: 503, retryAfterMs: 1 });
    answers(() => Promise.reject(error));
    const storm = [deliverTo(sink), deliverTo(sink)];
    await after(60 * seconds);
    expect(resultsOf(storm)).toEqual([error]);
    await after(60 * minutes);
    expect([calls.length, errors]).toEqual([1, []]);

    answers(() => {});
    const again = storm.map(({ event, delivery }) => deliverTo(sink, { event, delivery }));
    await after(60 * seconds);
    expect(resultsOf(again)).toEqual(['delivered']);
    // The same events make the same digest.
    expect(new Set(calls.map(({ context }) => context.delivery.id)).size).toBe(1);
  });

  it('and when the sink throws at once', async () => {
    const { sink } = setUp();
    const thrower = digest(
      { everyMs: 1 },
      {
        name: 'thrower',
        deliver() {
          throw new Error('no');
        },
      },
    );
    const attempt = deliverTo(thrower);
    await after(1);
    expect(attempt.result).toEqual(new Error('no'));
    expect(sink.name).toBe('slack');
  });

  it('an event whose claim is lost leaves the digest, and its delivery fails', async () => {
    const { sink, subjects } = setUp();
    const [lost, ...others] = [deliverTo(sink), deliverTo(sink), deliverTo(sink)];
    const reason = new Error('the claim was lost');
    lost?.abort(reason);
    await after(0);
    expect(lost?.result).toBe(reason);
    await after(60 * seconds);
    expect(subjects()).toEqual(['2 notifications: 2 × instance_offline']);
    expect(resultsOf(others)).toEqual(['delivered']);
  });

  it('the last event that is left is delivered unchanged, and without events nothing is delivered', async () => {
    const { sink, calls } = setUp();
    const [first, second] = [deliverTo(sink), deliverTo(sink)];
    first?.abort();
    await after(60 * seconds);
    expect(calls.map(({ event }) => event)).toEqual([second?.event]);

    deliverTo(sink).abort();
    await after(60 * seconds);
    expect(calls).toHaveLength(1);
  });

  it('a repeated event leaves when both leases are lost', async () => {
    const { sink, calls } = setUp();
    const event = anEvent();
    const [first, second] = [deliverTo(sink, event), deliverTo(sink, event)];
    first?.abort();
    await after(60 * seconds);
    expect([calls.length, second?.result]).toEqual([1, 'delivered']);
  });

  it('a claim that is lost already is not waited for', async () => {
    const { sink, calls } = setUp();
    const abort = new AbortController();
    abort.abort(new Error('lost'));
    await expect(sink.deliver(anEvent().event, { delivery: anEvent().delivery, signal: abort.signal })).rejects.toThrow(
      'lost',
    );
    await after(60 * seconds);
    expect(calls).toHaveLength(0);
  });

  it('the sink’s signal is aborted when no delivery waits any more, and not before', async () => {
    const { sink, calls } = setUp({}, recorder({ isSlow: true }));
    const storm = [deliverTo(sink), deliverTo(sink)];
    await after(60 * seconds);
    storm[0]?.abort();
    await after(0);
    expect(calls[0]?.context.signal.aborted).toBe(false);
    storm[1]?.abort();
    await after(0);
    expect(calls[0]?.context.signal.aborted).toBe(true);
    calls[0]?.reject(new Error('aborted'));
    await after(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a lease that is lost while the sink runs settles as the sink does, which may still succeed', async () => {
    const { sink, calls } = setUp({}, recorder({ isSlow: true }));
    const [lost, other] = [deliverTo(sink), deliverTo(sink)];
    await after(60 * seconds);
    lost?.abort();
    other?.abort();
    await after(0);
    expect(resultsOf([lost, other] as never)).toEqual([undefined]);
    calls[0]?.resolve();
    await after(0);
    expect(resultsOf([lost, other] as never)).toEqual(['delivered']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('the same holds in the middleware, if a second is left for the delivery', async () => {
    const { sink, calls } = setUp({ everyMs: 7 * seconds }, recorder({ isSlow: true }));
    const storm = [deliverTo(sink, anEvent(), deadline), deliverTo(sink, anEvent(), deadline)];
    await after(7 * seconds);
    expect(resultsOf(storm)).toEqual([undefined]);
    expect(calls[0]?.context.deadlineAt).toBe((calls[0]?.at ?? 0) + 1 * seconds);
    calls[0]?.reject(new Error('down'));
    await after(0);
    expect(resultsOf(storm)).toEqual([new Error('down')]);
  });
});

describe('where the answer is due before', () => {
  it('the request is accepted at once, and the digest is delivered later', async () => {
    const { sink, calls, subjects } = setUp({ everyMs: 7_001 });
    const storm = [deliverTo(sink, anEvent(), deadline), deliverTo(sink, anEvent(), deadline)];
    expect(resultsOf(storm)).toEqual(['delivered']);
    expect(calls).toHaveLength(0);
    await after(7_001);
    expect(subjects()).toEqual(['2 notifications: 2 × instance_offline']);
    expect(calls[0]?.context.deadlineAt).toBeUndefined();
  });

  it('a lone event is passed on as it is', async () => {
    const { sink, calls } = setUp();
    const { event } = deliverTo(sink, anEvent(), deadline);
    await after(60 * seconds);
    expect(calls.map((call) => call.event)).toEqual([event]);
  });

  it('and a late one waits for the digest, so that the answer has its result', async () => {
    const { sink, calls, answers } = setUp();
    const early = deliverTo(sink, anEvent(), deadline);
    await after(55 * seconds);
    const late = deliverTo(sink, anEvent(), deadline);
    expect([early.result, late.result]).toEqual(['delivered', undefined]);
    answers((nth) => (nth === 1 ? Promise.reject(new Error('down')) : undefined));
    await after(5 * seconds);
    expect(late.result).toEqual(new Error('down'));
    // Accepted events are retried here, without the one that the sender will retry.
    await after(1 * seconds);
    expect(calls.map(({ event }) => event.subject)).toEqual([
      '2 notifications: 2 × instance_offline',
      early.event.subject,
    ]);
  });

  it('a digest that fails is tried again, with backoff', async () => {
    const { sink, calls, answers, errors } = setUp();
    vi.spyOn(Math, 'random').mockReturnValue(0.999);
    answers((nth) => (nth <= 4 ? Promise.reject(new SinkError('busy', { status: 503 })) : undefined));
    deliverTo(sink, anEvent(), deadline);
    deliverTo(sink, anEvent(), deadline);
    await after(60 * seconds);
    expect(calls).toHaveLength(1);
    await after(30 * minutes);
    const times = calls.map(({ at }) => Math.round((at - (calls[0]?.at ?? 0)) / 1_000));
    expect(times).toEqual([0, 1, 3, 7, 15]);
    expect(new Set(calls.map(({ context }) => context.delivery.id)).size).toBe(1);
    expect(errors).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('and not before the sink wants it', async () => {
    const { sink, calls, answers } = setUp();
    answers((nth) => (nth === 1 ? Promise.reject(new SinkError('busy', { status: 429, retryAfterMs: 90_000 })) : 0));
    deliverTo(sink, anEvent(), deadline);
    await after(60 * seconds + 89_999);
    expect(calls).toHaveLength(1);
    await after(1);
    expect(calls).toHaveLength(2);
  });

  it('a digest that still fails after a quarter of an hour is reported with the number of its events, and dropped', async () => {
    const { sink, calls, answers, errors } = setUp();
    answers(() => Promise.reject(new Error('down')));
    deliverTo(sink, anEvent(), deadline);
    deliverTo(sink, anEvent(), deadline);
    await after(20 * minutes);
    expect(errors).toEqual([
      {
        message: '2 answered events could not be delivered: down',
        id: calls[0]?.context.delivery.id,
        type: 'digest',
        sink: 'slack',
      },
    ]);
    expect(calls.length).toBeGreaterThan(8);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    ['cannot be mended', new SinkError('gone', { status: 404, permanent: true })],
    ['asks for longer than that', new SinkError('later', { status: 429, retryAfterMs: 2 ** 40 })],
  ])('what %s is reported at once', async (_what, error) => {
    const { sink, calls, answers, errors } = setUp();
    answers(() => Promise.reject(error));
    const { event } = deliverTo(sink, anEvent(), deadline);
    await after(60 * seconds);
    expect(errors).toEqual([
      {
        message: `an answered event could not be delivered: ${error.message}`,
        id: event.event_id,
        type: 'instance_offline',
        sink: 'slack',
      },
    ]);
    await after(20 * minutes);
    expect(calls).toHaveLength(1);
  });

  it('is reported on console.error where there is no onError, in one line', async () => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {});
    const slack = recorder();
    slack.answers(() => Promise.reject(new SinkError('go\nne', { permanent: true })));
    deliverTo(digest({ everyMs: 10 * seconds }, slack.sink), anEvent(), deadline);
    await after(10 * seconds);
    expect(print).toHaveBeenCalledExactlyOnceWith(
      expect.stringMatching(
        /^vast-webhook: after the answer sink="slack" event="event-\d+" type="instance_offline": an answered event could not be delivered: go ne$/,
      ),
    );
  });

  it('survives an onError that throws', async () => {
    const slack = recorder();
    slack.answers(() => Promise.reject(new SinkError('gone', { permanent: true })));
    const onError = vi.fn(() => {
      throw new Error('of the listener');
    });
    const sink = digest({ everyMs: 10 * seconds, onError }, slack.sink);
    deliverTo(sink, anEvent(), deadline);
    await after(10 * seconds);
    deliverTo(sink, anEvent(), deadline);
    await after(10 * seconds);
    expect(onError).toHaveBeenCalledTimes(2);
  });

  it('a sink that never settles is aborted after five minutes and retried', async () => {
    const { sink, calls } = setUp({}, recorder({ isSlow: true }));
    deliverTo(sink, anEvent(), deadline);
    await after(60 * seconds + 5 * minutes);
    expect(calls[0]?.context.signal.aborted).toBe(true);
    await after(1 * seconds);
    expect(calls).toHaveLength(2);
    calls[1]?.resolve();
    await after(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps no texts of many, and quotes the gravest of them', async () => {
    const { sink, calls } = setUp();
    for (let n = 0; n < 3_000; n++)
      deliverTo(
        sink,
        anEvent({ ...sampleEvent('instance_created'), subject: `Created ${n}` }, { id: `id-${n}` }),
        deadline,
      );
    deliverTo(sink, anEvent({ ...sampleEvent('billing_failed') }), deadline);
    await after(60 * seconds);
    const lines = calls[0]?.event.message.split('\n') ?? [];
    expect(lines[0]).toBe('Your Vast.ai Payment Has Failed');
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toBe('and 2981 more');
    expect(calls[0]?.event.count).toBe(3_001);
  });

  it('does not grow without bounds: 100,000 events are delivered before the window ends', async () => {
    const { sink, calls } = setUp();
    const { event, delivery } = anEvent();
    for (let n = 0; n < 100_001; n++) {
      const one = { ...delivery, id: String(n) };
      sink.deliver(event, { delivery: one, signal: new AbortController().signal, deadlineAt: performance.now() + 1 });
    }
    await after(0);
    expect(calls.map((call) => call.event.count)).toEqual([100_000]);
    await after(60 * seconds);
    expect(calls).toHaveLength(2);
  });
});

describe('flush()', () => {
  it('delivers the buffered events at once, and resolves when they are delivered', async () => {
    const { sink, calls } = setUp({}, recorder({ isSlow: true }));
    const held = deliverTo(sink);
    const taken = deliverTo(sink, anEvent(), 1);
    const flushed = vi.fn();
    void Promise.resolve(sink.flush?.()).then(flushed);
    await after(0);
    expect([calls.length, flushed.mock.calls.length]).toEqual([1, 0]);
    calls[0]?.resolve();
    await after(0);
    expect([held.result, taken.result, flushed.mock.calls.length]).toEqual(['delivered', 'delivered', 1]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('retries failed digests at once, and then until they are given up', async () => {
    const { sink, calls, answers, errors } = setUp();
    answers(() => Promise.reject(new SinkError('busy', { retryAfterMs: 5 * minutes })));
    deliverTo(sink, anEvent(), deadline);
    await after(60 * seconds);
    expect([calls.length, errors.length]).toEqual([1, 0]);
    const flushing = sink.flush?.();
    await after(0);
    expect([calls.length, errors.length]).toEqual([2, 0]);
    await after(15 * minutes);
    await flushing;
    expect(calls.length).toBeGreaterThan(2);
    expect(errors).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('reaches a sink behind it that also buffers, through when', async () => {
    const slack = recorder();
    const sink = when('*', digest({ everyMs: 1 * minutes }, when('*', quiet({ perMinute: 1 }, slack.sink))));
    const held = [deliverTo(sink), deliverTo(sink)];
    await sink.flush?.();
    const more = [deliverTo(sink), deliverTo(sink)];
    await sink.flush?.();
    expect(resultsOf([...held, ...more])).toEqual(['delivered']);
    expect(slack.subjects()).toEqual(Array(2).fill('2 notifications: 2 × instance_offline'));
  });

  it('is not the end: later events are buffered and delivered as usual', async () => {
    const { sink, calls } = setUp();
    await sink.flush?.();
    deliverTo(sink);
    deliverTo(sink);
    await after(60 * seconds);
    expect(calls).toHaveLength(1);
  });
});
