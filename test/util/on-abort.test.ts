import { describe, expect, it } from 'vitest';
import { DispatchContext } from '../../src/forward/dispatch-context.js';
import { onAbort } from '../../src/util/on-abort.js';
import { anEvent } from '../sinks/buffering.js';

const reason = new Error('the lease was lost');

function dispatched() {
  const context = new DispatchContext(anEvent().delivery, 0, undefined);
  return { context, abort: () => context.abort(reason) };
}

function plain() {
  const controller = new AbortController();
  return { context: { signal: controller.signal }, abort: () => controller.abort(reason) };
}

describe.each([
  ['the context of a dispatch', dispatched],
  ['a signal alone', plain],
])('with %s', (_what, make) => {
  it('each listener hears the reason once, but those that were removed', () => {
    const { context, abort } = make();
    const heard: unknown[] = [];
    onAbort(context, (why) => heard.push('first', why));
    const remove = onAbort(context, () => heard.push('removed'));
    onAbort(context, (why) => heard.push('last', why));
    remove();
    abort();
    expect(heard).toEqual(['first', reason, 'last', reason]);
  });

  it('what is aborted already is thrown', () => {
    const { context, abort } = make();
    abort();
    expect(() => onAbort(context, () => {})).toThrow(reason);
  });
});

it('a signal of a dispatch is aborted with it, whenever it is asked for', () => {
  for (const isEarly of [true, false]) {
    const { context, abort } = dispatched();
    const early = isEarly ? context.signal : undefined;
    abort();
    expect((early ?? context.signal).reason).toBe(reason);
  }
});

it('a copy of a dispatch’s context, as a sink that wraps another may make it, is aborted, too', () => {
  const { context, abort } = dispatched();
  const copy = { ...context };
  const heard: unknown[] = [];
  onAbort(copy, (why) => heard.push(why));
  abort();
  expect([copy.signal.reason, heard]).toEqual([reason, [reason]]);
});
