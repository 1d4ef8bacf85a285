import { describe, expect, it, vi } from 'vitest';
import { vastApi } from '../../src/api/index.js';
import { catchUp } from '../../src/catch-up/index.js';
import {
  createForwarder,
  type Delivery,
  detailsOf,
  memoryStore,
  SinkError,
  vastWebhook,
  verifyDelivery,
} from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { v0Webhook } from '../../src/v0/index.js';
import { InboxStandIn, rowOf } from '../support/inbox-stand-in.js';
import { apiKey, aStore, minute, secret, setUp, wait } from './set-up.js';

const api = vastApi({ apiKey });

describe('an event that only the inbox has', () => {
  it('is delivered once, a minute after it was made, as a delivery that nobody has signed', async () => {
    const service = setUp();
    await service.begin();
    const row = service.inbox.add('missed', { brand_new: 1 });
    await wait(59_000);
    expect(service.ids).toEqual([]);
    await wait(2 * minute);
    expect(service.ids).toEqual(['missed']);
    const [{ event, delivery }] = service.got as [(typeof service.got)[0]];
    expect(event).toEqual({ ...row, timestamp: row.created_at });
    expect(JSON.parse(String(delivery.rawBody))).toEqual(event);
    expect(delivery).toMatchObject({ provider: 'vast', source: 'inbox', verified: false, attempt: 1, id: 'missed' });
    expect(delivery.webhook).toBeUndefined();
    expect(detailsOf(event)).toEqual({ instanceId: 48927380, machineId: 46110, bid: 0.031, minBid: 0.0625 });
    expect(service.outcomes).toMatchObject([{ result: 'accepted', status: 204, source: 'inbox', id: 'missed' }]);
    const claim = vi.spyOn(service.store, 'claim');
    await wait(60 * minute);
    expect(service.ids).toEqual(['missed']);
    expect(service.outcomes).toHaveLength(1);
    expect(claim.mock.calls.filter(([key]) => key.endsWith('missed'))).toEqual([]);
    expect(await service.send('missed')).toBe(204);
    expect(service.outcomes[1]).toMatchObject({ result: 'duplicate', source: 'webhook' });
    expect(service.gaps).toEqual([]);
    expect(service.errors).toEqual([]);
  });

  it('is not delivered again by the next process, whatever died in between', async () => {
    const service = setUp();
    await service.begin();
    service.inbox.add('missed');
    await wait(3 * minute);
    await service.stop();
    service.make();
    await wait(60 * minute);
    expect(service.ids).toEqual(['missed']);
  });

  it('is delivered by the next process, if this one dies before', async () => {
    const service = setUp();
    await service.begin();
    await service.stop();
    service.inbox.add('missed');
    await wait(60 * minute);
    expect(service.ids).toEqual([]);
    service.make();
    await wait(1);
    expect(service.ids).toEqual(['missed']);
  });

  it('is delivered by one of several processes', async () => {
    const service = setUp();
    service.make();
    service.make();
    await service.begin();
    service.inbox.add('missed');
    await wait(5 * minute);
    expect(service.ids).toEqual(['missed']);
  });

  it('is tried again less and less often while a sink fails, and not before the sink allows it', async () => {
    const service = setUp();
    await service.begin();
    service.failWith(new SinkError('slow down', { status: 429, retryAfterMs: 10 * minute }));
    service.inbox.add('missed');
    await wait(9 * minute);
    expect(service.outcomes).toMatchObject([{ result: 'failed', code: 'sink_failed' }]);
    service.failWith(new Error('away'));
    await wait(4 * 60 * minute);
    expect(service.outcomes.length).toBeGreaterThan(6);
    expect(service.outcomes.length).toBeLessThan(10);
    service.failWith(undefined);
    await wait(62 * minute);
    expect(service.ids).toEqual(['missed']);
  });

  it('is delivered among 50 new ones, the oldest first', async () => {
    const service = setUp();
    await service.begin();
    const ids = Array.from({ length: 49 }, (_, number) => `missed-${number}`);
    for (const id of ids) {
      await wait(1);
      service.inbox.add(id);
    }
    await wait(3 * minute);
    expect(service.ids).toEqual(ids);
    expect(service.gaps).toEqual([]);
  });

  it('is delivered once, if its webhook comes while it is delivered', async () => {
    let settle = () => {};
    const settled = new Promise<void>((resolve) => {
      settle = resolve;
    });
    let calls = 0;
    const service = setUp({
      trustIds: true,
      webhook: {
        sinks: [
          async function slow() {
            calls++;
            await settled;
          },
        ],
      },
    });
    await wait(1_000);
    service.inbox.add('missed');
    await wait(2 * minute);
    expect(calls).toBe(1);
    expect(await service.send('missed')).toBe(503);
    settle();
    await wait(0);
    expect(await service.send('missed')).toBe(204);
    expect(calls).toBe(1);
  });
});

describe('an id', () => {
  it('must have been seen to equal a delivery, or rows are only reported, each once', async () => {
    const service = setUp();
    await wait(1_000);
    service.inbox.add('r1');
    expect(await service.send('d1')).toBe(204);
    await wait(10 * minute);
    service.inbox.add('r2');
    await wait(10 * minute);
    expect(service.ids).toEqual(['d1']);
    const reported = service.gaps.map(({ reason, rows }) => [reason, rows.map(({ event_id }) => event_id)]);
    expect(reported).toEqual([
      ['untrusted', ['r1']],
      ['untrusted', ['r2']],
    ]);
    service.inbox.add('both-ways');
    expect(await service.send('both-ways')).toBe(204);
    await wait(2 * minute);
    expect(service.ids).toEqual(['d1', 'both-ways', 'r1', 'r2']);
  });

  it('is remembered to agree in the store, by the next process, too', async () => {
    const service = setUp();
    await service.begin();
    await service.stop();
    service.make();
    await wait(1_000);
    service.inbox.add('missed');
    await wait(3 * minute);
    expect(service.ids).toEqual(['missed']);
  });

  it('is remembered to agree, and the first run, after a month without a look', async () => {
    const service = setUp();
    await service.begin();
    await service.stop();
    await wait(30 * 24 * 60 * minute);
    service.inbox.add('missed');
    await wait(2 * minute);
    service.make();
    await wait(3 * minute);
    expect(service.ids).toEqual(['missed']);
  });

  it('is trusted at once with trustIds, which proves nothing to others', async () => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    service.inbox.add('missed');
    await wait(3 * minute);
    expect(service.ids).toEqual(['missed']);
    await service.stop();
    const next = setUp({ store: service.store });
    next.inbox.rows.push(...service.inbox.rows);
    await wait(1_000);
    next.inbox.add('another');
    await wait(3 * minute);
    expect(next.ids).toEqual([]);
    expect(next.gaps.flatMap(({ rows }) => rows.map(({ event_id }) => event_id))).toEqual(['missed', 'another']);
  });

  it('of a delivery from the inbox proves nothing to a forwarder', async () => {
    const inbox = new InboxStandIn();
    const service = setUp({ trustIds: true });
    const ids: string[] = [];
    const forward = createForwarder({
      store: service.store,
      sinks: [
        function chat(_event, { delivery }) {
          ids.push(delivery.id);
        },
      ],
    });
    const stop = catchUp(forward, { api: vastApi({ apiKey, fetch: inbox.fetch as typeof fetch }) });
    await wait(1_000);
    inbox.rows.push(service.inbox.add('missed'));
    await wait(3 * minute);
    const delivery = JSON.parse(JSON.stringify(service.got[0]?.delivery));
    for (const fields of [{}, { source: 'webhook' }, { verified: true }]) await forward({ ...delivery, ...fields });
    inbox.add('another');
    await wait(3 * minute);
    expect(ids).toEqual(['missed']);
    await stop();
  });
});

describe('what is older than the first run', () => {
  it('is never delivered, also by later processes', async () => {
    const service = setUp({ trustIds: true });
    for (let number = 0; number < 40; number++)
      service.inbox.rows.push(rowOf(`old-${number}`, service.inbox.now - number));
    await wait(10 * minute);
    await service.stop();
    service.make();
    await wait(10 * minute);
    expect(service.ids).toEqual([]);
    expect(service.gaps).toEqual([]);
    service.inbox.add('new');
    await wait(3 * minute);
    expect(service.ids).toEqual(['new']);
  });

  it('is left out as well when its row comes late', async () => {
    const service = setUp({ trustIds: true });
    await wait(10 * minute);
    service.inbox.rows.push(rowOf('late', service.inbox.now - 15 * 60));
    await wait(10 * minute);
    expect(service.ids).toEqual([]);
  });
});

it('delivers nothing that the store may have forgotten', async () => {
  const service = setUp({ trustIds: true, webhook: { completedTtlMs: 60 * minute } });
  await wait(1_000);
  service.inbox.add('missed');
  await wait(5 * minute);
  expect(service.ids).toHaveLength(1);
  await service.stop();
  await wait(65 * minute);
  service.make();
  await wait(5 * minute);
  expect(service.ids).toHaveLength(1);
});

describe('time', () => {
  it.each([-86_400, -600, 600, 86_400, 400_000_000])(
    "is the sender's, whose clock is off by %i s",
    async (aheadSeconds) => {
      const service = setUp({ trustIds: true });
      service.inbox.aheadSeconds = aheadSeconds;
      service.inbox.rows.push(rowOf('old', service.inbox.now - 100));
      await wait(1_000);
      service.inbox.add('missed');
      await wait(59_000);
      expect(service.ids).toEqual([]);
      await wait(2 * minute);
      expect(service.ids).toEqual(['missed']);
    },
  );

  it.each([
    ['without a Date header', {}],
    ['with a Date header in another form', { Date: '0' }],
  ])('is unknown %s, so that nothing is delivered', async (_name, headers) => {
    const service = setUp({ trustIds: true });
    service.inbox.fault = () => service.inbox.answer(headers);
    await wait(1_000);
    service.inbox.fault = undefined;
    service.inbox.rows.push(rowOf('old', service.inbox.now - 100));
    await wait(10 * minute);
    service.inbox.fault = () => service.inbox.answer(headers);
    service.inbox.add('missed');
    service.errors.length = 0;
    await wait(10 * minute);
    expect(service.ids).toEqual([]);
    expect(service.errors).toEqual([expect.stringContaining('no Date header')]);
    service.inbox.fault = undefined;
    await wait(20 * minute);
    expect(service.ids).toEqual(['missed']);
  });
});

describe('rows', () => {
  it('without a usable id or time are left out, and spoil no other', async () => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    const { inbox } = service;
    const odd = [
      null,
      7,
      [],
      'x',
      {},
      rowOf('', inbox.now),
      rowOf('a\nb', inbox.now),
      rowOf('x'.repeat(256), inbox.now),
    ];
    inbox.rows.push(...odd, rowOf('never', Number.NaN), rowOf('before', -5), rowOf('far', inbox.now + 1e9));
    inbox.add('missed');
    await wait(10 * minute);
    expect(service.ids).toEqual(['missed']);
    expect(service.errors).toEqual([]);
  });

  it('of the future do not move the first run', async () => {
    const service = setUp({ trustIds: true });
    service.inbox.rows.push(rowOf('future', service.inbox.now + 6 * 60 * 60));
    await wait(1_000);
    service.inbox.add('missed');
    await wait(5 * minute);
    expect(service.ids).toEqual(['missed']);
  });

  it('of one id are one event', async () => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    service.inbox.add('twice', { subject: 'first' });
    service.inbox.add('twice', { subject: 'second' });
    await wait(10 * minute);
    expect(service.ids).toEqual(['twice']);
  });

  it('of unknown types and without texts are delivered', async () => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    service.inbox.add('unknown', { notif_type: 'brand_new' });
    service.inbox.add('bare', {
      notif_type: undefined,
      subject: null,
      message: 7,
      user_context: 5,
      associated_id: 'x',
    });
    service.inbox.add('deep', { toJSON: 1, __proto__: null, nested: JSON.parse('['.repeat(500) + ']'.repeat(500)) });
    await wait(3 * minute);
    expect([...service.ids].sort()).toEqual(['bare', 'deep', 'unknown']);
  });

  it.each([
    ['ids', { event_id: undefined, id: 'missed' }],
    ['times', { created_at: Date.now() }],
  ])('of which none is usable are reported once, as with other %s', async (_name, fields) => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    service.inbox.add('missed', fields);
    await wait(10 * minute);
    expect(service.errors).toEqual([expect.stringMatching(/^catching up: .*form/)]);
    service.inbox.add('usable');
    await wait(60 * minute);
    expect(service.ids).toEqual(['usable']);
    expect(service.errors).toHaveLength(1);
  });

  it("that a client of one's own gives cannot make it throw", async () => {
    const trap = new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap');
        },
      },
    );
    const row = (id: string) => rowOf(id, Date.now() / 1000 - 70);
    const rows: unknown[] = [row('old'), trap, { ...row('big'), big: 1n }];
    const service = setUp({
      trustIds: true,
      api: { inbox: async () => ({ notifications: rows as never, date: Date.now() / 1000 }) },
    });
    await wait(5 * minute);
    rows.push(row('missed'));
    await wait(5 * minute);
    expect(service.ids).toEqual(['missed']);
    expect(service.errors).toEqual([]);
  });

  it('may come in any order, and drop off', async () => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    for (const id of ['c', 'a', 'b']) service.inbox.add(id);
    await wait(3 * minute);
    service.inbox.rows.length = 0;
    await wait(3 * minute);
    service.inbox.add('d');
    await wait(3 * minute);
    expect([...service.ids].sort()).toEqual(['a', 'b', 'c', 'd']);
  });
});

describe('a gap', () => {
  it('is a full window without a row of the last one', async () => {
    const service = setUp({ trustIds: true, everyMs: minute });
    await wait(1_000);
    service.inbox.add('before');
    await wait(2 * minute);
    for (let number = 0; number < 60; number++)
      service.inbox.rows.push(rowOf(`n${number}`, service.inbox.now + number / 100));
    await wait(minute);
    expect(service.gaps).toMatchObject([{ reason: 'window' }]);
    expect(service.gaps[0]?.rows).toHaveLength(50);
    await wait(5 * minute);
    expect(service.gaps).toHaveLength(1);
    expect(new Set(service.ids).size).toBe(51);
    expect(service.ids).toHaveLength(51);
  });

  it('is a full window, too, if an id is in it twice and two rows cannot be used', async () => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    service.inbox.add('before');
    await wait(2 * minute);
    for (const id of [...Array.from({ length: 47 }, (_, number) => `n${number}`), 'n0', 'a\nb', ''])
      service.inbox.add(id);
    await wait(minute);
    expect(service.gaps).toMatchObject([{ reason: 'window' }]);
    expect(service.gaps[0]?.rows).toHaveLength(47);
  });

  it('is none with a row of the last window, after an empty window, or when the window is not full', async () => {
    const service = setUp({ trustIds: true });
    await wait(minute);
    const fill = (name: string, count: number) => {
      for (let number = 0; number < count; number++)
        service.inbox.rows.push(rowOf(name + number, service.inbox.now + number / 1e3));
    };
    fill('a', 55);
    await wait(minute);
    fill('b', 49);
    await wait(minute);
    service.inbox.rows.length = 0;
    fill('c', 49);
    await wait(minute);
    expect(service.gaps).toEqual([]);
  });
});

describe('the API', () => {
  const json =
    (status: number, body: object, headers = {}) =>
    () =>
      Response.json(body, { status, headers });
  it.each([
    ['401', json(401, { success: false, error: 'auth_error', msg: 'Invalid user key' })],
    ['a missing scope', json(403, { success: false, msg: 'user_read' })],
    ['429 as JSON', json(429, { detail: 'API requests too frequent endpoint threshold=5.5' })],
    ['429 as text', () => new Response('API requests too frequent...', { status: 429 })],
    ['HTML', () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } })],
    ['another form', json(200, { notifications: {} })],
    ['success: false', json(200, { success: false, error: 'x', msg: 'y' })],
    ['500', json(500, {})],
    ['no connection', () => Promise.reject(new TypeError('fetch failed'))],
    ['no answer', () => new Promise<Response>(() => {})],
  ])('that answers %s is reported once, asked less often, and used again when it works', async (_name, fault) => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    service.inbox.add('missed');
    service.inbox.fault = fault;
    service.inbox.calls.length = 0;
    await wait(12 * 60 * minute);
    expect(service.errors).toHaveLength(1);
    expect(service.errors[0]).toMatch(/^catching up: /);
    expect(service.errors[0]).not.toContain(apiKey);
    // Four attempts a look at most.
    expect(service.inbox.calls.length).toBeLessThan(20 * 4);
    service.inbox.fault = undefined;
    await wait(62 * minute);
    expect(service.ids).toEqual(['missed']);
    service.inbox.fault = fault;
    const failingFrom = Date.now();
    await wait(30 * minute);
    expect(service.errors).toHaveLength(2);
    // The waits begin anew.
    expect(service.inbox.calls.at(-1)).toBeGreaterThan(failingFrom + 5 * minute);
  });

  it('that asks for a pause gets one', async () => {
    const service = setUp();
    service.inbox.fault = json(429, {}, { 'Retry-After': '7200' });
    await wait(minute);
    service.inbox.calls.length = 0;
    await wait(118 * minute);
    expect(service.inbox.calls).toHaveLength(0);
    await wait(5 * minute);
    expect(service.inbox.calls.length).toBeGreaterThan(0);
  });

  it.each(['from the start', 'later on'])('that has no inbox %s is asked once a day', async (when) => {
    const service = setUp({ trustIds: true });
    if (when === 'later on') await wait(5 * minute);
    service.inbox.fault = () => new Response('<html>', { status: 404, headers: { 'Content-Type': 'text/html' } });
    await wait(3 * minute);
    service.inbox.calls.length = 0;
    await wait(23 * 60 * minute);
    expect(service.inbox.calls).toHaveLength(0);
    expect(service.errors).toEqual([expect.stringContaining('in a day')]);
    expect(await service.send('by webhook')).toBe(204);
    await wait(9 * 24 * 60 * minute);
    expect(service.inbox.calls).toHaveLength(9);
    expect(service.errors).toHaveLength(1);
    service.inbox.fault = undefined;
    service.inbox.calls.length = 0;
    while (service.inbox.calls.length === 0) await wait(10 * minute);
    service.inbox.add('missed');
    await wait(3 * minute);
    expect(service.ids).toEqual(['by webhook', 'missed']);
  });

  it('may take a minute, and is not asked again meanwhile', async () => {
    const service = setUp({
      trustIds: true,
      api: {
        async inbox() {
          asked++;
          atOnce = Math.max(atOnce, ++running);
          await new Promise((resolve) => setTimeout(resolve, minute));
          running--;
          return { notifications: service.inbox.rows as never, date: service.inbox.now };
        },
      },
    });
    let [asked, running, atOnce] = [0, 0, 0];
    await wait(2 * minute);
    service.inbox.add('missed');
    await wait(10 * minute);
    expect(service.ids).toEqual(['missed']);
    expect(atOnce).toBe(1);
    expect(asked).toBe(7);
  });

  it('that never answers a client without a timeout is given up', async () => {
    let asked = 0;
    const service = setUp({
      api: {
        inbox: () => {
          asked++;
          return new Promise(() => {});
        },
      },
    });
    await wait(10 * minute);
    expect(service.errors).toEqual([expect.stringContaining('gave no answer')]);
    expect(asked).toBeGreaterThan(1);
  });

  it('is only read, never written to', async () => {
    const service = setUp({ trustIds: true });
    await wait(10 * minute);
    expect(new Set(service.inbox.methods)).toEqual(new Set(['GET']));
  });
});

describe('a store', () => {
  it('that fails is reported once, and nothing is delivered meanwhile', async () => {
    const inner = aStore();
    let isAway = false;
    const store = new Proxy(inner, {
      get:
        (_, name: keyof typeof inner) =>
        (...args: never[]) => {
          if (isAway) throw new Error('away');
          return (inner[name] as (...args: never[]) => unknown)(...args);
        },
    });
    const service = setUp({ trustIds: true, store });
    await wait(1_000);
    service.inbox.add('missed');
    isAway = true;
    await wait(60 * minute);
    expect(service.errors).toEqual([expect.stringContaining('the idempotency store failed')]);
    expect(service.outcomes).toEqual([]);
    isAway = false;
    await wait(62 * minute);
    expect(service.ids).toEqual(['missed']);
  });

  it.each(['delivered', 'release'] as const)('that fails in %s loses and repeats nothing', async (method) => {
    const inner = aStore();
    let failsUntil = 1;
    const calls = {
      claim: inner.claim.bind(inner),
      renew: inner.renew.bind(inner),
      complete: inner.complete.bind(inner),
    };
    const failing = (name: 'delivered' | 'release') => (key: string, token: string, argument: never) => {
      if (name === method && failsUntil-- > 0) throw new Error('away');
      return inner[name](key, token, argument);
    };
    const store = { ...calls, delivered: failing('delivered'), release: failing('release') };
    const service = setUp({ trustIds: true, store });
    service.inbox.rows.push(rowOf('old', service.inbox.now - 100));
    await wait(5 * minute);
    service.inbox.add('missed');
    await wait(10 * minute);
    expect(service.ids).toEqual(['missed']);
  });
});

describe('the label', () => {
  const rows = (service: ReturnType<typeof setUp>) => {
    service.inbox.add('c');
    service.inbox.add('h', { user_context: 'host' });
    service.inbox.add('o', { user_context: 'other' });
    // No text can be made of it.
    service.inbox.add('p', { user_context: { toString: 1, valueOf: 1 } });
  };
  const labels = (service: ReturnType<typeof setUp>) =>
    Object.fromEntries(service.got.map(({ id, delivery }) => [id, delivery.webhook]));
  const make = (given: Parameters<typeof vastWebhook>[0]) => {
    const service = setUp({ trustIds: true });
    const stopped = service.stop();
    const hook = vastWebhook(given, {
      store: service.store,
      sinks: [
        {
          name: 'chat',
          deliver: (event, { delivery }) => void service.got.push({ id: delivery.id, event, delivery }),
        },
      ],
      onError: ({ message }) => service.errors.push(message),
    });
    return { service, hook, stopped };
  };

  it.each([
    ['an object', { client: 'secret-1', host: 'secret-2' }],
    ['a function that was not called yet', () => ({ client: 'secret-1', host: 'secret-2' })],
    ['an object with the words of the guides', { renter: 'secret-1', host: 'secret-2' }],
  ])('is that of the secrets, in %s', async (_name, given) => {
    const { service, hook } = make(given);
    catchUp(hook, { api: vastApi({ apiKey, fetch: service.inbox.fetch as typeof fetch }), trustIds: true });
    await wait(1_000);
    rows(service);
    await wait(3 * minute);
    expect(labels(service)).toEqual({
      c: Object.keys(typeof given === 'function' ? given() : given)[0],
      h: 'host',
      o: undefined,
      p: undefined,
    });
    expect(service.errors).toEqual([]);
  });

  it('must be client, renter or host, because sinks that go by others would miss rows', async () => {
    const { service, hook } = make({ old: 'secret-1', new: 'secret-2' });
    catchUp(hook, { api: vastApi({ apiKey, fetch: service.inbox.fetch as typeof fetch }), trustIds: true });
    await wait(1_000);
    rows(service);
    await wait(10 * minute);
    expect(service.ids).toEqual([]);
    expect(service.errors).toEqual([expect.stringContaining('name them so')]);
  });

  it('is that of the present secrets, not of those before', async () => {
    let given: Record<string, string> = { client: 'secret-1' };
    const { service, hook } = make(() => given);
    const options = { api: vastApi({ apiKey, fetch: service.inbox.fetch as typeof fetch }), trustIds: true };
    const stop = catchUp(hook, options);
    await wait(minute);
    await stop();
    given = { renter: 'secret-1' };
    const sinks = [
      {
        name: 'chat',
        deliver: (event: object, { delivery }: { delivery: Delivery }) =>
          void service.got.push({ id: delivery.id, event, delivery }),
      },
    ];
    catchUp(
      vastWebhook(() => given, { store: service.store, sinks }),
      options,
    );
    rows(service);
    await wait(3 * minute);
    expect(labels(service)).toMatchObject({ c: 'renter' });
  });

  it('is learnt by a forwarder from deliveries, for its next process, too', async () => {
    const service = setUp();
    await service.stop();
    const make = () => {
      const forward = createForwarder({
        store: service.store,
        sinks: [
          {
            name: 'chat',
            deliver: (event, { delivery }) => void service.got.push({ id: delivery.id, event, delivery }),
          },
        ],
      });
      return {
        forward,
        stop: catchUp(forward, { api: vastApi({ apiKey, fetch: service.inbox.fetch as typeof fetch }) }),
      };
    };
    const first = make();
    await wait(1_000);
    service.inbox.add('d');
    const { delivery } = verifyDelivery({
      ...signedDelivery({ ...sampleEvent('outbid'), event_id: 'd' }, secret),
      secret,
    });
    await first.forward({ ...delivery, webhook: 'renter' });
    await wait(minute);
    await first.stop();
    make();
    rows(service);
    await wait(3 * minute);
    expect(labels(service)).toEqual({ d: 'renter', c: 'renter', h: 'host', o: undefined, p: undefined });
  });

  it('waits for a function that fails', async () => {
    let fails = true;
    const { service, hook } = make(() => {
      if (fails) throw new Error('no secret');
      return { client: 'secret-1' };
    });
    catchUp(hook, { api: vastApi({ apiKey, fetch: service.inbox.fetch as typeof fetch }), trustIds: true });
    await wait(3 * minute);
    fails = false;
    await wait(10 * minute);
    service.inbox.add('c');
    await wait(20 * minute);
    expect(labels(service)).toEqual({ c: 'client' });
    expect(service.errors).toHaveLength(1);
  });
});

describe('the end', () => {
  it('waits for what is under way', async () => {
    let settle = () => {};
    const settled = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const service = setUp({ trustIds: true, webhook: { sinks: [{ name: 'slow', deliver: () => settled }] } });
    await wait(1_000);
    service.inbox.add('missed');
    await wait(2 * minute);
    let isOver = false;
    service.stop().then(() => {
      isOver = true;
    });
    await wait(2 * minute);
    expect(isOver).toBe(false);
    settle();
    await wait(0);
    expect(isOver).toBe(true);
  });

  it('by close() starts nothing more, and waits for the call that it ends', async () => {
    const service = setUp({ trustIds: true });
    await wait(1_000);
    service.inbox.fault = () => new Promise<Response>(() => {});
    service.inbox.add('missed');
    await wait(minute);
    let isOver = false;
    service.hook.close().then(() => {
      isOver = true;
    });
    await wait(1_000);
    expect(isOver).toBe(true);
    service.inbox.calls.length = 0;
    await wait(60 * minute);
    expect(service.inbox.calls).toEqual([]);
    expect(service.errors).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('delivers nothing that a slow store lets it see afterwards', async () => {
    const store = aStore();
    const claim = store.claim.bind(store);
    vi.spyOn(store, 'claim').mockImplementation(async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return claim(...args);
    });
    const service = setUp({ trustIds: true, store });
    await wait(2_000);
    service.inbox.add('missed');
    await wait(2 * minute - 500);
    expect(service.ids).toEqual([]);
    const calls = service.inbox.calls.length;
    while (service.inbox.calls.length === calls) await wait(100);
    const stopped = service.stop();
    await wait(3_000);
    await stopped;
    expect(service.ids).toEqual([]);
  });

  it('allows another beginning', async () => {
    const service = setUp();
    expect(() => catchUp(service.hook, { api })).toThrow('is caught up already');
    await service.stop();
    await catchUp(service.hook, { api: { inbox: async () => ({ notifications: [], date: 1 }) } })();
    await service.hook.close();
    await catchUp(service.hook, { api })();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a TypeError', () => {
  const sinks = [{ name: 'chat', deliver() {} }];
  it.each([
    ['no hook', () => catchUp({} as never, { api }), 'the hook must be'],
    ['a function', () => catchUp((() => {}) as never, { api }), 'the hook must be'],
    [
      'another provider',
      () => catchUp(v0Webhook('a-token-of-some-length', { sinks: sinks as never, store: aStore() }), { api }),
      'the hook must be',
    ],
    ['no sinks', () => catchUp(vastWebhook(secret, { store: aStore() }), { api }), 'sinks and no handoff'],
    [
      'handoff',
      () => catchUp(vastWebhook(secret, { sinks, handoff: true, store: aStore() }), { api }),
      'sinks and no handoff',
    ],
    [
      'a forwarder without sinks',
      () => catchUp(createForwarder({ sinks: [], store: aStore() }), { api }),
      'sinks and no handoff',
    ],
    ['memoryStore', () => catchUp(vastWebhook(secret, { sinks, store: memoryStore() }), { api }), 'survives a restart'],
    ['the default store', () => catchUp(createForwarder({ sinks }), { api }), 'survives a restart'],
    ['no api', () => catchUp(vastWebhook(secret, { sinks, store: aStore() }), {} as never), 'api must be a client'],
    [
      'no inbox',
      () => catchUp(vastWebhook(secret, { sinks, store: aStore() }), { api: {} as never }),
      'api must be a client',
    ],
    ['an odd time', () => catchUp(vastWebhook(secret, { sinks, store: aStore() }), { api, everyMs: 0 }), 'everyMs'],
    [
      'an unknown option',
      () => catchUp(vastWebhook(secret, { sinks, store: aStore() }), { api, every: 1 } as never),
      'unknown option "every"',
    ],
  ])('names %s', (_name, call, message) => {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
  });
});
