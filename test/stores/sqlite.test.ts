import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ClaimResult, IdempotencyStore } from '../../src/contracts/store.js';
import { type SqliteDatabase, sqliteStore } from '../../src/stores/index.js';
import { signed } from '../support/adapters.js';
import { remoteStore } from '../support/remote-store.js';
import { type SqliteClient, type SqliteHandle, sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { conformsAcrossProcesses, conformsInOneProcess } from './conforms.js';
import { make } from './factories/sqlite.js';
import { serveWith } from './service.js';

const factories = new URL('factories/sqlite.ts', import.meta.url);
const minute = 60_000;
const day = 24 * 60 * minute;
const acquired = { state: 'acquired', delivered: [] };
const completed = { state: 'completed' };
const inFlight = { state: 'in_flight', retryAfterMs: expect.any(Number) };

/** node:sqlite says the first of a new statement or transaction, the second of a statement that it has. */
const isClosed = /not open|statement has been finalized/;
const handles = sqliteHandles();

describe.each(handles)('sqliteStore on $client', ({ client, open }) => {
  /** A handle for the running test. */
  function opened(file: string, options?: { readonly readOnly?: boolean }): SqliteHandle {
    const db = open(file, options);
    onTestFinished(() => closeAnyway(db));
    return db;
  }

  const aFile = () => temporaryFile('events.sqlite');
  const aDatabase = () => opened(aFile());

  describe('on one file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    const args = () => ({ client, file: join(folder, 'events.sqlite') });
    conformsInOneProcess(make, args);
    conformsAcrossProcesses(factories, make, args);
  });

  describe('its table', () => {
    it('is made by the first call, and of 64 first claims by 6 processes exactly one wins', async () => {
      const file = aFile();
      const clients = handles.map((handle) => handle.client);
      const stores = await Promise.all(
        Array.from({ length: 6 }, (_, i) =>
          remoteStore(factories, 'make', { file, client: clients[i % clients.length] as SqliteClient }),
        ),
      );
      onTestFinished(() => Promise.all(stores.map((store) => store.close())).then(() => {}));

      const claims = Array.from({ length: 64 }, (_, i) => stores[i % 6]?.claim('k', `racer ${i}`, minute));
      expect(await Promise.all(claims)).toSatisfy(isWonOnce);
    });

    it('is created again after it was dropped', async () => {
      const db = aDatabase();
      const service = await serveWith(sqliteStore(db));
      await service.takes();
      db.exec('DROP TABLE vast_webhook');
      await service.takes();
    });

    it('whose making was interrupted gets its indexes when it is opened', async () => {
      const db = aDatabase();
      db.exec(`
        CREATE TABLE vast_webhook (key TEXT NOT NULL, state TEXT NOT NULL, token TEXT, until INTEGER NOT NULL,
          delivered TEXT NOT NULL, PRIMARY KEY (key))`);
      await sqliteStore(db).claim('k', 'a', minute);
      const plan = db.prepare('EXPLAIN QUERY PLAN SELECT key FROM vast_webhook WHERE until <= 5').get();
      expect(plan).toMatchObject({ detail: expect.stringContaining('USING INDEX vast_webhook_0') });
    });

    it('of version 0.1.0 is used, and its leases go on', async () => {
      const db = aDatabase();
      db.exec(`
        CREATE TABLE vast_webhook (key TEXT NOT NULL, state TEXT NOT NULL, token TEXT, until INTEGER NOT NULL,
          delivered TEXT NOT NULL, PRIMARY KEY (key));
        INSERT INTO vast_webhook VALUES ('held', 'held', 'a', ${Date.now() + minute}, '["slack"]');
        INSERT INTO vast_webhook VALUES ('done', 'completed', NULL, ${Date.now() + minute}, '[]')`);
      const store = sqliteStore(db);
      expect(await store.claim('held', 'b', minute)).toEqual(inFlight);
      expect(await store.claim('done', 'b', minute)).toEqual(completed);
      expect(await store.release('held', 'a', minute)).toBe(true);
      expect(await store.claim('held', 'b', minute)).toEqual({ state: 'acquired', delivered: ['slack'] });
    });

    it('is named by `table`, and shared with no store of another name', async () => {
      const db = aDatabase();
      const names = ['vast_webhook', 'other', 'Events_2', '_', 'order', 'SELECT'];
      const stores = names.map((table) => sqliteStore(db, { table }));
      for (const store of stores) expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      for (const store of stores) expect(await store.claim('k', 'b', minute)).toEqual(inFlight);
      const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").all();
      expect(tables.map((row) => (row as { name: string }).name)).toEqual(names);
    });

    it.each(['', 'two words', 'a.b', '"', "it's", 'ev-ents', '1st', 'é', 'a; DROP TABLE b', 5, null])(
      'cannot be named %j: a TypeError',
      (table) => {
        const db = aDatabase();
        expect(() => sqliteStore(db, { table: table as string })).toThrow(
          new TypeError('sqliteStore: table must be a name of letters, digits and underscores'),
        );
      },
    );

    it('is kept small without a separate job: claims delete expired rows, and no others', async () => {
      vi.useFakeTimers({ toFake: ['Date'] });
      onTestFinished(() => void vi.useRealTimers());
      const db = aDatabase();
      const store = sqliteStore(db);
      for (let i = 0; i < 50; i++) {
        for (const kind of ['held', 'completed', 'released']) await store.claim(`${kind} ${i}`, 'a', 3 * day);
        await store.complete(`completed ${i}`, 'a', 4 * day);
        for (const kind of ['held', 'released']) await store.delivered(`${kind} ${i}`, 'a', 'slack');
        await store.release(`released ${i}`, 'a', 4 * day);
      }
      const claim64 = async () => {
        for (let i = 0; i < 64; i++) {
          await store.claim('another', 'a', 1);
          await store.complete('another', 'a', 1);
        }
      };

      vi.setSystemTime(Date.now() + 4 * day - 1_000);
      await claim64();
      for (const kind of ['held', 'released']) {
        expect(await store.claim(`${kind} 0`, 'b', 1)).toEqual({ state: 'acquired', delivered: ['slack'] });
      }
      expect(await store.claim('completed 0', 'b', 1)).toEqual(completed);

      vi.setSystemTime(Date.now() + 2 * day);
      await claim64();
      expect(rows(db)).toEqual(['another']);
    });
  });

  describe('the handle', () => {
    it('writes ahead, so that readers do not stop the writer', async () => {
      const file = aFile();
      const db = opened(file);
      const store = sqliteStore(db);
      await store.claim('before', 'a', minute);
      expect(pragma(opened(file), 'journal_mode')).toBe('wal');

      const reader = opened(file);
      reader.exec('BEGIN');
      rows(reader);
      expect(await store.claim('meanwhile', 'a', minute)).toEqual(acquired);
    });

    it.each([
      ['5000', 250],
      ['0', 250],
      ['100', 100],
    ])('with a busy timeout of %s ms waits for %i ms', async (set, kept) => {
      const db = aDatabase();
      db.exec(`PRAGMA busy_timeout = ${set}`);
      await sqliteStore(db).claim('k', 'a', minute);
      expect(pragma(db, 'busy_timeout')).toBe(kept);
    });

    it('may be of a database in memory', async () => {
      const store = sqliteStore(opened(':memory:'));
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      expect(await store.delivered('k', 'a', 'slack')).toBe(true);
      expect(await store.release('k', 'a', minute)).toBe(true);
      expect(await store.claim('k', 'b', minute)).toEqual({ state: 'acquired', delivered: ['slack'] });
      expect(await store.complete('k', 'b', minute)).toBe(true);
      expect(await store.claim('k', 'c', minute)).toEqual(completed);
    });

    it('may give numbers as bigints', async () => {
      const store = sqliteStore(withBigInts(client, opened));
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      expect(await store.claim('k', 'b', minute)).toEqual(inFlight);
      expect(await store.renew('k', 'a', minute)).toBe(true);
      expect(await store.delivered('k', 'a', 'slack')).toBe(true);
      expect(await store.complete('k', 'b', minute)).toBe(false);
      expect(await store.complete('k', 'a', minute)).toBe(true);
      expect(await store.claim('k', 'b', minute)).toEqual(completed);
    });

    it('may be in a transaction of the user’s, with whose end all of it is kept or undone', async () => {
      const file = aFile();
      const db = opened(file);
      const store = sqliteStore(db);
      const another = sqliteStore(opened(file));

      db.exec('BEGIN');
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      expect(await store.complete('k', 'a', minute)).toBe(true);
      db.exec('ROLLBACK');
      expect(await another.claim('k', 'b', 1)).toEqual(acquired);
      expect(await another.release('k', 'b', 1)).toBe(true);

      db.exec('BEGIN');
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      expect(await store.complete('k', 'a', minute)).toBe(true);
      db.exec('COMMIT');
      expect(await another.claim('k', 'b', minute)).toEqual(completed);
    });
  });

  describe('a commit that fails', () => {
    it('makes no claim: a reader without write-ahead logging stops it, until the reader is gone', async () => {
      const file = aFile();
      const setUp = opened(file);
      // In a transaction of the user's, so that the file stays without write-ahead logging.
      setUp.exec('BEGIN');
      await sqliteStore(setUp).claim('before', 'a', minute);
      setUp.exec('COMMIT');
      const reader = opened(file);
      reader.exec('BEGIN');
      rows(reader);

      const stores = [sqliteStore(opened(file)), sqliteStore(opened(file))];
      for (const [i, store] of stores.entries()) {
        await expect(store.claim('k', `holder ${i}`, minute)).rejects.toEqual(
          // Nothing was written, so that nothing has to be released.
          expect.objectContaining({ message: 'database is locked', unclaimed: true }),
        );
      }
      reader.exec('COMMIT');
      expect(await stores[0]?.claim('k', 'a', minute)).toEqual(acquired);
      expect(await stores[1]?.claim('k', 'b', minute)).toEqual(inFlight);
    });

    // A limit on the size of files stands for the full disk: both make the write at the commit fail.
    it.skipIf(process.platform === 'win32')('makes no claim: a full disk', async () => {
      const file = aFile();
      const store = await remoteStore(factories, 'makeLimited', { client, file }, { maxFileKilobytes: 256 });
      onTestFinished(() => store.kill());
      const granted: string[] = [];
      let failures = 0;
      for (let i = 0; failures < 20 && i < 10_000; i++) {
        try {
          if ((await store.claim(`k ${i}`, 'a', minute)).state === 'acquired') granted.push(`k ${i}`);
        } catch {
          failures++;
        }
      }
      expect(failures).toBe(20);
      await store.kill();
      const kept = new Set(rows(opened(file)));
      expect(granted.filter((key) => !kept.has(key))).toEqual([]);
    });
  });

  describe('the wall clock', () => {
    function atTime(time: number) {
      vi.useFakeTimers({ toFake: ['Date'], now: time });
      onTestFinished(() => void vi.useRealTimers());
    }
    const noon = Date.UTC(2026, 0, 1, 12);

    it('put back by an hour ends the leases from before, because their holders may have crashed', async () => {
      atTime(noon);
      const store = sqliteStore(aDatabase());
      await store.claim('k', 'a', minute);
      await store.delivered('k', 'a', 'slack');
      vi.setSystemTime(noon - 60 * minute);
      expect(await store.claim('k', 'b', minute)).toEqual({ state: 'acquired', delivered: ['slack'] });
      expect(await store.renew('k', 'a', minute)).toBe(false);
      expect(await store.claim('k', 'c', minute)).toEqual(inFlight);
    });

    it('put back does not end a lease that is renewed after it', async () => {
      atTime(noon);
      const store = sqliteStore(aDatabase());
      await store.claim('k', 'a', minute);
      vi.setSystemTime(noon - 60 * minute);
      expect(await store.renew('k', 'a', minute)).toBe(true);
      expect(await store.claim('k', 'b', minute)).toEqual({ state: 'in_flight', retryAfterMs: minute });
    });

    it('corrected by less than a second ends no lease', async () => {
      atTime(noon);
      const store = sqliteStore(aDatabase());
      await store.claim('k', 'a', minute);
      vi.setSystemTime(noon - 999);
      expect(await store.claim('k', 'b', minute)).toEqual(inFlight);
    });

    it('that is restored keeps completed events', async () => {
      atTime(noon);
      const store = sqliteStore(aDatabase());
      await store.claim('k', 'a', minute);
      await store.complete('k', 'a', day);
      vi.setSystemTime(noon - 60 * minute);
      expect(await store.claim('k', 'b', minute)).toEqual(completed);
    });
  });

  describe('a file that another process has locked', () => {
    it('is waited for as long as the busy timeout, not longer, and used again when it is free', async () => {
      const file = aFile();
      const db = opened(file);
      // The client's own: longer than the store's on any machine.
      db.exec('PRAGMA busy_timeout = 120000');
      const service = await serveWith(sqliteStore(db));
      await service.takes();

      const locker = await remoteStore(factories, 'makeLocked', { client, file });
      onTestFinished(() => locker.close());
      const event = signed();
      const start = performance.now();
      await service.refuses(/failed to claim: database is locked/, { message: event });
      expect(performance.now() - start).toBeLessThan(60_000);

      await locker.kill();
      await service.takes(event);
      expect(await service.deliver(event)).toBe(204);
      expect(service.handled).toHaveLength(2);
    });

    it('stops the process for no call that comes soon after one has waited in vain, until it is free', async () => {
      vi.useFakeTimers({ toFake: ['performance'] });
      onTestFinished(() => void vi.useRealTimers());
      const file = aFile();
      const db = opened(file);
      const store = sqliteStore(db);
      await store.claim('before', 'a', minute);
      const locker = await remoteStore(factories, 'makeLocked', { client, file });
      onTestFinished(() => locker.close());
      const claims = Promise.allSettled([store.claim('k', 'a', minute), store.claim('k', 'a', minute)]);
      await nextTurn();
      await nextTurn();
      expect(pragma(db, 'busy_timeout')).toBe(0);
      vi.advanceTimersByTime(1_000);
      for (const result of await claims) expect(result).toMatchObject({ reason: { message: 'database is locked' } });
      await locker.kill();
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      expect(pragma(db, 'busy_timeout')).toBe(250);
    });

    it('may be locked from the start', async () => {
      const file = aFile();
      const locker = await remoteStore(factories, 'makeLocked', { client, file });
      onTestFinished(() => locker.close());
      const service = await serveWith(sqliteStore(opened(file)));
      await service.refuses(/database is locked/);
      await locker.kill();
      await service.takes();
    });
  });

  describe('bad input', () => {
    it('a database that may only be read', async () => {
      const file = aFile();
      const writer = opened(file);
      await sqliteStore(writer).claim('k', 'a', minute);
      const service = await serveWith(sqliteStore(opened(file, { readOnly: true })));
      await service.refuses(/readonly database/);
    });

    it('a database that may only be read, and has no table', async () => {
      const file = aFile();
      opened(file).exec('CREATE TABLE other (column TEXT)');
      const service = await serveWith(sqliteStore(opened(file, { readOnly: true })));
      await service.refuses(/readonly database/);
    });

    it('a full disk, until there is room', async () => {
      const db = aDatabase();
      const store = sqliteStore(db);
      const service = await serveWith(store);
      await service.takes();
      const pages = Number(pragma(db, 'page_count'));
      db.exec(`PRAGMA max_page_count = ${pages}`);
      await fill(store);
      await service.refuses(/database or disk is full/);
      db.exec(`PRAGMA max_page_count = ${pages + 100}`);
      await service.takes();
    });

    it('a table of another shape, until it is gone', async () => {
      const db = aDatabase();
      db.exec('CREATE TABLE vast_webhook (key TEXT PRIMARY KEY, state TEXT)');
      const service = await serveWith(sqliteStore(db));
      await service.refuses(
        /the table "vast_webhook" has no column "token", so it is not ours: choose another table name/,
      );
      await service.refuses(/has no column "token"/);
      db.exec('DROP TABLE vast_webhook');
      await service.takes();
    });

    it('a handle that is closed', async () => {
      const db = aDatabase();
      const service = await serveWith(sqliteStore(db));
      await service.takes();
      db.close();
      await service.refuses(isClosed);
      await service.refuses(/not open/);
    });

    if (client === 'node:sqlite') {
      it('a handle that is closed, until it is opened again', async () => {
        const db = aDatabase() as SqliteHandle & { open(): void };
        const service = await serveWith(sqliteStore(db));
        await service.takes();
        db.close();
        await service.refuses(isClosed);
        db.open();
        await service.takes();
      });
    }

    it('a file that is no database', async () => {
      const file = aFile();
      writeFileSync(file, 'not a database '.repeat(100));
      const service = await serveWith(sqliteStore(opened(file)));
      await service.refuses(/file is not a database/);
    });

    it('something that is no handle: a TypeError', () => {
      for (const db of [undefined, null, {}, 'events.sqlite', { prepare() {} }]) {
        expect(() => sqliteStore(db as unknown as SqliteDatabase)).toThrow(
          new TypeError(
            'sqliteStore: db must be a database of better-sqlite3 or bun:sqlite, or a DatabaseSync of node:sqlite',
          ),
        );
      }
    });
  });
});

function isWonOnce(answers: readonly (ClaimResult | undefined)[]): boolean {
  const states = answers.map((answer) => answer?.state);
  return states.filter((state) => state === 'acquired').length === 1 && !states.includes('completed');
}

function rows(db: SqliteHandle): string[] {
  return db
    .prepare('SELECT key FROM vast_webhook')
    .all()
    .map((row) => (row as { key: string }).key);
}

function pragma(db: SqliteHandle, name: string): unknown {
  return Object.values(db.prepare(`PRAGMA ${name}`).get() as object)[0];
}

/** Claims until no key fits any more, wherever in the index. */
async function fill(store: IdempotencyStore): Promise<void> {
  for (let refusals = 0; refusals < 50; ) {
    try {
      await store.claim(randomUUID(), 'a', minute);
    } catch {
      refusals++;
    }
  }
}

/** A handle that the user has set to give bigints, as far as its client has such a setting for the whole handle. */
function withBigInts(client: SqliteClient, opened: (file: string, options?: object) => SqliteHandle): SqliteDatabase {
  const db = opened(':memory:');
  if (client === 'better-sqlite3') {
    (db as unknown as { defaultSafeIntegers(on: boolean): void }).defaultSafeIntegers(true);
    return db;
  }
  return {
    exec: (sql) => db.exec(sql),
    prepare(sql) {
      const statement = db.prepare(sql);
      (statement as unknown as { setReadBigInts(on: boolean): void }).setReadBigInts(true);
      return statement;
    },
  };
}

function closeAnyway(db: SqliteHandle): void {
  try {
    db.close();
  } catch {
    // The test has closed it already.
  }
}
