import { describe, expect, it } from 'vitest';
import { type SinkContext, toSinks, when } from '../../src/forward/sink.js';
import { sampleEvent } from '../../src/testing/index.js';

const context = {} as SinkContext;
const outbid = sampleEvent('outbid');
const stopped = sampleEvent('instance_stopped');
function audit() {}

describe('when', () => {
  it.each([
    ['a type', ['outbid'], true, false],
    ['one type without a list', 'outbid', true, false],
    ['several types', ['low_credit', 'outbid', 'instance_stopped'], true, true],
    ['a prefix', ['instance_*'], false, true],
    ['everything', ['*'], true, true],
    ['a prefix that is longer than the type', ['outbid_*'], false, false],
    ['part of a type', ['out'], false, false],
  ])('takes %s', (_what, types, ofOutbid, ofStopped) => {
    const sink = when(types, audit);
    expect([sink.accepts?.(outbid), sink.accepts?.(stopped)]).toEqual([ofOutbid, ofStopped]);
  });

  it('takes a predicate', () => {
    const sink = when((event) => event.subject.includes('Outbid'), audit);
    expect([sink.accepts?.(outbid), sink.accepts?.(stopped)]).toEqual([true, false]);
  });

  it('narrows what the sink itself accepts, keeps its name, and delivers through it', async () => {
    const told: unknown[] = [];
    const sink = {
      name: 'mine',
      accepts: (event: { notif_type: string }) => event.notif_type !== 'outbid',
      deliver(this: { name: string }, event: object) {
        told.push(this.name, event);
      },
    };
    const narrowed = when('*', sink);
    expect(narrowed.name).toBe('mine');
    expect([narrowed.accepts?.(outbid), narrowed.accepts?.(stopped)]).toEqual([false, true]);
    await narrowed.deliver(stopped, context);
    expect(told).toEqual(['mine', stopped]);
  });

  it('can be nested', () => {
    const sink = when(
      'instance_*',
      when((event) => event.user_id === 123, audit),
    );
    expect([sink.accepts?.(outbid), sink.accepts?.(stopped)]).toEqual([false, true]);
  });

  it('takes an event whose type is no string for none of the types', () => {
    const sink = when(['outbid', 'instance_*'], audit);
    expect(sink.accepts?.({ ...outbid, notif_type: 7 as never })).toBe(false);
  });

  it.each([[[]], [['a*b']], [['*a']], [['']], [[7]], [undefined], [null]])('refuses %j as types', (types) => {
    expect(() => when(types as never, audit)).toThrow(/types must be event types/);
  });
});

describe('the sinks of a middleware', () => {
  it('are known by their names, functions by theirs', () => {
    const arrow = async () => {};
    expect(toSinks([audit, arrow, { name: 'x', deliver: audit }]).map(({ name }) => name)).toEqual([
      'audit',
      'arrow',
      'x',
    ]);
  });

  it('must have names, and an error says how to give one', () => {
    expect(() => toSinks([async () => {}])).toThrow(/async function audit\(event\)/);
    expect(() => toSinks([{ name: '', deliver: audit }])).toThrow(/name must be a string/);
    expect(() => toSinks([{ name: 'x'.repeat(256), deliver: audit }])).toThrow(/1 to 255/);
    expect(() => toSinks([{ deliver: audit } as never])).toThrow(/name must be a string/);
  });

  it('must have names of their own', () => {
    expect(() => toSinks([audit, when('outbid', audit)])).toThrow(/two sinks are named "audit"/);
  });

  it.each([[undefined], [null], ['slack'], [{ name: 'x' }]])('must be sinks, which %j is not', (sink) => {
    expect(() => toSinks([sink as never])).toThrow(/named function or an object/);
  });
});
