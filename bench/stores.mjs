// The durable stores beside the bare client on the same server, and the outbox beside a commit an event.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createClient } from 'redis';
import { sqliteOutbox } from 'vast-webhook/sinks';
import { postgresStore, redisStore } from 'vast-webhook/stores';
import { startPostgres, startRedis } from '../test/support/servers.mjs';
import { goals, heading, keep, median, table } from './report.mjs';

const concurrency = 64;
const leaseMs = 30_000;
const ttlMs = 7 * 24 * 60 * 60_000;

export async function stores(quick) {
  const rounds = quick ? 5 : 15;
  const events = quick ? 5_000 : 20_000;
  heading(`Durable stores: ${rounds} rounds of ${events.toLocaleString('en')} events, ${concurrency} at a time`);
  const results = [
    ...(await redis(rounds, events)),
    ...(await postgres(rounds, events)),
    ...(await outbox(rounds, events)),
  ];
  for (const { name, what, bare, ours } of results) {
    keep({ name: `${name}, bare`, value: median(bare), unit: 'a second', about: what });
    keep({ name: `${name}, ours`, value: median(ours), unit: 'a second', about: what });
  }
  table(
    [['', 'bare', 'ours', ''], ...results.map(({ name, what, bare, ours }) => [name, rate(bare), rate(ours), what])],
    ['left', 'right', 'right', 'left'],
  );
  console.log();
  goals(results.map(({ goal, bare, ours }) => goal(bare, ours)));
}

/** Both in turns. The first round makes connections, tables and machine code. */
async function paired(rounds, events, { bare, ours }) {
  const rates = { bare: [], ours: [] };
  for (let round = 0; round <= rounds; round++) {
    for (const [name, one] of [
      ['bare', bare],
      ['ours', ours],
    ]) {
      const value = await perSecond(events, one);
      if (round > 0) rates[name].push(value);
    }
  }
  return rates;
}

async function perSecond(events, one) {
  const run = randomUUID();
  let next = 0;
  const started = performance.now();
  const worker = async () => {
    while (next < events) await one(`receiver:vast:${run}${next++}`);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return events / ((performance.now() - started) / 1000);
}

async function redis(rounds, events) {
  const server = await startRedis({ appendfsync: 'everysec' });
  const clients = { ioredis: new Redis(server.url), 'node-redis': await createClient({ url: server.url }).connect() };
  const results = [];
  for (const [name, client] of Object.entries(clients)) {
    const store = redisStore(client);
    const rates = await paired(rounds, events, {
      async bare(key) {
        await client.set(key, randomUUID());
        await client.set(key, 'completed');
      },
      ours: (key) => claimAndComplete(store, key),
    });
    results.push({
      name,
      what: 'claim and complete / two SETs, events a second',
      ...rates,
      goal: (bare, ours) => ({
        name: `${name}: time of claim and complete / two SETs`,
        values: bare.map((value, round) => value / ours[round]),
        atMost: 1.3,
      }),
    });
    await client.quit();
  }
  await server.close();
  return results;
}

async function postgres(rounds, events) {
  const server = await startPostgres();
  const pool = new pg.Pool({ connectionString: server.url, max: concurrency });
  const store = postgresStore(pool);
  await claimAndComplete(store, 'to make the table');
  await pool.query('CREATE TABLE bare (LIKE vast_webhook INCLUDING ALL)');
  const text = `
    INSERT INTO bare (key, state, token, until, delivered)
    VALUES ($1, 'held', $2, now() + $3 * interval '1 ms', '[]') ON CONFLICT DO NOTHING`;
  const rates = await paired(rounds, events, {
    bare: (key) => pool.query({ name: 'bare', text, values: [key, randomUUID(), leaseMs] }),
    ours: (key) => store.claim(key, randomUUID(), leaseMs),
  });
  await pool.end();
  await server.close();
  return [
    {
      name: 'Postgres',
      what: 'claim / INSERT ... ON CONFLICT DO NOTHING, both prepared, a second',
      ...rates,
      goal: (bare, ours) => {
        const ratio = { name: 'Postgres: claims / bare statements a second', atLeast: 0.8 };
        const claims = { name: 'Postgres: claims a second', values: ours, digits: 0, atLeast: 10_000 };
        // Whichever is lower.
        return median(bare) * 0.8 < 10_000
          ? { ...ratio, values: ours.map((value, round) => value / bare[round]) }
          : claims;
      },
    },
  ];
}

async function outbox(rounds, events) {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-bench-'));
  const db = new Database(join(folder, 'outbox.db'));
  // A chat that never answers, because we measure how fast events are accepted.
  const sink = { name: 'slow', deliver: () => new Promise(() => {}) };
  const box = sqliteOutbox(db, { sinks: [sink] });
  const bareDb = new Database(join(folder, 'bare.db'));
  bareDb.pragma('journal_mode = WAL');
  bareDb.pragma('synchronous = FULL');
  bareDb.exec('CREATE TABLE events (key TEXT PRIMARY KEY, delivery TEXT NOT NULL)');
  const insert = bareDb.prepare('INSERT INTO events VALUES (?, ?) ON CONFLICT DO NOTHING');
  const rawBody = Buffer.from(JSON.stringify({ event_id: '0'.repeat(32), message: 'x'.repeat(300) }));
  const delivery = { provider: 'vast', attempt: 1, timestamp: 0, receivedAt: 0, rawBody };
  const { signal } = new AbortController();
  const rates = await paired(rounds, events, {
    // A turn of the event loop each, as deliveries arrive.
    async bare(id) {
      await new Promise(setImmediate);
      insert.run(id, JSON.stringify({ ...delivery, id, rawBody: rawBody.toString('base64') }));
    },
    ours: (id) => box.deliver({}, { delivery: { ...delivery, id }, signal }),
  });
  await box.close(1);
  db.close();
  bareDb.close();
  await rm(folder, { recursive: true });
  return [
    {
      name: 'outbox',
      what: 'events taken / one commit an event, synchronous=FULL, a second',
      ...rates,
      goal: (bare, ours) => ({
        name: 'outbox: events / commits of one event a second',
        values: ours.map((value, round) => value / bare[round]),
        atLeast: 5,
      }),
    },
  ];
}

async function claimAndComplete(store, key) {
  const token = randomUUID();
  await store.claim(key, token, leaseMs);
  await store.complete(key, token, ttlMs);
}

function rate(values) {
  return Math.round(median(values)).toLocaleString('en');
}
