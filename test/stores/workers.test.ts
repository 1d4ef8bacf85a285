import { afterEach, describe, expect, it } from 'vitest';
import {
  type D1,
  type D1Statement,
  type DurableObjectSqlStorage,
  d1Store,
  durableObjectStore,
} from '../../src/stores/index.js';
import { storeConformance } from '../../src/testing/index.js';
import { openHere, type SqliteHandle } from '../support/sqlite.js';

/** The rules run in workerd in `test/runtimes`. Here D1 and a Durable Object's storage are SQLite of this process. */
const opened: SqliteHandle[] = [];
afterEach(() => {
  for (const handle of opened.splice(0)) handle.close();
});

/** Runs a statement whose parameters are numbered, which not every client binds by position. */
function rowsOf(db: SqliteHandle, sql: string, values: readonly unknown[]): unknown[] {
  const inOrder: unknown[] = [];
  const text = sql.replaceAll(/\?(\d)/g, (_, number) => {
    inOrder.push(values[Number(number) - 1]);
    return '?';
  });
  if (/^\s*PRAGMA|^\s*BEGIN/i.test(sql)) throw new Error('not authorized: SQLITE_AUTH');
  const statement = db.prepare(text);
  if (/^\s*SELECT|RETURNING/i.test(sql)) return statement.all(...(inOrder as string[]));
  statement.run(...(inOrder as string[]));
  return [];
}

function database(): SqliteHandle {
  const db = openHere(':memory:');
  opened.push(db);
  return db;
}

function d1Of(db: SqliteHandle): D1 {
  interface Prepared extends D1Statement {
    run(): unknown[];
  }
  const prepared = (sql: string, values: readonly unknown[] = []): Prepared => ({
    bind: (...bound) => prepared(sql, bound),
    run: () => rowsOf(db, sql, values),
  });
  return {
    prepare: prepared,
    async batch(statements) {
      db.exec('BEGIN');
      try {
        const answers = statements.map((statement) => ({ results: (statement as Prepared).run() }));
        db.exec('COMMIT');
        return answers;
      } catch (error) {
        db.exec('ROLLBACK');
        throw new Error(`D1_ERROR: ${(error as Error).message}: SQLITE_ERROR`);
      }
    },
  };
}

function storageOf(db: SqliteHandle): DurableObjectSqlStorage {
  const exec: DurableObjectSqlStorage['sql']['exec'] = (sql, ...values) => {
    const rows = rowsOf(db, sql, values);
    return { toArray: () => rows };
  };
  return { sql: { exec } };
}

const stores = {
  d1Store: (db: SqliteHandle, table?: string) => d1Store(d1Of(db), { table }),
  durableObjectStore: (db: SqliteHandle, table?: string) => durableObjectStore(storageOf(db), { table }),
};

describe.each(Object.entries(stores))('%s', (name, storeOn) => {
  for (const { name: rule, run } of storeConformance(() => storeOn(shared()))) it(rule, run);

  let current: SqliteHandle | undefined;
  /** Both instances of a case share one database, and so may all cases. */
  function shared(): SqliteHandle {
    current ??= openHere(':memory:');
    return current;
  }

  it('makes its table when it is missing, also when it has been dropped', async () => {
    const db = database();
    const store = storeOn(db, 'events');
    expect(await store.claim('key', 'token', 1_000)).toEqual({ state: 'acquired', delivered: [] });
    db.exec('DROP TABLE events');
    expect(await store.renew('key', 'token', 1_000)).toBe(false);
    expect(await store.claim('key', 'other', 1_000)).toEqual({ state: 'acquired', delivered: [] });
  });

  it('does not touch a table of another kind, and says so', async () => {
    const db = database();
    db.exec('CREATE TABLE events (id INTEGER PRIMARY KEY)');
    await expect(async () => storeOn(db, 'events').claim('key', 'token', 1_000)).rejects.toThrow(
      /^the store's table belongs to something else \(.*\): choose another table name$/,
    );
  });

  it('is kept small without a separate job: claims delete expired rows, and no others', async () => {
    const db = database();
    const store = storeOn(db);
    await store.claim('first', 'token', 60_000);
    const day = 24 * 60 * 60_000;
    const insert = db.prepare('INSERT INTO vast_webhook (key, state, until, delivered) VALUES (?, ?, ?, ?)');
    for (let row = 0; row < 100; row++) {
      insert.run(`old ${row}`, 'completed', Date.now() - day - 60_000, '[]');
      insert.run(`recent ${row}`, 'completed', Date.now() - day + 60_000, '[]');
    }
    for (let claim = 0; claim < 64; claim++) await store.claim(`key ${claim}`, 'token', 60_000);
    const count = (like: string) =>
      Object.values(db.prepare('SELECT count(*) FROM vast_webhook WHERE key LIKE ?').get(like) as object)[0];
    expect([count('old %'), count('recent %'), count('key %')]).toEqual([0, 100, 64]);
  });

  it('ends a lease that was claimed before the clock was set back', async () => {
    const db = database();
    const store = storeOn(db);
    await store.claim('key', 'token', 60_000);
    db.exec('UPDATE vast_webhook SET held_at = held_at + 3600000, until = until + 3600000');
    expect(await store.claim('key', 'other', 60_000)).toMatchObject({ state: 'acquired' });
  });

  it.each([undefined, null, {}, 'DB', { prepare() {} }, { sql: {} }])('cannot be over %j: a TypeError', (handle) => {
    const make = name === 'd1Store' ? d1Store : durableObjectStore;
    expect(() => make(handle as never)).toThrow(new RegExp(`^${name}: (db|storage) must be `));
  });

  it.each(['', 'a b', 'x;', 5])('cannot have a table %j: a TypeError', (table) => {
    expect(() => storeOn(database(), table as string)).toThrow(`${name}: the option table must be a name of letters`);
  });
});
