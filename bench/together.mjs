// Calls of a store that come in one turn of the event loop share a commit or a statement: beside the same store, whose
// calls go one by one.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import pg from 'pg';
import { postgresStore, sqliteStore } from 'vast-webhook/stores';
import { startPostgres } from '../test/support/servers.mjs';
import { goals, heading, keep, median, table } from './report.mjs';

/** How many events at a time. */
const atATime = [1, 8, 64, 256];

export async function together(quick) {
  const rounds = quick ? 3 : 15;
  const ms = quick ? 200 : 500;
  heading(`Calls that come together: ${rounds} rounds of ${ms} ms, claims and completions, events a second`);
  const measured = [...(await sqliteTogether(rounds, ms)), ...(await postgresTogether(rounds, ms))];
  const rows = [];
  for (const { name, count, rates } of measured) {
    for (const [how, values] of Object.entries(rates)) {
      keep({ name: `${name}, ${how}, ${count} at a time`, value: median(values), unit: 'a second' });
    }
    rows.push([`${name}, ${count} at a time`, ...Object.values(rates).map(rate)]);
  }
  for (const first of ['SQLite', 'Postgres']) {
    const { rates } = measured.find(({ name }) => name === first);
    const ofStore = rows.filter(([title]) => title.startsWith(first));
    table([['', ...Object.keys(rates)], ...ofStore], ['left', ...Object.keys(rates).map(() => 'right')]);
    console.log();
  }
  const ratio = (store, count, one, other) => {
    const { rates } = measured.find((each) => each.name === store && each.count === count);
    return rates[one].map((value, round) => value / rates[other][round]);
  };
  goals([
    {
      name: 'SQLite, 64: FULL together / NORMAL one by one',
      values: ratio('SQLite', 64, 'FULL', 'NORMAL one by one'),
      atLeast: 1,
    },
    {
      name: 'SQLite, 1: time with FULL together / one by one',
      values: ratio('SQLite', 1, 'FULL one by one', 'FULL'),
      atMost: 1.03,
    },
    {
      name: 'SQLite, 1: time with NORMAL together / one by one',
      values: ratio('SQLite', 1, 'NORMAL one by one', 'NORMAL'),
      atMost: 1.03,
    },
    {
      name: 'Postgres, 64: together / one by one',
      values: ratio('Postgres', 64, 'together', 'one by one'),
      atLeast: 3,
    },
    {
      name: 'Postgres, 1: time together / one by one',
      values: ratio('Postgres', 1, 'one by one', 'together'),
      atMost: 1.03,
    },
  ]);
}

async function sqliteTogether(rounds, ms) {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-bench-'));
  const handles = [];
  const open = (synchronous, isTogether) => {
    const db = new Database(join(folder, `${synchronous} ${isTogether}.db`));
    handles.push(db);
    // A handle that does not say whether a transaction is open gets a commit for each call.
    const given = isTogether ? db : { exec: (sql) => db.exec(sql), prepare: (sql) => db.prepare(sql) };
    return sqliteStore(given, { synchronous });
  };
  const stores = {
    'FULL one by one': open('FULL', false),
    'NORMAL one by one': open('NORMAL', false),
    FULL: open('FULL', true),
    NORMAL: open('NORMAL', true),
  };
  const results = await eachCount('SQLite', stores, rounds, ms);
  for (const db of handles) db.close();
  await rm(folder, { recursive: true });
  return results;
}

async function postgresTogether(rounds, ms) {
  const server = await startPostgres();
  const pool = new pg.Pool({ connectionString: server.url, max: 64 });
  // A client that is no pool gets a statement for each call.
  const stores = {
    'one by one': postgresStore({ query: (query) => pool.query(query) }),
    together: postgresStore(pool),
  };
  const results = await eachCount('Postgres', stores, rounds, ms);
  await pool.end();
  await server.close();
  return results;
}

async function eachCount(name, stores, rounds, ms) {
  const results = [];
  for (const count of atATime) {
    const rates = Object.fromEntries(Object.keys(stores).map((how) => [how, []]));
    // The first round makes connections, tables and machine code.
    for (let round = 0; round <= rounds; round++) {
      for (const [how, store] of Object.entries(stores)) {
        const value = await perSecondFor(ms, count, store);
        if (round > 0) rates[how].push(value);
      }
    }
    results.push({ name, count, rates });
  }
  return results;
}

/** Each event begins in a turn of the event loop, as deliveries do. */
async function perSecondFor(ms, count, store) {
  const run = randomUUID();
  let events = 0;
  const started = performance.now();
  const worker = async () => {
    while (performance.now() - started < ms) {
      await new Promise(setImmediate);
      await claimAndComplete(store, `receiver:vast:${run}${events++}`);
    }
  };
  await Promise.all(Array.from({ length: count }, worker));
  return events / ((performance.now() - started) / 1000);
}

async function claimAndComplete(store, key) {
  const token = randomUUID();
  await store.claim(key, token, 30_000);
  await store.complete(key, token, 7 * 24 * 60 * 60_000);
}

function rate(values) {
  return Math.round(median(values)).toLocaleString('en');
}
