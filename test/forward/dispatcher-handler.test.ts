import { describe, expect, it, vi } from 'vitest';
import type { Handler } from '../../src/forward/dispatch.js';
import { deferred } from '../support/deferred.js';
import { fail } from '../support/faulty-store.js';
import { leaseMs, minutes, setUp, useFakeTime } from './set-up.js';

useFakeTime();

describe('the handler', () => {
  const answering =
    (status: number, error?: unknown): Handler =>
    (settle) =>
      settle({ status, error });

  it.each([200, 204, 299])('that answers %i completes the event', async (status) => {
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
  ])('that answers %i releases the event, permanent: %s', async (status, permanent) => {
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

  it('that answers 404 makes the error ask whether there is a handler', async () => {
    expect((await setUp().forward(answering(404))).error?.message).toContain('is there a handler for this path');
  });

  it('is called after the sinks, which are recorded before it', async () => {
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

  it('is not called when a sink failed', async () => {
    const handler = vi.fn();
    const { forward } = setUp(async function audit() {
      throw new Error('no');
    });
    await forward(handler);
    expect(handler).not.toHaveBeenCalled();
  });

  it('keeps its lease while it runs, also past the deadline', async () => {
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

  it('loses its lease after five minutes', async () => {
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

  it('is settled by its first answer', async () => {
    const { forward, operations } = setUp();
    const twice: Handler = (settle) => {
      settle({ status: 200 });
      settle({ status: 500 });
    };
    expect(await forward(twice)).toEqual({ duplicate: false, handlerStatus: 200 });
    expect(operations()).toEqual(['claim', 'complete']);
  });

  it('that throws releases the event, and the error says why', async () => {
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

  it('that lost its lease is waited for, and the claim of the next holder stays', async () => {
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

  it('has answered when completing fails, so that only onError can report it', async () => {
    const { forward, fault, errors, state } = setUp();
    fault('complete', fail);
    expect(await forward(answering(200))).toEqual({ duplicate: false, handlerStatus: 200 });
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('failed to complete')]);
    fault('complete', undefined);
    await vi.advanceTimersByTimeAsync(100);
    expect(state()).toEqual({ state: 'completed' });
  });
});
