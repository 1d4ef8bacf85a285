import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { createClient, RESP_TYPES } from 'redis';
import { createClient as createClient5 } from 'redis5';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { IdempotencyStore } from '../../src/contracts/store.js';
import { type IoRedis, redisStore } from '../../src/stores/index.js';
import { describeWithPrivateRedis, describeWithRedis, redisUrl, uniqueName } from '../support/backends.js';
import { type PrivateServer, type RedisOptions, startRedis } from '../support/servers.mjs';
import { conformsInOneProcess } from './conforms.js';
import {
  connectRedis,
  make,
  ofIoRedis,
  ofNodeRedis,
  type RedisClient,
  type RedisHandle,
  redisClients,
} from './factories/redis.js';

const minute = 60_000;
const day = 24 * 60 * minute;
const acquired = { state: 'acquired', delivered: [] };
const completed = { state: 'completed' };
const inFlight = { state: 'in_flight', retryAfterMs: expect.any(Number) };

describeWithRedis.each(redisClients)('redisStore on %s', (client) => {
  conformsInOneProcess(make, () => ({ client, url: redisUrl(), prefix: `${uniqueName()}:` }));
});

describeWithPrivateRedis('redisStore on a cluster', () => {
  let server: PrivateServer;
  beforeAll(async () => {
    server = await startRedis({ cluster: true });
  });
  afterAll(() => server?.close());

  describe.each(redisClients)('with %s', (client) => {
    const prefix = `${uniqueName()}:`;
    conformsInOneProcess(make, () => ({ client, url: server.url, isCluster: true, prefix }));
  });
});

describeWithRedis('a key of redisStore', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(redisUrl());
  });
  afterAll(() => redis?.disconnect());

  const setUp = () => {
    const prefix = `${uniqueName()}:`;
    return { prefix, store: redisStore(redis, { prefix }) };
  };
  const remaining = async (key: string) => Number(await redis.pttl(key));
  /** That the key goes by itself after `ms`, and was given as much at most this long ago. */
  const expectToLast = async (key: string, ms: number) => {
    expect(await remaining(key)).toBeLessThanOrEqual(ms);
    expect(await remaining(key)).toBeGreaterThan(ms - minute / 2);
  };

  it('begins with the prefix, and is shared with no store of another', async () => {
    const { prefix, store } = setUp();
    const another = redisStore(redis, { prefix: `${prefix}another:` });
    expect(await store.claim('k', 'a', minute)).toEqual(acquired);
    expect(await another.claim('k', 'b', minute)).toEqual(acquired);
    expect((await redis.keys(`${prefix}*`)).sort()).toEqual([`${prefix}another:k`, `${prefix}k`]);
  });

  it('begins with vast-webhook: by default', async () => {
    const key = uniqueName();
    const store = redisStore(redis);
    await store.claim(key, 'a', minute);
    expect(await redis.exists(`vast-webhook:${key}`)).toBe(1);
    await store.release(key, 'a', minute);
    expect(await redis.exists(`vast-webhook:${key}`)).toBe(0);
  });

  it('may begin with anything', async () => {
    const prefix = `${uniqueName()} {"☃'\\n}`;
    const store = redisStore(redis, { prefix });
    await store.claim('k', 'a', minute);
    expect(await store.complete('k', 'a', minute)).toBe(true);
    expect(await redis.exists(`${prefix}k`)).toBe(1);
  });

  it('always has a time to live: the lease and a day, and after settling the given time', async () => {
    const { prefix, store } = setUp();
    const key = `${prefix}k`;
    await store.claim('k', 'a', minute);
    await expectToLast(key, day + minute);
    await store.renew('k', 'a', 3 * minute);
    await expectToLast(key, day + 3 * minute);
    await store.delivered('k', 'a', 'slack');
    await expectToLast(key, day + 3 * minute);
    await store.release('k', 'a', 7 * day);
    await expectToLast(key, 7 * day);
    await store.claim('k', 'b', minute);
    await expectToLast(key, day + minute);
    await store.complete('k', 'b', 8 * day);
    await expectToLast(key, 8 * day);
  });

  it('is deleted when an event is released that was delivered to no sink', async () => {
    const { prefix, store } = setUp();
    await store.claim('k', 'a', minute);
    await store.release('k', 'a', minute);
    expect(await remaining(`${prefix}k`)).toBe(-2);
  });

  it.each(['', 'running', 'cat', 'hat', 'h5', '1', '{}'])('is left alone when it holds the text %j', async (text) => {
    const { prefix, store } = setUp();
    await redis.set(`${prefix}k`, text, 'PX', minute);
    await expect(store.claim('k', 'a', minute)).rejects.toThrow(
      'the key of the event has a value that this store did not write: choose another prefix',
    );
    for (const settle of ['renew', 'complete', 'release'] as const) {
      expect(await store[settle]('k', 'a', minute)).toBe(false);
    }
    expect(await redis.get(`${prefix}k`)).toBe(text);
  });

  it('is not changed when its value is no text', async () => {
    const { prefix, store } = setUp();
    await redis.lpush(`${prefix}k`, 'job');
    await redis.pexpire(`${prefix}k`, minute);
    await expect(store.claim('k', 'a', minute)).rejects.toThrow('WRONGTYPE');
    expect(await redis.lrange(`${prefix}k`, 0, -1)).toEqual(['job']);
  });

  it('is won exactly once by 64 claims at once, of whatever clients', async () => {
    const prefix = `${uniqueName()}:`;
    const stores = redisClients.map((client) => redisStore(connected(client, redisUrl()).client, { prefix }));
    const claims = Array.from({ length: 64 }, (_, i) => (stores[i % 4] as IdempotencyStore).claim('k', `${i}`, minute));
    const answers = await Promise.all(claims);
    expect(answers.filter(({ state }) => state === 'acquired')).toHaveLength(1);
    expect(answers.filter(({ state }) => state === 'in_flight')).toHaveLength(63);
  });
});

describeWithRedis('the client of redisStore', () => {
  /** All that replies are read for. */
  async function expectToWork(client: IoRedis | Parameters<typeof redisStore>[0]): Promise<void> {
    const store = redisStore(client, { prefix: `${uniqueName()}:` });
    expect(await store.claim('k', 'a', minute)).toEqual(acquired);
    expect(await store.claim('k', 'b', minute)).toEqual(inFlight);
    expect(await store.renew('k', 'a', minute)).toBe(true);
    expect(await store.delivered('k', 'a', 'Bücher ☃')).toBe(true);
    expect(await store.complete('k', 'b', minute)).toBe(false);
    expect(await store.release('k', 'a', minute)).toBe(true);
    expect(await store.claim('k', 'b', minute)).toEqual({ state: 'acquired', delivered: ['Bücher ☃'] });
    expect(await store.complete('k', 'b', minute)).toBe(true);
    expect(await store.claim('k', 'c', minute)).toEqual(completed);
  }

  const buffers = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.NUMBER]: String };

  it('may be node-redis 5 that returns buffers for text and text for numbers', async () => {
    const client = createClient5({ url: redisUrl(), commandOptions: { typeMapping: buffers } });
    await expectToWork(opened(ofNodeRedis(client)).client);
  });

  it('may be node-redis 6 that returns buffers for text and text for numbers', async () => {
    const client = createClient({ url: redisUrl(), commandOptions: { typeMapping: buffers } });
    await expectToWork(opened(ofNodeRedis(client)).client);
  });

  it.each([2, 3] as const)('may be node-redis that speaks RESP%i', async (RESP) => {
    await expectToWork(opened(ofNodeRedis(createClient({ url: redisUrl(), RESP }))).client);
  });

  it('may be a pool of node-redis', async () => {
    const pool = createClient({ url: redisUrl() }).on('error', () => {});
    const clients = pool.createPool();
    await clients.connect();
    onTestFinished(() => clients.destroy());
    await expectToWork(clients);
  });

  it('may be ioredis 5 that returns text for numbers', async () => {
    await expectToWork(opened(ofIoRedis(new Redis5(redisUrl(), { stringNumbers: true }))).client);
  });

  it('may be ioredis 6 that returns text for numbers', async () => {
    await expectToWork(opened(ofIoRedis(new Redis(redisUrl(), { stringNumbers: true }))).client);
  });

  it('may be ioredis with a key prefix of its own, which comes first', async () => {
    const keyPrefix = `${uniqueName()}/`;
    const client = opened(ofIoRedis(new Redis(redisUrl(), { keyPrefix }))).client;
    expect(await redisStore(client, { prefix: 'events:' }).claim('k', 'a', minute)).toEqual(acquired);
    const plain = new Redis(redisUrl());
    onTestFinished(() => plain.disconnect());
    expect(await plain.exists(`${keyPrefix}events:k`)).toBe(1);
    await expectToWork(client);
  });

  it('may be ioredis that pipelines by itself', async () => {
    await expectToWork(opened(ofIoRedis(new Redis(redisUrl(), { enableAutoPipelining: true }))).client);
  });

  it.each([undefined, null, {}, 'redis://127.0.0.1', { eval() {} }])('cannot be %j: a TypeError', (client) => {
    expect(() => redisStore(client as unknown as IoRedis)).toThrow(
      new TypeError('redisStore: client must be a client or cluster of ioredis or node-redis'),
    );
  });

  it('cannot have a prefix that is no text: a TypeError', () => {
    const client = connected('ioredis 6', redisUrl()).client;
    expect(() => redisStore(client, { prefix: 5 as unknown as string })).toThrow(
      new TypeError('redisStore: the option prefix must be a string'),
    );
  });
});

describeWithPrivateRedis.each(redisClients)('the scripts of redisStore on %s', (client) => {
  it('are sent once, and again when Redis has forgotten them', async () => {
    const server = await aRedis();
    const admin = adminOf(server);
    const store = redisStore(connected(client, server.url).client);
    const useAll = async (key: string) => {
      expect(await store.claim(key, 'a', minute)).toEqual(acquired);
      expect(await store.renew(key, 'a', minute)).toBe(true);
      expect(await store.delivered(key, 'a', 'slack')).toBe(true);
      expect(await store.release(key, 'a', minute)).toBe(true);
      expect(await store.claim(key, 'b', minute)).toEqual({ state: 'acquired', delivered: ['slack'] });
      expect(await store.complete(key, 'b', minute)).toBe(true);
    };
    /** Of five scripts in six calls. */
    const timesSent = async () => {
      const sent = await callsOf(admin, 'eval');
      await admin.config('RESETSTAT');
      return sent;
    };

    for (let i = 0; i < 10; i++) await useAll(`before ${i}`);
    expect(await callsOf(admin, 'evalsha')).toBe(60);
    expect(await timesSent()).toBe(5);

    await admin.script('FLUSH');
    for (let i = 0; i < 10; i++) await useAll(`after a flush ${i}`);
    expect(await callsOf(admin, 'evalsha')).toBe(60);
    expect(await timesSent()).toBe(5);

    await server.stop();
    await server.start();
    await vi.waitFor(async () => store.claim('after a restart', 'a', 1));
    for (let i = 0; i < 10; i++) await useAll(`after a restart ${i}`);
    expect(await timesSent()).toBe(5);
  });

  it('are sent again by all claims that find them missing at the same time, and one claim wins', async () => {
    const server = await aRedis();
    const store = redisStore(connected(client, server.url).client);
    const claims = Array.from({ length: 64 }, (_, i) => store.claim('k', `${i}`, minute));
    expect((await Promise.all(claims)).filter(({ state }) => state === 'acquired')).toHaveLength(1);
  });
});

/** Closed when the test is over. */
function opened(handle: RedisHandle): RedisHandle {
  onTestFinished(() => handle.close());
  return handle;
}

function connected(client: RedisClient, url: string): RedisHandle {
  return opened(connectRedis(client, url));
}

async function aRedis(options?: RedisOptions): Promise<PrivateServer> {
  const server = await startRedis(options);
  onTestFinished(() => server.close());
  return server;
}

function adminOf({ url }: PrivateServer): Redis {
  const admin = new Redis(url).on('error', () => {});
  onTestFinished(() => admin.disconnect());
  return admin;
}

async function callsOf(admin: Redis, command: string): Promise<number> {
  const stats = await admin.info('commandstats');
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0);
}
