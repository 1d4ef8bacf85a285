import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SinkError } from '../../src/index.js';
import { digest } from '../../src/sinks/index.js';
import { sqliteHandles } from '../support/sqlite.js';
import { minutes, recorder, seconds, settled, setUp, slow } from './set-up.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Whether it has resolved by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let is = false;
  void promise.finally(() => {
    is = true;
  });
  await settled();
  return is;
}

describe.each(sqliteHandles())('on $client: close()', ({ open }) => {
  it('refuses deliveries from then on, with an error that says why', async () => {
    const { deliver, outbox, rows } = setUp(open, { sinks: [recorder('slack').sink] });
    await settled();
    await outbox.close();
    const delivering = deliver();
    await expect(delivering).rejects.toThrow(SinkError);
    await expect(delivering).rejects.toThrow('closed');
    expect(rows()).toEqual([]);
  });

  it('waits for running deliveries, records them, and starts no more', async () => {
    const slack = slow('slack');
    const { deliver, outbox, rows } = setUp(open, { sinks: [slack.sink], concurrency: 2 });
    await Promise.all([deliver(), deliver(), deliver(), settled()]);
    const closing = outbox.close();
    expect(await isSettled(closing)).toBe(false);
    slack.calls[0]?.resolve();
    expect(await isSettled(closing)).toBe(false);
    slack.calls[1]?.reject(new Error('down'));
    expect(await isSettled(closing)).toBe(true);
    expect(rows().map(({ state, error }) => [state, error])).toEqual([
      ['told', null],
      ['due', 'down'],
      ['due', null],
    ]);
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(slack.calls).toHaveLength(2);
  });

  it('waits for running writes', async () => {
    const slack = slow('slack');
    const { deliver, outbox, rows } = setUp(open, { sinks: [slack.sink] });
    await settled();
    const delivering = deliver();
    const closing = outbox.close();
    await settled();
    await Promise.all([delivering, closing]);
    expect(rows()).toMatchObject([{ state: 'due', attempts: 0 }]);
  });

  it('waits until deliveries are recorded, when the file cannot be written for a while', async () => {
    const slack = slow('slack');
    const { deliver, outbox, rows, faults } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    faults.set('BEGIN IMMEDIATE', new Error('database is locked'));
    slack.calls[0]?.resolve();
    await settled();
    const closing = outbox.close();
    await vi.advanceTimersByTimeAsync(20 * seconds);
    expect(await isSettled(closing)).toBe(false);
    faults.clear();
    await vi.advanceTimersByTimeAsync(6 * seconds);
    expect(await isSettled(closing)).toBe(true);
    expect(rows()).toMatchObject([{ state: 'told' }]);
    expect(slack.calls).toHaveLength(1);
  });

  it('flushes the events that a sink buffers, also events that reach the sink later', async () => {
    const slack = recorder('slack');
    const gathering = digest({ everyMs: 4 * minutes }, slack.sink);
    const { deliver, outbox, rows } = setUp(open, { sinks: [gathering] });
    await Promise.all([deliver(), deliver(), settled()]);
    expect(slack.calls).toHaveLength(0);
    // Not yet in the file, or not yet with the sink.
    const delivering = deliver();
    const closing = outbox.close();
    await vi.advanceTimersByTimeAsync(1 * seconds);
    await Promise.all([delivering, closing]);
    expect(slack.calls).toHaveLength(1);
    expect(rows().map(({ state }) => state)).toEqual(['told', 'told', 'due']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits no longer than timeoutMs', async () => {
    const { deliver, outbox } = setUp(open, { sinks: [slow('slack').sink] });
    await Promise.all([deliver(), settled()]);
    const closing = outbox.close(5 * seconds);
    await vi.advanceTimersByTimeAsync(4_900);
    expect(await isSettled(closing)).toBe(false);
    await vi.advanceTimersByTimeAsync(100);
    expect(await isSettled(closing)).toBe(true);
  });

  it('may be called twice, and by await using', async () => {
    const slack = slow('slack');
    const { deliver, outbox } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    const closing = Promise.all([outbox.close(), outbox.close(), outbox[Symbol.asyncDispose]()]);
    expect(await isSettled(closing)).toBe(false);
    slack.calls[0]?.resolve();
    expect(await isSettled(closing)).toBe(true);
  });

  it('leaves nothing that would touch the file', async () => {
    const { deliver, outbox, errors, handle } = setUp(open, {
      sinks: [recorder('slack', () => Promise.reject(new Error('down'))).sink],
    });
    await Promise.all([deliver(), settled()]);
    await outbox.close();
    expect(vi.getTimerCount()).toBe(0);
    handle.close();
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(errors).toEqual([]);
  });

  it('is also in time before the first turn', async () => {
    const first = setUp(open, { sinks: [recorder('slack', () => Promise.reject(new Error('down'))).sink] });
    await Promise.all([first.deliver(), settled()]);
    await first.outbox.close();
    vi.setSystemTime(Date.now() + 1 * minutes);
    const slack = recorder('slack');
    const { outbox } = setUp(open, { sinks: [slack.sink] }, first.file);
    await outbox.close();
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(slack.calls).toEqual([]);
  });

  it('is not required: the next process goes on', async () => {
    const first = setUp(open, { sinks: [recorder('slack', () => Promise.reject(new Error('down'))).sink] });
    await Promise.all([first.deliver(), first.deliver(), settled()]);
    await first.outbox.close();
    const slack = recorder('slack');
    setUp(open, { sinks: [slack.sink] }, first.file);
    await vi.advanceTimersByTimeAsync(3 * seconds);
    expect(slack.calls).toHaveLength(2);
  });
});
