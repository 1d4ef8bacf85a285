import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type VastApi, vastApi } from '../../src/api/index.js';
import { detailsOf } from '../../src/index.js';
import { type Failure, failures } from '../support/management-stand-in.js';
import { startVastMarket } from '../support/vast-market.js';
import { errorOf, started } from './set-up.js';

const { waits } = vi.hoisted(() => ({ waits: [] as number[] }));
vi.mock(import('../../src/api/retry.js'), async (original) => ({
  ...(await original()),
  async pause(ms) {
    waits.push(ms);
  },
}));
beforeEach(() => void waits.splice(0));

const id = 48927380;

async function setUp() {
  const standIn = await started(startVastMarket());
  standIn.market.rent(id, 46110, 0.031);
  return { standIn, market: standIn.market, api: vastApi({ apiKey: standIn.apiKey, baseUrl: `${standIn.url}/v0` }) };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe('instance', () => {
  it('returns the instance, with fields that no type names', async () => {
    const { standIn, market, api } = await setUp();
    market.rent(7, 1, 0.5, { brand_new: [1] });
    expect(await api.instance(id)).toEqual(market.show(id));
    expect((await api.instance(7)).brand_new).toEqual([1]);
    expect(standIn.calls).toEqual([`GET /v0/instances/${id}/`, 'GET /v0/instances/7/']);
  });

  it('rejects without one, by 404 or by null', async () => {
    const { standIn, api } = await setUp();
    expect(await errorOf(api.instance(8))).toMatchObject({ status: 404, code: 'no_such_instance', inDoubt: false });
    standIn.failNext(failures.json(200, { instances: null }));
    expect(await errorOf(api.instance(id))).toMatchObject({ status: 200, code: 'no_such_instance', inDoubt: false });
  });

  it.each([{}, { instances: [] }, { instances: {} }, { instances: { id: '7' } }])(
    'takes no %j for one',
    async (body) => {
      const { standIn, api } = await setUp();
      standIn.failNext(failures.json(200, body));
      expect(await errorOf(api.instance(id))).toMatchObject({ code: 'invalid_answer' });
    },
  );
});

describe('instances', () => {
  it.each([0, 1, 25, 26, 60])('lists %i over pages of 25', async (count) => {
    const { standIn, market, api } = await setUp();
    market.instances.clear();
    const ids = Array.from({ length: count }, (_, n) => n + 1);
    for (const each of ids) market.rent(each, each, 0.1);
    expect((await all(api.instances())).map((instance) => instance.id)).toEqual(ids);
    expect(standIn.calls).toHaveLength(Math.max(1, Math.ceil(count / 25)));
    expect(standIn.calls[0]).toBe('GET /v1/instances/?limit=25');
    if (count > 25) expect(standIn.calls[1]).toBe('GET /v1/instances/?limit=25&after_token=id%3A25%2F%3D');
    expect(standIn.violations).toEqual([]);
  });

  it('asks for no page that is not read', async () => {
    const { standIn, market, api } = await setUp();
    for (let n = 1; n < 60; n++) market.rent(n, n, 0.1);
    for await (const instance of api.instances()) if (instance.id === 3) break;
    expect(standIn.calls).toHaveLength(1);
  });

  it.each<[string, readonly string[], number]>([
    ['at once', ['a', 'a'], 2],
    ['after others', ['a', 'b', 'a'], 3],
  ])('ends at a token that repeats %s', async (_, tokens, calls) => {
    const { standIn, api } = await setUp();
    for (const next_token of tokens) standIn.failNext(failures.json(200, { instances: [{ id: 1 }], next_token }));
    expect(await all(api.instances())).toHaveLength(calls);
    expect(standIn.calls).toHaveLength(calls);
  });

  it('ends at an empty page, although it has a token', async () => {
    const { standIn, api } = await setUp();
    standIn.failNext(failures.json(200, { instances: [], next_token: 'x' }));
    expect(await all(api.instances())).toEqual([]);
  });

  it.each([null, '', 7, {}, undefined])('ends at the token %j', async (next_token) => {
    const { standIn, api } = await setUp();
    standIn.failNext(failures.json(200, { instances: [{ id: 1 }, null, 7, { id: 'x' }], next_token }));
    expect(await all(api.instances())).toEqual([{ id: 1 }]);
  });

  it('rejects where a page cannot be had, after what it has listed', async () => {
    const { standIn, api } = await setUp();
    standIn.failNext(failures.json(200, { instances: [{ id: 1 }], next_token: 'x' }));
    standIn.failNext(failures.json(500, {}));
    const seen: number[] = [];
    const loop = async () => {
      for await (const instance of api.instances()) seen.push(instance.id);
    };
    expect(await errorOf(loop())).toMatchObject({ status: 500 });
    expect(seen).toEqual([1]);
  });
});

describe('calls that change an instance', () => {
  it('set the bid, start and stop', async () => {
    const { standIn, market, api } = await setUp();
    await api.setBid(id, 0.07);
    await api.stopInstance(id);
    await api.startInstance(id);
    expect(market.bids).toEqual([{ id, price: 0.07, before: 0.031 }]);
    expect([market.stops, market.starts]).toEqual([[id], [id]]);
    expect(standIn.requests.map(({ method, path, body }) => [method, path, JSON.parse(body)])).toEqual([
      ['PUT', `/api/v0/instances/bid_price/${id}/`, { client_id: 'me', price: 0.07 }],
      ['PUT', `/api/v0/instances/${id}/`, { state: 'stopped' }],
      ['PUT', `/api/v0/instances/${id}/`, { state: 'running' }],
    ]);
  });

  it.each([0.001, 32])('take a price of %d', async (price) => {
    const { market, api } = await setUp();
    await api.setBid(id, price);
    expect(market.bids.at(-1)?.price).toBe(price);
  });

  it.each([0, 0.000_999, 32.000_1, -1, Number.NaN, Infinity, '0.1', undefined, null])(
    'refuse a price of %s before the call',
    async (price) => {
      const { standIn, api } = await setUp();
      await expect(api.setBid(id, price as number)).rejects.toThrow(/^setBid: price must be 0\.001 to 32/);
      expect(standIn.requests).toEqual([]);
    },
  );

  const changes: Record<string, (api: VastApi) => Promise<void>> = {
    setBid: (api) => api.setBid(id, 0.07),
    startInstance: (api) => api.startInstance(id),
    stopInstance: (api) => api.stopInstance(id),
  };

  describe.each(Object.entries(changes))('%s', (name, call) => {
    it.each([0, -1, 1.5, '7', undefined])('refuses the id %j', async (other) => {
      const { standIn, api } = await setUp();
      const calls = {
        setBid: () => api.setBid(other as never, 1),
        startInstance: () => api.startInstance(other as never),
      };
      const refused = name === 'setBid' ? calls.setBid() : calls.startInstance();
      await expect(refused).rejects.toThrow(TypeError);
      await expect(api.instance(other as never)).rejects.toThrow(/^instance: id/);
      expect(standIn.requests).toEqual([]);
    });

    it.each<[string, Failure]>([
      ['in plain text', failures.tooFrequent],
      ['with a detail', failures.tooFrequentDetail],
    ])('is sent again after a 429 %s, because it was refused', async (_, failure) => {
      const { standIn, api } = await setUp();
      standIn.failNext(failure, 2);
      await call(api);
      expect(standIn.requests).toHaveLength(3);
      expect(waits).toHaveLength(2);
    });

    it.each<[string, Failure]>([
      ['500', failures.json(500, {})],
      ['502', failures.html(502)],
      ['503', failures.text(503, 'busy')],
      ['504', failures.json(504, {})],
      ['a closed connection', failures.disconnect],
      ['a broken answer', failures.breakOff],
      ['an HTML page', failures.html(200)],
    ])('is sent once before %s, and in doubt', async (_, failure) => {
      const { standIn, api } = await setUp();
      standIn.failNext(failure);
      expect(await errorOf(call(api))).toMatchObject({ inDoubt: true });
      expect([standIn.requests.length, waits]).toEqual([1, []]);
    });

    it('is in doubt after a timeout that follows a 429', async () => {
      const { standIn } = await setUp();
      const api = vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url, timeoutMs: 200 });
      standIn.failNext(failures.tooFrequent);
      standIn.failNext(failures.hang);
      expect(await errorOf(call(api))).toMatchObject({ code: 'timeout', inDoubt: true });
      expect(standIn.requests).toHaveLength(2);
    });

    it.each([400, 401, 403, 404])('is certainly not done before %i', async (status) => {
      const { standIn, api } = await setUp();
      standIn.failNext(failures.json(status, { success: false, error: 'no' }));
      expect(await errorOf(call(api))).toMatchObject({ status, inDoubt: false });
      expect(standIn.requests).toHaveLength(1);
    });

    it('is certainly not done where the service is not there', async () => {
      const { standIn, api } = await setUp();
      await standIn.close();
      expect(await errorOf(call(api))).toMatchObject({ code: 'unreachable', inDoubt: false });
    });
  });
});

describe('inbox', () => {
  const row = (event_id: string, fields: object = {}) => ({
    event_id,
    notif_type: 'outbid',
    subject: 'Your Interruptible Instance #48927380 Has Been Outbid',
    message: '',
    created_at: 1_787_855_818.03,
    user_context: 'client',
    associated_id: { instance_id: id, machine_id: 46110, your_bid: 0.031, new_min_bid: 0.0625 },
    ...fields,
  });

  it('returns the rows, the other fields and the time of the service', async () => {
    const { standIn, api } = await setUp();
    standIn.inbox.push(row('a', { brand_new: 1 }), row('b'));
    const inbox = await api.inbox();
    expect(inbox).toMatchObject({ notifications: standIn.inbox, last_seen_at: null, unread_count: 0 });
    expect(Math.abs((inbox.date ?? 0) - Date.now() / 1000)).toBeLessThan(600);
    expect(standIn.calls).toEqual(['GET /v0/notifications/inbox/']);
    expect(inbox.notifications.map(detailsOf)[0]).toEqual({
      instanceId: id,
      machineId: 46110,
      bid: 0.031,
      minBid: 0.0625,
    });
  });

  it('leaves an odd row out, and no other', async () => {
    const { standIn, api } = await setUp();
    const odd = [null, 7, 'x', [], {}, row(''), row(7 as never), row('x', { created_at: 'now' }), { event_id: 'y' }];
    standIn.inbox.push(row('a'), ...odd, row('b', { subject: 7, associated_id: null }));
    const { notifications, omitted } = await api.inbox();
    expect(notifications.map(({ event_id }) => event_id)).toEqual(['a', 'b']);
    expect(omitted).toBe(odd.length);
  });

  it.each([{}, { notifications: {} }, { notifications: null }])('takes no %j for one', async (body) => {
    const { standIn, api } = await setUp();
    standIn.failNext(failures.json(200, body));
    expect(await errorOf(api.inbox())).toMatchObject({ code: 'invalid_answer' });
  });

  it('may be gone', async () => {
    const { standIn, api } = await setUp();
    standIn.failNext(failures.html(404));
    expect(await errorOf(api.inbox())).toMatchObject({ status: 404, code: 'http_404' });
  });
});

describe('a base URL', () => {
  it.each([
    ['/api/v0', '/api/v0/instances/7/', '/api/v1/instances/'],
    ['/api/v0/', '/api/v0/instances/7/', '/api/v1/instances/'],
    ['/proxy/v2', '/proxy/v2/instances/7/', '/proxy/v1/instances/'],
    ['/api', '/api/v0/instances/7/', '/api/v1/instances/'],
    ['/api/', '/api/v0/instances/7/', '/api/v1/instances/'],
    ['', '/v0/instances/7/', '/v1/instances/'],
    ['/v0/vast', '/v0/vast/v0/instances/7/', '/v0/vast/v1/instances/'],
    ['/apiv0', '/apiv0/v0/instances/7/', '/apiv0/v1/instances/'],
  ])('with the path %j gives both versions', async (path, v0, v1) => {
    for (const host of ['https://proxy.example', 'https://v1']) {
      const urls: string[] = [];
      const api = vastApi({
        apiKey: 'key',
        baseUrl: host + path,
        async fetch(url) {
          urls.push(String(url));
          return Response.json({ instances: String(url).includes('limit') ? [] : { id: 7 } });
        },
      });
      await api.instance(7);
      await all(api.instances());
      expect(urls).toEqual([host + v0, `${host}${v1}?limit=25`]);
    }
  });
});
