import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Sink, SinkError, type VastEvent, when } from '../../src/index.js';
import { type QuietOptions, quiet } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { after, anEvent, deliverTo, recorder, resultsOf } from './buffering.js';

const seconds = 1_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function setUp(perMinute = 2, slack = recorder()) {
  const errors: string[] = [];
  const sink = quiet({ perMinute, onError: ({ message }) => errors.push(message) }, slack.sink);
  return { ...slack, sink, errors };
}
const many = (sink: Sink<VastEvent>, count: number, withinMs?: number) =>
  Array.from({ length: count }, () => deliverTo(sink, anEvent(), withinMs));

describe('quiet({ perMinute }, sink)', () => {
  it('delivers the first events at once, and the rest in one digest when the minute is over', async () => {
    const { sink, events, subjects } = setUp();
    const storm = many(sink, 500);
    await after(0);
    expect(events()).toEqual(storm.slice(0, 2).map(({ event }) => event));
    expect(storm.map(({ result }) => result)).toEqual(['delivered', 'delivered', ...Array(498).fill(undefined)]);
    await after(59_999);
    expect(events()).toHaveLength(2);
    await after(1);
    expect(subjects()[2]).toBe('498 notifications: 498 × instance_offline');
    // Settling them takes several turns of the event loop.
    await after(5);
    expect(resultsOf(storm)).toEqual(['delivered']);
  });

  it('says nothing at the end of a minute that was quiet', async () => {
    const { sink, events } = setUp();
    many(sink, 2);
    await after(120 * seconds);
    expect(events()).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('begins another minute with the next event', async () => {
    const { sink, events } = setUp(1);
    many(sink, 1);
    await after(59 * seconds);
    many(sink, 1);
    await after(1 * seconds);
    expect(events()).toHaveLength(2);
    await after(30 * seconds);
    const [next, surplus] = many(sink, 2);
    await after(0);
    expect([next?.result, surplus?.result]).toEqual(['delivered', undefined]);
    await after(59_999);
    expect(surplus?.result).toBeUndefined();
    await after(1);
    expect(surplus?.result).toBe('delivered');
  });

  it('passes on one event beyond the number as it is, when the minute is over', async () => {
    const { sink, events } = setUp(1);
    const [, surplus] = many(sink, 2);
    await after(60 * seconds);
    expect(events()[1]).toBe(surplus?.event);
  });

  it('passes an event with the sink’s own context, and its failure back', async () => {
    const { sink, calls, answers } = setUp();
    const error = new SinkError('down');
    answers(() => Promise.reject(error));
    const attempt = deliverTo(sink, anEvent(), 8 * seconds);
    await after(0);
    expect(attempt.result).toBe(error);
    expect(calls[0]?.context).toBe(attempt.context);
  });

  it('accepts the surplus at once if its deadline is before the end of the minute, and otherwise lets it wait', async () => {
    const { sink, events } = setUp(1);
    many(sink, 1);
    const [taken] = many(sink, 1, 8 * seconds);
    expect(taken?.result).toBe('delivered');
    await after(53 * seconds);
    const [held] = many(sink, 1, 8 * seconds);
    expect(held?.result).toBeUndefined();
    await after(7 * seconds);
    expect(held?.result).toBe('delivered');
    expect(events()[1]?.subject).toBe('2 notifications: 2 × instance_offline');
  });

  it('reports accepted events that could not be delivered', async () => {
    const { sink, answers, errors } = setUp(1);
    answers((nth) => nth > 1 && Promise.reject(new SinkError('gone', { permanent: true })));
    many(sink, 3, 8 * seconds);
    await after(60 * seconds);
    expect(errors).toEqual(['2 answered events could not be delivered: gone']);
  });

  it.each([
    ['inside', (slack: Sink<VastEvent>) => quiet({ perMinute: 1 }, when('outbid', slack))],
    ['outside', (slack: Sink<VastEvent>) => when('outbid', quiet({ perMinute: 1 }, slack))],
  ])('stands with when, %s: what is not accepted uses up nothing', async (_where, make) => {
    const slack = recorder();
    const sink = make(slack.sink);
    const { delivery } = anEvent();
    expect(sink.name).toBe('slack');
    expect(sink.accepts?.(sampleEvent('low_credit'), delivery)).toBe(false);
    expect(sink.accepts?.(sampleEvent('outbid'), delivery)).toBe(true);
    expect(sink.concurrency).toBe(4_000);
    for (let n = 0; n < 3; n++) deliverTo(sink, anEvent(sampleEvent('outbid')));
    await sink.flush?.();
    expect(slack.subjects()[1]).toBe('2 notifications: 2 × outbid');
  });

  it.each([[{}], [undefined], [{ perMinute: 0 }], [{ perMinute: 1_001 }], [{ perMinute: '5' }]])(
    'refuses %j, and says what it takes',
    (options) => {
      const make = () => quiet(options as unknown as QuietOptions, recorder().sink);
      expect(make).toThrow(TypeError);
      expect(make).toThrow(/perMinute must be a whole number, 1 to 1000/);
    },
  );
});
