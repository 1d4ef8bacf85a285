// One durable store or the outbox in a process of its own: claims and completes events and watches its memory.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Redis } from 'ioredis';
import pg from 'pg';
import { sqliteOutbox } from 'vast-webhook/sinks';
import { postgresStore, redisStore, sqliteStore } from 'vast-webhook/stores';
import { startPostgres, startRedis } from '../test/support/servers.mjs';
import { serve } from './child.mjs';

const concurrency = 64;
const name = process.argv[2];

/** Each returns a function that handles one event, and a function that ends it. */
const makes = {
  async redis() {
    const server = await startRedis({ appendfsync: 'everysec' });
    const client = new Redis(server.url);
    return { one: claimAndComplete(redisStore(client)), end: () => server.close() };
  },
  async postgres() {
    const server = await startPostgres();
    const pool = new pg.Pool({ connectionString: server.url, max: concurrency });
    // This benchmark does not measure the disk.
    pool.on('connect', (client) => client.query('SET synchronous_commit = off'));
    pool.on('error', () => {});
    return { one: claimAndComplete(postgresStore(pool)), end: () => server.close() };
  },
  async sqlite() {
    const { db, end } = database();
    return { one: claimAndComplete(sqliteStore(db)), end };
  },
  async outbox() {
    const { db, end } = database();
    const waiting = new Map();
    const sink = { name: 'sink', deliver: (_event, { delivery }) => waiting.get(delivery.id)() };
    const outbox = sqliteOutbox(db, { sinks: [sink], concurrency });
    const rawBody = Buffer.from('{"notif_type":"outbid"}');
    const { signal } = new AbortController();
    const one = async (id) => {
      const answered = new Promise((resolve) => {
        waiting.set(id, resolve);
      });
      const delivery = { provider: 'vast', id, attempt: 1, timestamp: 0, receivedAt: 0, rawBody };
      await outbox.deliver({}, { delivery, signal });
      await answered;
      waiting.delete(id);
    };
    return { one, end };
  },
};

function database() {
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-bench-'));
  const db = new Database(join(folder, 'store.db'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  return { db, end: () => rmSync(folder, { recursive: true }) };
}

function claimAndComplete(store) {
  return async (key) => {
    const token = randomUUID();
    await store.claim(key, token, 30_000);
    await store.complete(key, token, 7 * 24 * 60 * 60_000);
  };
}

serve(async ({ events, samples }) => {
  const { one, end } = await makes[name]();
  const run = randomUUID();
  const heaps = [];
  let next = 0;
  for (let sample = 1; sample <= samples; sample++) {
    const until = (events * sample) / samples;
    const worker = async () => {
      while (next < until) await one(`receiver:vast:${run}${next++}`);
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    globalThis.gc();
    heaps.push(process.memoryUsage().heapUsed);
  }
  await end();
  return heaps;
});
