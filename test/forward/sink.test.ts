import { describe, expect, it } from 'vitest';
import { type SinkContext, toSinks } from '../../src/contracts/sink.js';
import { type Sink, type VastType, vastTypes } from '../../src/index.js';
import { when } from '../../src/sinks/when.js';
import { sampleEvent } from '../../src/testing/index.js';
import { deliveryOf } from '../support/delivery.js';

const delivery = deliveryOf({}, { id: 'event-1' });
const context = { delivery } as SinkContext;
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
    expect([sink.accepts?.(outbid, delivery), sink.accepts?.(stopped, delivery)]).toEqual([ofOutbid, ofStopped]);
  });

  it('accepts a predicate', () => {
    const sink = when((event) => event.subject.includes('Outbid'), audit);
    expect([sink.accepts?.(outbid, delivery), sink.accepts?.(stopped, delivery)]).toEqual([true, false]);
  });

  it('narrows what the sink itself accepts, keeps its name, and delivers through it', async () => {
    const delivered: unknown[] = [];
    const sink = {
      name: 'mine',
      accepts: (event: { notif_type: string }) => event.notif_type !== 'outbid',
      deliver(this: { name: string }, event: object) {
        delivered.push(this.name, event);
      },
    };
    const narrowed = when('*', sink);
    expect(narrowed.name).toBe('mine');
    expect([narrowed.accepts?.(outbid, delivery), narrowed.accepts?.(stopped, delivery)]).toEqual([false, true]);
    await narrowed.deliver(stopped, context);
    expect(delivered).toEqual(['mine', stopped]);
  });

  it('leaves the rest of the sink as it is: its concurrency and its flush()', async () => {
    const flushed: unknown[] = [];
    const sink: Sink = {
      name: 'mine',
      concurrency: 3,
      deliver() {},
      flush() {
        flushed.push(this.name);
      },
    };
    const narrowed = when('*', sink);
    expect(narrowed.concurrency).toBe(3);
    await narrowed.flush?.();
    expect(flushed).toEqual(['mine']);
    expect(when('*', audit).flush).toBeUndefined();
  });

  it('can be nested', () => {
    const sink = when(
      'instance_*',
      when((event) => event.user_id === 123, audit),
    );
    expect([sink.accepts?.(outbid, delivery), sink.accepts?.(stopped, delivery)]).toEqual([false, true]);
  });

  it('matches no type for an event whose type is no string', () => {
    const sink = when(['outbid', 'instance_*'], audit);
    expect(sink.accepts?.({ ...outbid, notif_type: 7 as never }, delivery)).toBe(false);
  });

  it('accepts a predicate that reads the delivery', () => {
    const sink = when((_event, { webhook }) => webhook === 'host', audit);
    expect(sink.accepts?.(outbid, { ...delivery, webhook: 'host' })).toBe(true);
    expect(sink.accepts?.(outbid, delivery)).toBe(false);
  });

  it('returns the promise of an asynchronous predicate, which is refused and does not count as true', () => {
    const sink = when((async () => false) as never, audit);
    expect(sink.accepts?.(outbid, delivery)).toBeInstanceOf(Promise);
  });

  it.each([
    [[]],
    [['a*b']],
    [['*a']],
    [['']],
    [[7]],
    [undefined],
    [null],
    ['outbid, low_credit'],
    [' outbid'],
    ['client:'],
    ['client:*a'],
    ['client:host:outbid'],
  ])('refuses %j as types', (types) => {
    expect(() => when(types as never, audit)).toThrow(/types must be event types/);
  });
});

describe('when, with a context', () => {
  const { client, host } = { client: 'client', host: 'host' };
  const none = undefined;
  const accepts = (pattern: string, type: string, webhook?: string, provider = 'vast') => {
    const event = { notif_type: type, type } as never;
    return when(pattern, audit).accepts?.(event, { ...delivery, provider, webhook });
  };

  it.each([
    ['client:low_credit', 'low_credit', client, true],
    ['client:low_credit', 'low_credit', host, false],
    ['client:low_disk_space', 'low_disk_space', client, true],
    ['client:low_disk_space', 'low_disk_space', host, false],
    ['host:near_*', 'near_end_date', host, true],
    ['host:near_*', 'near_end_date', client, false],
    ['client:*', 'outbid', client, true],
    ['client:*', 'outbid', host, false],
    ['client:*', 'webhook_test', client, true],
    ['client:*', 'webhook_test', host, false],
    ['host:*', 'a_type_of_next_year', host, true],
    ['host:*', 'a_type_of_next_year', client, false],
    // The user labelled the webhook, so the label wins over a catalogue that may be old.
    ['host:*', 'outbid', host, true],
  ])('%s goes by the label of the secret: %s on the webhook %s is accepted: %s', (pattern, type, webhook, expected) => {
    expect(accepts(pattern, type, webhook)).toBe(expected);
  });

  it.each([none, 'renter', 'Client'])('goes by the catalogue where the label is %s', (webhook) => {
    expect(accepts('client:*', 'low_credit', webhook)).toBe(true);
    expect(accepts('host:*', 'low_credit', webhook)).toBe(false);
    expect(accepts('host:machine_*', 'machine_offline', webhook)).toBe(true);
    expect(accepts('client:machine_*', 'machine_offline', webhook)).toBe(false);
  });

  it.each(['low_disk_space', 'near_end_date', 'webhook_test', 'a_type_of_next_year', 'toString'])(
    'accepts %s for both sides if neither label nor catalogue distinguishes them, so that no event is missed',
    (type) => {
      for (const webhook of [none, 'renter']) {
        expect(accepts(`client:${type}`, type, webhook)).toBe(true);
        expect(accepts('host:*', type, webhook)).toBe(true);
        expect(accepts('host:other', type, webhook)).toBe(false);
      }
    },
  );

  it('leaves out no event of the catalogue from one side and the other, whatever the label', () => {
    for (const type of Object.keys(vastTypes) as VastType[]) {
      for (const webhook of [client, host, none, 'renter']) {
        expect([accepts('client:*', type, webhook), accepts('host:*', type, webhook)]).toContain(true);
      }
    }
  });

  it('stands beside patterns without one, which go by the type alone', () => {
    const sink = when(['outbid', 'host:low_disk_space'], audit);
    expect(sink.accepts?.(outbid, { ...delivery, webhook: 'host' })).toBe(true);
    expect(sink.accepts?.(sampleEvent('low_disk_space'), { ...delivery, webhook: 'client' })).toBe(false);
  });

  it('matches an event without a type by `*` only', () => {
    const untyped = { ...outbid, notif_type: 7 as never };
    expect(when('host:*', audit).accepts?.(untyped, { ...delivery, webhook: 'host' })).toBe(true);
    expect(when('host:*', audit).accepts?.(untyped, { ...delivery, webhook: 'client' })).toBe(false);
    expect(when('host:machine_*', audit).accepts?.(untyped, { ...delivery, webhook: 'host' })).toBe(false);
  });

  it('accepts an event without a type for either side without a label', () => {
    const untyped = { ...outbid, notif_type: 7 as never };
    expect(when('host:*', audit).accepts?.(untyped, delivery)).toBe(true);
    expect(when('client:*', audit).accepts?.(untyped, delivery)).toBe(true);
    expect(when('client:instance_*', audit).accepts?.(untyped, delivery)).toBe(false);
  });

  it('is for Vast.ai only, because the events of other senders have no sides, whatever the labels of their secrets', () => {
    expect(accepts('client:*', 'run.failed', client, 'shodai')).toBe(false);
    expect(accepts('*', 'run.failed', client, 'shodai')).toBe(true);
  });

  it('matches a digest from a queue by the events in it', () => {
    const digest = (...types: object[]) =>
      ({ notif_type: 'digest', types: types.map((type) => ({ provider: 'vast', count: 1, ...type })) }) as never;
    const asked = (pattern: string, event: never) =>
      when(pattern, audit).accepts?.(event, { ...delivery, provider: 'vast-webhook' });
    const both = digest({ type: 'outbid' }, { type: 'machine_error', webhook: 'host' });
    expect([asked('outbid', both), asked('host:machine_*', both), asked('digest', both)]).toEqual([true, true, true]);
    expect([asked('low_credit', both), asked('client:machine_*', both)]).toEqual([false, false]);
    expect([asked('*', digest({ type: '' })), asked('client:*', digest({ type: '', webhook: 'host' }))]).toEqual([
      true,
      false,
    ]);
    expect([asked('host:*', digest({ type: '' })), asked('outbid', digest({ type: '' }))]).toEqual([true, false]);
  });

  it('still answers a caller that passes the event alone', () => {
    const asked = when('client:*', audit) as Sink & { accepts(event: object): boolean };
    expect([asked.accepts(outbid), asked.accepts(sampleEvent('machine_error'))]).toEqual([true, false]);
  });

  it.each([
    ['clients:outbid', /"clients:outbid" matches no event.*client or host, as in 'client:outbid'/],
    ['Client:outbid', /client or host/],
    [':outbid', /client or host/],
    ['*:outbid', /types must be event types/],
    ['renter:*', /client or host/],
  ])('refuses %s, which no event has', (pattern, message) => {
    expect(() => when(pattern, audit)).toThrow(message);
    expect(() => when(pattern, audit)).toThrow(TypeError);
  });

  it('refuses a type with the wrong context, which matches no event, and names the right one', () => {
    expect(() => when('host:machine_maintenance', audit)).toThrow(/a type of client: use 'client:machine_maintenance'/);
    expect(() => when('client:machine_offline', audit)).toThrow(/a type of host/);
  });

  it('accepts an unknown type and any prefix, because the list grows', () => {
    for (const pattern of ['host:a_type_of_next_year', 'host:instance_*', 'client:webhook_test', 'host:toString']) {
      expect(() => when(pattern, audit)).not.toThrow();
    }
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
    expect(toSinks([{ name: 'x'.repeat(255), deliver: audit }])).toHaveLength(1);
    expect(() => toSinks([{ deliver: audit } as never])).toThrow(/name must be a string/);
  });

  it('must have names of their own', () => {
    expect(() => toSinks([audit, when('outbid', audit)])).toThrow(/two sinks are named "audit"/);
  });

  it.each([[undefined], [null], ['slack'], [{ name: 'x' }]])('must be sinks, which %j is not', (sink) => {
    expect(() => toSinks([sink as never])).toThrow(/named function or an object/);
  });

  it.each([[0], [-1], [1.5], ['3'], [null]])('cannot have a concurrency of %j', (concurrency) => {
    const sink = { name: 'chat', deliver: audit, concurrency: concurrency as never };
    expect(() => toSinks([sink])).toThrow(/concurrency of sink "chat" must be a whole number of 1/);
  });

  it('can have a concurrency of one or several events', () => {
    for (const concurrency of [undefined, 1, 2]) {
      expect(toSinks([{ name: 'chat', deliver: audit, concurrency }])).toHaveLength(1);
    }
  });
});
