// Stores events in an outbox or a queue, and then delivers all of them.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createForwarder } from 'vast-webhook';
import { bullmq, cloudEvents, sqliteOutbox } from 'vast-webhook/sinks';
import { serve } from './child.mjs';

const [name] = process.argv.slice(2);
const { signal } = new AbortController();

serve(async (settings) => {
  let delivered = 0;
  let done = () => {};
  const all = new Promise((resolve) => {
    done = resolve;
  });
  const inner = settings.url === '' ? { deliver: async () => {} } : cloudEvents(settings.url);
  const sink = {
    name: 'sink',
    async deliver(event, context) {
      await inner.deliver(event, context);
      if (++delivered === settings.events) done();
    },
  };
  return name === 'outbox' ? fromOutbox(sink, all, settings) : fromBullMq(sink, all, settings);
});

async function fromOutbox(sink, all, { events, concurrency }) {
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-bench-'));
  const db = new Database(join(folder, 'outbox.db'));
  let open = () => {};
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  // It begins with the first event, and then waits until all are stored.
  const gated = { ...sink, deliver: (event, context) => opened.then(() => sink.deliver(event, context)) };
  const outbox = sqliteOutbox(db, { sinks: [gated], concurrency });
  await storeAll(outbox, events);
  const startedAt = performance.now();
  open();
  await all;
  // Until all are recorded.
  await outbox.close();
  const ms = performance.now() - startedAt;
  db.close();
  rmSync(folder, { recursive: true });
  return { ms };
}

async function fromBullMq(sink, all, { events, concurrency, redisUrl }) {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue(randomUUID(), { connection });
  await storeAll(bullmq(queue), events);
  const forward = createForwarder({ sinks: [sink] });
  const worker = new Worker(queue.name, (job) => forward(job.data), { connection, concurrency, autorun: false });
  await worker.waitUntilReady();
  const startedAt = performance.now();
  const running = worker.run();
  await all;
  await worker.close();
  const ms = performance.now() - startedAt;
  await running;
  await queue.obliterate({ force: true });
  await queue.close();
  await connection.quit();
  return { ms };
}

async function storeAll(sink, events) {
  const timestamp = Math.floor(Date.now() / 1_000);
  const text = 'Your interruptible instance 48926820 on machine 101502 has been outbid and will be stopped. '.repeat(3);
  const store = async () => {
    const id = randomUUID();
    const event = { event_id: id, notif_type: 'outbid', subject: 'Outbid', message: text, timestamp };
    const rawBody = Buffer.from(JSON.stringify(event));
    const common = { provider: 'vast', source: 'webhook', verified: true, type: 'outbid', attempt: 1, timestamp };
    await sink.deliver(event, { delivery: { ...common, id, receivedAt: Date.now(), rawBody }, signal });
  };
  for (let stored = 0; stored < events; stored += 100) {
    await Promise.all(Array.from({ length: Math.min(100, events - stored) }, store));
  }
}
