import { describe, expect, it, vi } from 'vitest';
import { SinkError } from '../../src/contracts/errors.js';
import { key, leaseMs, settled, setUp, slow, useFakeTime, verified } from './set-up.js';

useFakeTime();

describe('sinks', () => {
  it('are called in parallel, and each delivery is recorded when it succeeds', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward, calls, operations } = setUp(slack.sink, audit.sink);
    const forwarding = forward();
    await settled();
    expect([slack.attempts.length, audit.attempts.length]).toEqual([1, 1]);
    audit.attempts[0]?.resolve();
    await settled();
    expect(calls.at(-1)).toEqual(['delivered', key, expect.any(String), 'audit']);
    slack.attempts[0]?.resolve();
    expect((await forwarding).sinks).toEqual({ slack: 'delivered', audit: 'delivered' });
    // Completing also records the last sink.
    expect(operations()).toEqual(['claim', 'delivered', 'complete']);
  });

  it('that succeed at once leave no timer behind, and a completed event is not renewed', async () => {
    const { forward, operations } = setUp(function audit() {});
    await forward();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(leaseMs);
    expect(operations()).toEqual(['claim', 'complete']);
  });

  it('that were delivered to are not called again by a retry', async () => {
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

  it('that failed are all named with the reason, and their errors are the cause', async () => {
    const [busy, gone] = [new SinkError('busy', { status: 503 }), new SinkError('gone', { status: 410 })];
    const slack = { name: 'slack', deliver: () => Promise.reject(busy) };
    const chat = { name: 'chat', deliver: () => Promise.reject(gone) };
    const both = (await setUp(slack, chat, function audit() {}).forward()).error;
    expect(both?.message).toBe('slack: busy; chat: gone');
    expect(both?.cause).toMatchObject({ errors: [busy, gone] });
    expect((await setUp(slack).forward()).error?.cause).toBe(busy);
  });

  it('are recorded although another failed before', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward, operations } = setUp(slack.sink, audit.sink);
    const forwarding = forward();
    await settled();
    slack.attempts[0]?.reject(new Error('no'));
    await settled();
    audit.attempts[0]?.resolve();
    await forwarding;
    expect(operations()).toEqual(['claim', 'delivered', 'release']);
  });

  it('that do not accept the event are skipped, and an event that no sink accepts is completed', async () => {
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
  ])('whose predicate %s have failed, and the event is delivered to the others', async (_what, accepts, message) => {
    const deliver = vi.fn();
    const audit = vi.fn();
    const { forward } = setUp({ name: 'slack', accepts: accepts as never, deliver }, { name: 'audit', deliver: audit });
    const { error, sinks } = await forward();
    expect(error).toMatchObject({ code: 'sink_failed', message: expect.stringMatching(message) });
    expect(sinks).toMatchObject({ slack: expect.any(Error), audit: 'delivered' });
    expect([deliver.mock.calls.length, audit.mock.calls.length]).toEqual([0, 1]);
  });

  it('fail whatever value they throw', async () => {
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
      'throws when it is awaited',
      () => {
        throw new Error('no promise at all');
      },
      new Error('no promise at all'),
    ],
  ])('may return another thenable, which %s', async (_what, settle, result) => {
    // biome-ignore lint/suspicious/noThenProperty: the test is about a thenable.
    const { forward, state } = setUp({ name: 'slack', deliver: () => ({ then: settle }) as never });
    expect((await forward()).sinks).toEqual({ slack: result });
    expect(state()).toMatchObject({ state: result === 'delivered' ? 'completed' : 'acquired' });
  });

  it('get the delivery and one signal that they share', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const { forward } = setUp(slack.sink, audit.sink);
    void forward();
    await settled();
    expect(slack.attempts[0]?.delivery).toBe(verified.delivery);
    expect(slack.attempts[0]?.signal).toBeInstanceOf(AbortSignal);
    expect(slack.attempts[0]?.signal).toBe(audit.attempts[0]?.signal);
  });
});
