import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPostgresBackend, type Job, Queue, Worker, type WorkerOptions, withBackend } from 'bullmq';
import express from 'express';
import pg from 'pg';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  createForwarder,
  type Delivery,
  type ForwarderOptions,
  type Outcome,
  SinkError,
  sign,
  type VastEvent,
  vastWebhook,
  verifyDelivery,
} from '../../src/index.js';
import { type BullMqOptions, bullmq, digest } from '../../src/sinks/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import {
  databaseUrl,
  describeWithPostgres,
  describeWithPrivatePostgres,
  describeWithPrivateRedis,
  describeWithRedis,
  redisUrl,
  uniqueName,
} from '../support/backends.js';
import { startPostgres, startRedis } from '../support/servers.mjs';

const secret = 'synthetic-webhook-secret';
const { signal } = new AbortController();
const week = 7 * 24 * 60 * 60;

interface QueueSettings {
  readonly connection?: object;
  readonly defaultJobOptions?: object;
}

/** The databases of BullMQ's queues. Its classes have the same methods on both. */
interface Backend {
  queue(name: string, settings: QueueSettings): Queue;
  worker(name: string, work: (job: Job) => Promise<void>, settings: Partial<WorkerOptions>): Worker;
}

function redisBackend(url: string): Backend {
  const connection = { url, retryStrategy: () => 100 };
  return {
    queue: (name, { connection: own, ...settings }) =>
      new Queue(name, { connection: { ...connection, ...own }, ...settings }),
    worker: (name, work, settings) => new Worker(name, work, { connection, ...settings }),
  };
}

const schema = uniqueName();

function postgresBackend(url: string): Backend {
  // The options of a borrowed server's URL would win over the schema.
  const connectionString = url.replace(/\?.*/, '');
  const connection = { connectionString, schema, migrate: true, connectionTimeoutMillis: 2_000 };
  const onPostgres = withBackend(createPostgresBackend);
  return {
    queue: (name, settings) => new onPostgres.Queue(name, { ...settings, connection }) as unknown as Queue,
    worker: (name, work, settings) =>
      new onPostgres.Worker(name, work, { ...settings, connection }) as unknown as Worker,
  };
}

describeWithRedis('bullmq(queue) on Redis', () => itIsAQueue(() => redisBackend(redisUrl())));

describeWithPostgres('bullmq(queue) on Postgres', () => {
  itIsAQueue(() => postgresBackend(databaseUrl()));

  afterAll(async () => {
    const client = new pg.Client(databaseUrl());
    await client.connect();
    await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    await client.end();
  });
});

function itIsAQueue(backendOf: () => Backend): void {
  const aQueue = (settings: QueueSettings = {}) => openQueue(backendOf(), settings);
  const work = (queue: Queue, options: ForwarderOptions, settings: Partial<WorkerOptions> = {}) =>
    startWorker(backendOf(), queue, options, settings);

  describe('as a sink', () => {
    it('is named after the queue, unless it is given a name', () => {
      const queue = aQueue();
      expect(bullmq(queue).name).toBe(`bullmq:${queue.name}`);
      expect(bullmq(queue, { name: 'chats' }).name).toBe('chats');
      expect(() => bullmq(queue, { name: '' })).toThrow(TypeError);
    });

    it('makes a job of an event, named after its type, with the delivery as data', async () => {
      const queue = aQueue();
      const { event, delivery } = aDelivery();
      await add(queue, event, delivery);
      const job = await onlyJob(queue);
      expect(job.name).toBe(event.notif_type);
      expect(job.data).toEqual({
        provider: 'vast',
        source: 'webhook',
        verified: true,
        id: delivery.id,
        type: event.notif_type,
        attempt: 1,
        timestamp: delivery.timestamp,
        receivedAt: delivery.receivedAt,
        rawBody: delivery.rawBody.toString('base64'),
      });
    });

    it('has an id that BullMQ accepts, whatever the event id is', async () => {
      const queue = aQueue();
      for (const id of ['123', '0', 'a:b', '0:1', 'ü"\\ \u2028', 'x'.repeat(255), '../..', '{a}']) {
        const { event, delivery } = aDelivery({ event_id: id });
        expect(delivery.id).toBe(id);
        await add(queue, event, delivery);
      }
      const jobs = await queue.getJobs();
      expect(jobs).toHaveLength(8);
      for (const { id } of jobs) expect(id).toMatch(/^[0-9a-f]{64}$/);
    });

    it.each([
      ['none', undefined],
      ['no text', 7],
      ['empty', ''],
      ['with a NUL', 'a\0b'],
      ['half a surrogate pair', '\ud800'],
      ['long', 'x'.repeat(50_000)],
    ])('takes an event of an odd type: %s', async (_, type) => {
      const queue = aQueue();
      const { event, delivery } = aDelivery({ notif_type: type });
      await add(queue, event, delivery);
      const deliver = vi.fn();
      work(queue, { sinks: [{ name: 'chat', deliver }] });
      await expect.poll(() => deliver.mock.calls.length).toBe(1);
      expect(deliver.mock.calls[0]?.[0]).toEqual(event);
    });

    it('tries 19 times over days, and keeps completed jobs for a week', async () => {
      const queue = aQueue();
      await addNew(queue);
      expect((await onlyJob(queue)).opts).toMatchObject({
        attempts: 19,
        backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
        removeOnComplete: { age: week },
      });
    });

    it("leaves the queue's own options alone, one by one", async () => {
      const queue = aQueue({ defaultJobOptions: { attempts: 3, removeOnFail: { count: 5 } } });
      await addNew(queue);
      expect((await onlyJob(queue)).opts).toMatchObject({
        attempts: 3,
        backoff: { type: 'exponential', delay: 1_000 },
        removeOnComplete: { age: week },
        removeOnFail: { count: 5 },
      });
    });
  });

  it('makes a worker buffer as many events for a digest as its concurrency', async () => {
    const queue = aQueue();
    for (let n = 0; n < 20; n++) await addNew(queue);
    const subjects: string[] = [];
    const slack = { name: 'slack', deliver: ({ subject }: VastEvent) => void subjects.push(subject) };
    work(queue, { sinks: [digest({ everyMs: 5_000 }, slack)] }, { concurrency: 20 });
    await expect.poll(() => queue.getCompletedCount()).toBe(20);
    expect(subjects).toEqual([expect.stringMatching(/^20 notifications: /)]);
  });

  describe('an event that is added again', () => {
    it('makes one job, with the data of the first; another event makes another', async () => {
      const queue = aQueue();
      const { event, delivery } = aDelivery();
      await add(queue, event, delivery);
      await add(queue, event, { ...delivery, attempt: 2 });
      expect((await onlyJob(queue)).data).toMatchObject({ attempt: 1 });
      await addNew(queue);
      expect(await queue.getJobs()).toHaveLength(2);
    });

    it('makes one job also when it is added by many at once', async () => {
      const name = uniqueName();
      const queues = [aQueue(), aQueue()].map(() => openQueue(backendOf(), {}, name));
      const { event, delivery } = aDelivery();
      await Promise.all(Array.from({ length: 40 }, (_, i) => add(queues[i % 2] as Queue, event, delivery)));
      await onlyJob(queues[0] as Queue);
    });

    it('is not delivered again while the job is kept as completed', async () => {
      const queue = aQueue();
      const { event, delivery } = aDelivery();
      const deliver = vi.fn();
      // With a store that forgets, so that it is the queue that knows.
      work(queue, { sinks: [{ name: 'chat', deliver }], completedTtlMs: 1 });
      await add(queue, event, delivery);
      await becomes(queue, 'completed');
      await add(queue, event, delivery);
      await addNew(queue);
      await expect.poll(() => queue.getCompletedCount()).toBe(2);
      expect(deliver).toHaveBeenCalledTimes(2);
      expect(await queue.getJobs()).toHaveLength(2);
    });

    it('is swallowed while the job is kept as failed; that one can be retried', async () => {
      const queue = aQueue();
      const { event, delivery } = aDelivery();
      const deliver = vi.fn().mockRejectedValueOnce(new SinkError('no_service', { permanent: true }));
      work(queue, { sinks: [{ name: 'chat', deliver }] });
      await add(queue, event, delivery);
      await becomes(queue, 'failed');
      await add(queue, event, delivery);
      expect(await queue.getJobCounts('failed', 'waiting', 'delayed')).toEqual({ failed: 1, waiting: 0, delayed: 0 });

      await queue.retryJobs({ state: 'failed' });
      await becomes(queue, 'completed');
      expect(deliver).toHaveBeenCalledTimes(2);
    });
  });

  describe('a worker with createForwarder', () => {
    it('delivers the event and the delivery unchanged to the sinks', async () => {
      const queue = aQueue();
      const body = Buffer.concat([
        Buffer.from('\ufeff{"event_id":"e1","notif_type":"outbid","subject":"\u2028 é '),
        Buffer.from([0xff, 0xfe]),
        Buffer.from(' \\ud83d\\ude00","message":"5 > 4","timestamp":1,"user_id":12345678901234567890}'),
      ]);
      const { event, delivery } = verifyBytes(body);
      const deliver = vi.fn();
      work(queue, { sinks: [{ name: 'chat', deliver }] });
      await add(queue, event, delivery);
      await becomes(queue, 'completed');
      expect(deliver).toHaveBeenCalledTimes(1);
      const [received, context] = deliver.mock.calls[0] as [VastEvent, { delivery: Delivery }];
      expect(received).toEqual(event);
      expect(context.delivery).toEqual(delivery);
      expect(context.delivery.rawBody.equals(body)).toBe(true);
    });

    it('gives a job up at its first attempt when the sink fails for good', async () => {
      const queue = aQueue();
      const deliver = vi.fn(() => Promise.reject(new SinkError('no_service', { status: 404, permanent: true })));
      work(queue, { sinks: [{ name: 'chat', deliver }] });
      await addNew(queue);
      await becomes(queue, 'failed');
      expect(await onlyJob(queue)).toMatchObject({ attemptsMade: 1, failedReason: 'chat: no_service' });
      expect(deliver).toHaveBeenCalledTimes(1);
    });

    it('tries again after a failure that may pass', async () => {
      const queue = aQueue();
      const deliver = vi.fn().mockRejectedValueOnce(new SinkError('busy', { status: 503 }));
      work(queue, { sinks: [{ name: 'chat', deliver }] });
      await addNew(queue);
      await becomes(queue, 'completed');
      expect(await onlyJob(queue)).toMatchObject({ attemptsMade: 2 });
      expect(deliver).toHaveBeenCalledTimes(2);
    });

    it('retries when that can help one of two sinks, and does not call a third that was delivered to', async () => {
      const queue = aQueue({ defaultJobOptions: { backoff: 10 } });
      const gone = vi.fn(() => Promise.reject(new SinkError('gone', { status: 410, permanent: true })));
      const busy = vi.fn().mockRejectedValueOnce(new SinkError('busy', { status: 503 }));
      const fine = vi.fn();
      work(queue, {
        sinks: [
          { name: 'gone', deliver: gone },
          { name: 'busy', deliver: busy },
          { name: 'fine', deliver: fine },
        ],
      });
      await addNew(queue);
      // At the second attempt only the permanent failure is left.
      await becomes(queue, 'failed');
      expect(await onlyJob(queue)).toMatchObject({ attemptsMade: 2, failedReason: 'gone: gone' });
      expect([gone, busy, fine].map(({ mock }) => mock.calls.length)).toEqual([2, 2, 1]);
    });

    it('gives a job up when its attempts are used up', async () => {
      const queue = aQueue({ defaultJobOptions: { attempts: 3, backoff: 10 } });
      const deliver = vi.fn(() => Promise.reject(new Error('down')));
      work(queue, { sinks: [{ name: 'chat', deliver }] });
      await addNew(queue);
      await becomes(queue, 'failed');
      expect(await onlyJob(queue)).toMatchObject({ attemptsMade: 3 });
      expect(deliver).toHaveBeenCalledTimes(3);
    });

    it('waits after a 429 as long as it was asked to, without spending an attempt', async () => {
      const queue = aQueue({ defaultJobOptions: { attempts: 1 } });
      const calls: number[] = [];
      const deliver = vi.fn(async () => {
        calls.push(performance.now());
        // Not a whole number of milliseconds, as one that was seconds may be.
        if (calls.length === 1) throw new SinkError('busy', { status: 429, retryAfterMs: 1_200.5 });
      });
      const outcomes: Outcome[] = [];
      work(queue, {
        sinks: [{ name: 'chat', deliver }],
        rateLimit: (ms) => queue.rateLimit(ms),
        onOutcome: (outcome) => outcomes.push(outcome),
      });
      await addNew(queue);
      await becomes(queue, 'completed');
      expect(outcomes.map(({ result }) => result)).toEqual(['failed', 'accepted']);
      expect(await onlyJob(queue)).toMatchObject({ attemptsMade: 1, attemptsStarted: 2 });
      expect(calls).toHaveLength(2);
      // The clocks of the two processes count whole milliseconds.
      expect((calls[1] as number) - (calls[0] as number)).toBeGreaterThan(1_190);
    });

    it('leaves all workers waiting after a 429, when they have a limiter', async () => {
      const queue = aQueue();
      const limitedAt: number[] = [];
      const tries: number[] = [];
      const chat = {
        name: 'chat',
        async deliver() {
          tries.push(performance.now());
          if (limitedAt.length === 0) throw new SinkError('busy', { status: 429, retryAfterMs: 1_500 });
        },
      };
      const rateLimit = async (ms: number) => {
        await queue.rateLimit(ms);
        limitedAt.push(performance.now());
      };
      const settings = { limiter: { max: 1_000, duration: 1_000 }, concurrency: 2, maximumRateLimitDelay: 100 };
      await addNew(queue);
      work(queue, { sinks: [chat], rateLimit }, settings);
      await vi.waitUntil(() => limitedAt.length > 0);
      work(queue, { sinks: [chat], rateLimit }, settings);
      await addNew(queue);
      await addNew(queue);
      await expect.poll(() => queue.getCompletedCount()).toBe(3);
      expect(tries).toHaveLength(4);
      expect((tries[1] as number) - (limitedAt[0] as number)).toBeGreaterThan(1_400);
    });
  });
}

describe('bullmq(queue)', () => {
  it.each([
    ['nothing', undefined],
    ['a name', 'chats'],
    ['a worker', { name: 'chats', run() {} }],
    ['something without a name', { add() {} }],
  ])('throws a TypeError for what is no queue: %s', (_, queue) => {
    expect(() => bullmq(queue as never)).toThrow(new TypeError('bullmq: queue must be a Queue of BullMQ'));
  });
});

// Clients wait longer and longer before they connect again: on a busy machine 19 s have been seen.

describeWithPrivateRedis('a delivery while Redis is', () => {
  const open = async () => {
    const server = await startRedis();
    onTestFinished(() => server.close());
    return { server, backend: redisBackend(server.url) };
  };

  it('frozen is not answered 2xx, and its event arrives once', async () => {
    const { server, backend } = await open();
    await expectOnceAfter(backend, openQueue(backend, {}), server.freeze, server.thaw);
  });

  it('stopped is not answered 2xx, and its event arrives once', async () => {
    const { server, backend } = await open();
    await expectOnceAfter(backend, openQueue(backend, {}), server.stop, server.start);
  });

  it('killed is not answered 2xx, and its event arrives once', async () => {
    const { server, backend } = await open();
    await expectOnceAfter(backend, openQueue(backend, {}), () => server.stop('SIGKILL'), server.start);
  });

  it('stopped fails at once, with a queue that fails fast', async () => {
    const { server, backend } = await open();
    const queue = openQueue(backend, { connection: { enableOfflineQueue: false } });
    const outcomes = await expectOnceAfter(backend, queue, server.stop, server.start);
    expect(outcomes[0]).toMatchObject({ code: 'sink_failed' });
  });

  it('stopped reaches the queue when Redis is back, because ioredis queues unsent commands', async () => {
    const { server, backend } = await open();
    const queue = openQueue(backend, {});
    await queue.waitUntilReady();
    const { send } = await serve(queue);
    await server.stop();
    expect((await send(sampleEvent('outbid'))).status).toBe(504);
    await server.start();
    await expect.poll(() => queue.count()).toBe(1);
  });
});

describeWithPrivatePostgres('a delivery while Postgres is', () => {
  const open = async () => {
    const server = await startPostgres();
    onTestFinished(() => server.close());
    return { server, backend: postgresBackend(server.url) };
  };

  it('frozen is not answered 2xx, and its event arrives once', async () => {
    const { server, backend } = await open();
    await expectOnceAfter(backend, openQueue(backend, {}), server.freeze, server.thaw);
  });

  it('stopped is not answered 2xx, and its event arrives once', async () => {
    const { server, backend } = await open();
    await expectOnceAfter(backend, openQueue(backend, {}), server.stop, server.start);
  });
});

// ---------------------------------------------------------------- steps

function openQueue(backend: Backend, settings: QueueSettings, name = uniqueName()): Queue {
  const queue = backend.queue(name, settings);
  queue.on('error', () => {});
  onTestFinished(() => queue.close());
  return queue;
}

/** As the documentation has it. */
function startWorker(
  backend: Backend,
  queue: Queue,
  options: ForwarderOptions,
  settings: Partial<WorkerOptions>,
): Worker {
  const forward = createForwarder({ onOutcome: () => {}, ...options });
  const worker = backend.worker(queue.name, (job) => forward(job.data), settings);
  worker.on('error', () => {});
  onTestFinished(() => worker.close());
  return worker;
}

function aDelivery(fields: object = {}): { event: VastEvent; delivery: Delivery } {
  return verifyDelivery({ ...signedDelivery(JSON.stringify({ ...sampleEvent('outbid'), ...fields }), secret), secret });
}

async function add(queue: Queue, event: VastEvent, delivery: Delivery, options?: BullMqOptions): Promise<void> {
  await bullmq<VastEvent>(queue, options).deliver(event, { delivery, signal });
}

async function addNew(queue: Queue): Promise<void> {
  const { event, delivery } = aDelivery();
  await add(queue, event, delivery);
}

async function onlyJob(queue: Queue): Promise<Job> {
  const jobs = await queue.getJobs();
  expect(jobs).toHaveLength(1);
  return jobs[0] as Job;
}

async function becomes(queue: Queue, state: 'completed' | 'failed'): Promise<void> {
  await expect.poll(async () => (await onlyJob(queue)).getState()).toBe(state);
}

/** A service with the queue as its sink, which keeps a sender waiting for half a second at most. */
async function serve(queue: Queue): Promise<{ send: (event: object) => Promise<Response>; outcomes: Outcome[] }> {
  const outcomes: Outcome[] = [];
  const webhook = vastWebhook(secret, {
    sinks: [bullmq(queue)],
    deadlineMs: 500,
    onOutcome: (outcome) => outcomes.push(outcome),
    onError: () => {},
  });
  const server = express().use(webhook).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await webhook.close(1_000);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/vast/webhooks`;
  return { send: (event) => fetch(url, { method: 'POST', ...signedDelivery(event, secret) }), outcomes };
}

/** Sends an event during an outage, and again until it is accepted, as the sender does. */
async function expectOnceAfter(
  backend: Backend,
  queue: Queue,
  breakDown: () => unknown,
  recover: () => unknown,
): Promise<Outcome[]> {
  await queue.waitUntilReady();
  const { send, outcomes } = await serve(queue);
  const deliver = vi.fn();
  startWorker(backend, queue, { sinks: [{ name: 'chat', deliver }] }, {});
  expect((await send(sampleEvent('low_credit'))).status).toBe(204);
  await expect.poll(() => deliver.mock.calls.length).toBe(1);

  await breakDown();
  const event = sampleEvent('outbid');
  expect((await send(event)).status).toBeGreaterThanOrEqual(500);
  expect((await send(event)).status).toBeGreaterThanOrEqual(500);
  await recover();
  await expect.poll(async () => (await send(event)).status, { interval: 200 }).toBe(204);
  await expect.poll(() => deliver.mock.calls.length).toBe(2);
  await expect.poll(() => queue.getCompletedCount()).toBe(2);
  await sleep(200);
  expect(deliver.mock.calls.map(([{ event_id }]) => event_id)).toContain(event.event_id);
  expect(deliver).toHaveBeenCalledTimes(2);
  return outcomes.slice(1);
}

function verifyBytes(body: Buffer): { event: VastEvent; delivery: Delivery } {
  const timestamp = Math.floor(Date.now() / 1000);
  const headers = { 'x-vast-signature-256': sign(body, secret, timestamp), 'x-vast-timestamp': `${timestamp}` };
  return verifyDelivery({ headers, body, secret });
}
