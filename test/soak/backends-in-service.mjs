// What a service and a worker make of their configuration: the user's own clients, given to the package.
import { setTimeout as sleep } from 'node:timers/promises';
import { config, journal } from './in-child.mjs';

/** The store of the middleware, unless it is to have its default. */
export async function openStore(backend) {
  const store = await storeOf(backend);
  return store && journal.ofStore(store);
}

async function storeOf(backend) {
  const { memoryStore, postgresStore, redisStore, sqliteStore } = await import('vast-webhook/stores');
  switch (backend) {
    case 'memory':
      return memoryStore();
    case 'sqlite':
      return sqliteStore(await openSqlite());
    case 'redis':
    case 'bullmq-redis':
      return redisStore(await openRedis());
    case 'postgres':
    case 'bullmq-postgres':
      return postgresStore(await openPostgres());
    default:
      return undefined;
  }
}

/** The sink that is a queue, and what ends it. */
export async function openQueueSink(backend, sinks) {
  const { bullmq, sqliteOutbox } = await import('vast-webhook/sinks');
  if (backend === 'outbox') {
    const outbox = sqliteOutbox(await openSqlite(), {
      sinks,
      leaseMs: config.leaseMs,
      concurrency: config.concurrency,
      minBackoffMs: 50,
      maxBackoffMs: 1_000,
      onError: (error, context) => console.log(`outbox ${context?.id} ${context?.sink ?? ''} ${error.message}`),
    });
    return { sink: outbox, close: () => outbox.close(3_000) };
  }
  if (backend.startsWith('bullmq')) {
    const { Queue } = await bullmqFor(backend);
    const queue = await made(backend, () => {
      return new Queue('soak', {
        connection: connectionFor(backend),
        defaultJobOptions: { attempts: 1_000, backoff: { type: 'fixed', delay: 200, jitter: 0.5 } },
      }).on('error', logClientError('queue'));
    });
    return { sink: bullmq(queue), close: () => queue.close() };
  }
  return undefined;
}

export async function startWorker(backend, work) {
  const { Worker } = await bullmqFor(backend);
  return made(backend, () => {
    return new Worker('soak', work, {
      connection: connectionFor(backend),
      concurrency: config.concurrency,
      lockDuration: 2_000,
      stalledInterval: 1_000,
      // As often as the worker is killed; with the default of 1 a job that two kills hit would be given up.
      maxStalledCount: 1_000,
      // How long it does nothing after its database was away: 15 s for other than tests.
      runRetryDelay: 300,
    })
      .on('error', logClientError('worker'))
      .on('failed', (job, error) => console.log(`job ${job?.id} failed ${job?.attemptsMade} ${error.message}`));
  });
}

/** BullMQ 6.7 on Postgres never recovers when the database is away at its first look: then it has to be made again. */
async function made(backend, make) {
  for (;;) {
    const instance = make();
    try {
      if (backend === 'bullmq-postgres') await instance.waitUntilReady();
      return instance;
    } catch {
      await instance.close().catch(() => {});
      await sleep(100);
    }
  }
}

async function bullmqFor(backend) {
  const bullmq = await import('bullmq');
  if (backend === 'bullmq-postgres') process.on('uncaughtException', survive);
  return backend === 'bullmq-postgres' ? bullmq.withBackend(bullmq.createPostgresBackend) : bullmq;
}

/** BullMQ 6.7 does not listen to the connection it starts up with, so that one that breaks ends the process. */
function survive(error) {
  const isBroken = /^Connection terminated|^terminating connection/.test(error.message) || error.code === 'ECONNRESET';
  if (!isBroken) throw error;
  logClientError('bullmq')(error);
}

function connectionFor(backend) {
  if (backend === 'bullmq-postgres') return { connectionString: config.url, migrate: true };
  const { hostname, port } = new URL(config.url);
  return { host: hostname, port: Number(port) };
}

async function openSqlite() {
  const { default: Database } = await import('better-sqlite3');
  return new Database(config.file);
}

async function openRedis() {
  const { Redis } = await import('ioredis');
  return new Redis(config.url).on('error', logClientError('redis'));
}

async function openPostgres() {
  const { default: pg } = await import('pg');
  return new pg.Pool({ connectionString: config.url }).on('error', logClientError('postgres'));
}

/** Without a listener it would end the process. */
function logClientError(client) {
  return (error) => console.log(`${client} ${error.code ?? ''} ${error.message}`);
}
