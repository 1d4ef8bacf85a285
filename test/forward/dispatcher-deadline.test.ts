import { describe, expect, it, vi } from 'vitest';
import { fail, hang } from '../support/faulty-store.js';
import { settled, setUp, slow, useFakeTime } from './set-up.js';

useFakeTime();

describe('the deadline', () => {
  it('is passed to the sinks, unless no request waits', async () => {
    const { sink, attempts } = slow('slack');
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
      attempts.at(-1)?.reject(new Error('again'));
      await forwarding;
    }
    expect(deadlines).toEqual([performance.now() + 8_000, undefined]);
  });

  it('is met by answering while the sinks go on, and their deliveries are recorded', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forwardWithin, state, errors, drain } = setUp(slack.sink, audit.sink);
    const forwarding = forwardWithin(8_000);
    await settled();
    audit.attempts[0]?.resolve();
    await vi.advanceTimersByTimeAsync(8_000);
    const { error, sinks } = await forwarding;
    expect(error).toMatchObject({ code: 'deadline_exceeded', message: expect.stringContaining('slack') });
    expect(sinks).toEqual({ slack: 'pending', audit: 'delivered' });
    expect(slack.attempts[0]?.signal.aborted).toBe(false);
    expect(state()).toMatchObject({ state: 'in_flight' });
    slack.attempts[0]?.resolve();
    await drain.close();
    expect(state()).toEqual({ state: 'completed' });
    expect(sinks).toEqual({ slack: 'pending', audit: 'delivered' });
    expect(errors).toEqual([]);
  });

  it('passed, the error names all sinks that still run', async () => {
    const { forwardWithin } = setUp(slow('slack').sink, slow('chat').sink, function audit() {});
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    expect((await forwarding).error?.message).toBe('still running at the deadline: slack, chat');
  });

  it('passed, a sink that fails is reported, and the event is released', async () => {
    const { sink, attempts } = slow('slack');
    const { forwardWithin, state, errors, drain } = setUp(sink);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    expect((await forwarding).error?.code).toBe('deadline_exceeded');
    attempts[0]?.reject(new Error('too late, too'));
    await drain.close();
    expect(errors).toEqual([{ id: 'event-1', sink: 'slack', message: 'too late, too' }]);
    expect(state()).toEqual({ state: 'acquired', delivered: [] });
  });

  it('passed, a completion that fails is reported and tried again', async () => {
    const { sink, attempts } = slow('slack');
    const { forwardWithin, fault, errors, drain, state } = setUp(sink);
    fault('complete', fail);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    await forwarding;
    attempts[0]?.resolve();
    await settled();
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('failed to complete')]);
    fault('complete', undefined);
    await vi.advanceTimersByTimeAsync(100);
    await drain.close();
    expect(state()).toEqual({ state: 'completed' });
    expect(errors).toHaveLength(1);
  });

  it('passed, the handler is not called any more, and the deliveries to sinks are recorded', async () => {
    const { sink, attempts } = slow('slack');
    const handler = vi.fn();
    const { forwardWithin, drain, state, errors } = setUp(sink);
    const forwarding = forwardWithin(100, handler);
    await vi.advanceTimersByTimeAsync(100);
    await forwarding;
    attempts[0]?.resolve();
    await drain.close();
    expect(handler).not.toHaveBeenCalled();
    expect(state()).toEqual({ state: 'acquired', delivered: ['slack'] });
    expect(errors).toEqual([]);
  });

  it('passed, the error names the store if only the store has not answered', async () => {
    const { forwardWithin, fault } = setUp(function audit() {});
    fault('complete', hang);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    const { error, sinks } = await forwarding;
    expect(error).toMatchObject({ code: 'deadline_exceeded', message: expect.stringContaining('idempotency store') });
    expect(sinks).toEqual({ audit: 'delivered' });
  });

  it('also bounds the claim', async () => {
    const { forwardWithin, fault } = setUp();
    fault('claim', hang);
    const forwarding = forwardWithin(100);
    await vi.advanceTimersByTimeAsync(100);
    expect((await forwarding).error?.code).toBe('store_unavailable');
  });

  it('does not delay an event that is done before it', async () => {
    const { sink, attempts } = slow('slack');
    const { forwardWithin } = setUp(sink);
    const forwarding = forwardWithin(8_000);
    await settled();
    attempts[0]?.resolve();
    expect(await forwarding).toMatchObject({ sinks: { slack: 'delivered' } });
    expect(vi.getTimerCount()).toBe(0);
  });
});
