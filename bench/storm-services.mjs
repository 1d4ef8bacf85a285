// The services of the storm part. Each is made in a process of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * `make` gets a sink for the chat, and returns the options of the middleware, how many events wait, and whether they
 * are being delivered.
 */
export const services = {
  memory: {
    about: 'the memory store, and a handler that takes every event',
    make() {
      return { waiting: () => 0, hasHandler: true };
    },
  },
  'memory, chat': {
    about: 'the memory store and the chat, no outbox: the sender repeats what the chat refuses',
    retries: true,
    make: (chat) => ({ options: { sinks: [chat] }, waiting: () => 0 }),
  },
  outbox: {
    about: 'an outbox, and the chat',
    make: (chat) => withOutbox(chat),
  },
  bullmq: {
    about: 'Redis with BullMQ, and the chat behind its worker',
    make: withBullMq,
  },
  'outbox, digest': {
    digests: true,
    about: 'an outbox, and a digest every 5 seconds',
    async make(chat) {
      const { digest } = await import('vast-webhook/sinks');
      return withOutbox(digest({ everyMs: 5_000 }, chat));
    },
  },
  'outbox, quiet': {
    digests: true,
    about: 'an outbox, and quiet with 10 a minute',
    async make(chat) {
      const { quiet } = await import('vast-webhook/sinks');
      return withOutbox(quiet({ perMinute: 10 }, chat));
    },
  },
};

async function withOutbox(sink) {
  const { default: Database } = await import('better-sqlite3');
  const { sqliteOutbox } = await import('vast-webhook/sinks');
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  const outbox = sqliteOutbox(new Database(join(folder, 'outbox.db')), { sinks: [sink], onError() {} });
  return { options: { sinks: [outbox] }, waiting: async () => (await outbox.stats())[0].due };
}

async function withBullMq(chat, redisUrl) {
  const [{ Queue, Worker }, { Redis }, { createForwarder }, { bullmq }] = await Promise.all([
    import('bullmq'),
    import('ioredis'),
    import('vast-webhook'),
    import('vast-webhook/sinks'),
  ]);
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue('storm', { connection });
  const forward = createForwarder({ sinks: [chat], rateLimit: (ms) => worker.rateLimit(ms) });
  const worker = new Worker('storm', (job) => forward(job.data), { connection, concurrency: 4 });
  worker.on('error', () => {});
  const waiting = async () => {
    const { waiting, active, delayed } = await queue.getJobCounts('waiting', 'active', 'delayed');
    return waiting + active + delayed;
  };
  return { options: { sinks: [bullmq(queue)] }, waiting };
}
