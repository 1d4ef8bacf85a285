// What a claim and an outbox delivery cost when a store has many rows, beside the same when it has ten thousand.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import pg from 'pg';
import { sqliteOutbox } from 'vast-webhook/sinks';
import { postgresStore, sqliteStore } from 'vast-webhook/stores';
import { startPostgres } from '../test/support/servers.mjs';
import { goals, heading, keep, median, table } from './report.mjs';

const concurrency = 64;
const day = 24 * 60 * 60_000;
const few = 10_000;
/** One round of one candidate. */
const eventsARound = 1_280;

/** Each gives `grow`, which adds completed rows, `one`, which handles one event, and `end`. */
const kinds = {
  'sqliteStore: claim and complete': async () => {
    const { db, end } = await file();
    const store = sqliteStore(db);
    await store.claim('to make the table', 'a', 1);
    return { one: claimAndComplete(store), grow: (rows) => growSqlite(db, rows, 'vast_webhook', storeRow), end };
  },
  'by hand: insert, then update': async () => {
    const { db, end } = await file();
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec('CREATE TABLE bare (key TEXT PRIMARY KEY, state TEXT NOT NULL, until INTEGER NOT NULL)');
    const insert = db.prepare("INSERT INTO bare VALUES (?, 'held', ?) ON CONFLICT DO NOTHING");
    const update = db.prepare("UPDATE bare SET state = 'completed', until = ? WHERE key = ?");
    const together = commits(db);
    const one = async (key) => {
      await together(() => insert.run(key, Date.now()));
      await together(() => update.run(Date.now(), key));
    };
    return { one, grow: (rows) => growSqlite(db, rows, 'bare', { key, state: "'completed'", until }), end };
  },
  'sqliteOutbox: take and deliver': async () => {
    const { db, end } = await file();
    const waiting = new Map();
    const deliver = (_event, { delivery }) => waiting.get(delivery.id)?.();
    const outbox = sqliteOutbox(db, { sinks: [{ name: 'sink', deliver }], concurrency });
    const rawBody = Buffer.from('{"notif_type":"outbid"}');
    const { signal } = new AbortController();
    const one = async (id) => {
      const delivered = new Promise((resolve) => {
        waiting.set(id, resolve);
      });
      const delivery = { provider: 'vast', id, attempt: 1, timestamp: 0, receivedAt: 0, rawBody };
      await outbox.deliver({}, { delivery, signal });
      await delivered;
      waiting.delete(id);
    };
    await one('to make the table');
    const grow = async (rows) => {
      // To add rows takes longer than a lease.
      while ((await outbox.stats()).some(({ due }) => due > 0)) await sleep(10);
      growSqlite(db, rows, 'vast_webhook_outbox', outboxRow);
    };
    return { one, grow, end: () => outbox.close().then(end) };
  },
  'postgresStore: claim and complete': async () => {
    const server = await startPostgres();
    const pool = new pg.Pool({ connectionString: server.url, max: 10 });
    const store = postgresStore(pool);
    await store.claim('to make the table', 'a', 1);
    const grow = async (rows) => {
      await pool.query(`
        INSERT INTO vast_webhook (key, state, until, delivered)
        SELECT 'receiver:vast:' || md5(random()::text || i), 'completed', now() + interval '7 days', '[]'
        FROM generate_series(1, ${rows}) AS i`);
      await pool.query('VACUUM ANALYZE vast_webhook');
    };
    return { one: claimAndComplete(store), grow, end: () => pool.end().then(() => server.close()) };
  },
};

const key = "'receiver:vast:' || lower(hex(randomblob(16)))";
const until = `${Date.now() + 7 * day} + i`;
const storeRow = { key, state: "'completed'", until, delivered: "'[]'", held_at: until };
const outboxRow = {
  key,
  event_id: 'lower(hex(randomblob(16)))',
  sink: "'sink'",
  delivery: "''",
  state: "'told'",
  since: until,
  due_at: until,
  attempts: '1',
  expires_at: until,
};

export async function growth(quick) {
  const rounds = quick ? 5 : 25;
  const sizes = quick ? [1_000_000] : [1_000_000, 5_000_000];
  const count = (rows) => rows.toLocaleString('en');
  heading(`Growth: ${rounds} rounds of ${count(eventsARound)} events, ${concurrency} at a time`);
  const rows = [];
  const lines = [];
  for (const [name, make] of Object.entries(kinds)) {
    const small = await make();
    await small.grow(few);
    const large = await make();
    const micros = {};
    let before = 0;
    for (const size of sizes) {
      await large.grow(size - before);
      before = size;
      const ratios = [];
      const times = { [few]: [], [size]: [] };
      // The first round makes machine code.
      for (let round = 0; round <= rounds; round++) {
        const atFew = await microsAnEvent(small.one);
        const atSize = await microsAnEvent(large.one);
        if (round === 0) continue;
        ratios.push(atSize / atFew);
        times[few].push(atFew);
        times[size].push(atSize);
      }
      micros[few] ??= median(times[few]);
      micros[size] = median(times[size]);
      lines.push({ name: `${name}, ${count(size)} / ${count(few)} rows`, values: ratios, atMost: 1.3 });
    }
    for (const [size, value] of Object.entries(micros)) {
      keep({ name: `${name}, ${count(Number(size))} rows`, value, unit: 'µs an event' });
    }
    rows.push([name, ...[few, ...sizes].map((size) => `${micros[size].toFixed(0)} µs`)]);
    await small.end();
    await large.end();
  }
  table([['', ...[few, ...sizes].map(count)], ...rows], ['left', ...[few, ...sizes].map(() => 'right')]);
  console.log();
  goals(lines);
}

async function file() {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-bench-'));
  const db = new Database(join(folder, 'growth.db'));
  return {
    db,
    async end() {
      db.close();
      await rm(folder, { recursive: true });
    },
  };
}

function growSqlite(db, rows, name, values) {
  // For the rows' sake only: with write-ahead logging, millions take minutes.
  db.pragma('journal_mode = MEMORY');
  db.pragma('synchronous = OFF');
  db.pragma('cache_size = -2000000');
  db.exec(`
    WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ${rows})
    INSERT INTO ${name} (${Object.keys(values).join(', ')}) SELECT ${Object.values(values).join(', ')} FROM numbers`);
  db.pragma('cache_size = -16000');
  db.pragma('synchronous = FULL');
  db.pragma('journal_mode = WAL');
}

function claimAndComplete(store) {
  return async (event) => {
    await store.claim(event, 'a', 30_000);
    await store.complete(event, 'a', 7 * day);
  };
}

/** The commits of a turn in one, as the store makes them. */
function commits(db) {
  let writes = [];
  return (write) =>
    new Promise((resolve) => {
      if (writes.length === 0) {
        setImmediate(() => {
          db.exec('BEGIN IMMEDIATE');
          const done = writes.map(([run, answer]) => [run(), answer]);
          writes = [];
          db.exec('COMMIT');
          for (const [result, answer] of done) answer(result);
        });
      }
      writes.push([write, resolve]);
    });
}

async function microsAnEvent(one) {
  let left = eventsARound;
  const started = performance.now();
  const worker = async () => {
    while (left-- > 0) await one(`receiver:vast:${randomBytes(16).toString('hex')}`);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return ((performance.now() - started) / eventsARound) * 1000;
}
