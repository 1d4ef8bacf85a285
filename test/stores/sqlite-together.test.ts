import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type SqliteDatabase, type SqliteStoreOptions, sqliteStore } from '../../src/stores/index.js';
import { remoteStore } from '../support/remote-store.js';
import { type SqliteHandle, sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { claimTogether, makeEvents } from './together.js';

const factories = new URL('factories/sqlite.ts', import.meta.url);
const minute = 60_000;
const acquired = { state: 'acquired', delivered: [] };
const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);

/** So that no commit ends early because the machine is busy. */
function stopTheClock(): void {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
}

describe.each(sqliteHandles())('calls of sqliteStore on $client that come in one turn', ({ client, open }) => {
  function opened(file: string): SqliteHandle {
    const db = open(file);
    onTestFinished(() => closeAnyway(db));
    return db;
  }

  /** The handle, and the statements that it has executed. */
  function watched(db: SqliteHandle): { executed: string[]; handle: SqliteDatabase } {
    const executed: string[] = [];
    const handle: SqliteDatabase = {
      exec(sql) {
        executed.push(sql);
        return db.exec(sql);
      },
      prepare: (sql) => db.prepare(sql),
      get inTransaction() {
        return db.inTransaction ?? (db.isTransaction as boolean);
      },
    };
    return { executed, handle };
  }

  /** A store whose table is there. */
  async function aStore() {
    const file = temporaryFile('events.sqlite');
    const db = opened(file);
    const { executed, handle } = watched(db);
    const store = sqliteStore(handle);
    store.claim('first', 'a', minute);
    await nextTurn();
    const kept = () => rows(opened(file));
    return { store, db, file, kept, commits: () => executed.filter((sql) => sql === 'COMMIT').length };
  }

  it('share a commit, each with an answer of its own', async () => {
    stopTheClock();
    const { store, commits } = await aStore();
    await makeEvents(store);
    await nextTurn();
    const before = commits();
    await claimTogether(store);
    expect(commits() - before).toBe(1);

    const held = await Promise.all([
      store.renew('new', 'b', minute),
      store.complete('new', 'b', minute),
      store.delivered('partly', 'b', 'audit'),
      store.release('partly', 'b', minute),
      store.complete('held', 'b', minute),
    ]);
    expect(held).toEqual([true, true, true, true, false]);
    expect(commits() - before).toBe(2);
    expect(await store.claim('partly', 'c', minute)).toEqual({ state: 'acquired', delivered: ['slack', 'audit'] });
  });

  it('wait for nobody while one event comes at a time', async () => {
    const { store, commits } = await aStore();
    for (const key of keys) {
      await nextTurn();
      expect(store.claim(key, 'a', minute)).toEqual(acquired);
      expect(store.delivered(key, 'a', 'slack')).toBe(true);
      expect(store.complete(key, 'a', minute)).toBe(true);
    }
    // Each statement commits by itself.
    expect(commits()).toBe(0);
  });

  it('wait for nobody again, once events come one at a time again', async () => {
    const { store } = await aStore();
    await Promise.all(keys.map((key) => store.claim(key, 'a', minute)));
    await store.complete('k0', 'a', minute);
    await nextTurn();
    expect(store.complete('k1', 'a', minute)).toBe(true);
  });

  it('are committed when they are answered, and not before', async () => {
    stopTheClock();
    const { store, kept } = await aStore();
    const claims = keys.map((key) => store.claim(key, 'a', minute));
    expect(kept()).toEqual(['first', 'k0']);
    await claims[1];
    expect(kept()).toEqual(['first', ...keys]);
  });

  it('fail alone, when one of them spoils the transaction', async () => {
    const { store, db, kept } = await aStore();
    db.exec(`
      CREATE TRIGGER spoils AFTER INSERT ON vast_webhook WHEN NEW.key IN ('k7', 'k9') BEGIN
        SELECT CASE NEW.key WHEN 'k7' THEN RAISE(ABORT, 'not k7') ELSE RAISE(ROLLBACK, 'not k9') END;
      END`);
    const bad = ['k7', 'k9', 'k12'];
    const claims = keys.map((key) => store.claim(key, key === 'k12' ? (Symbol('no token') as never) : 'a', minute));
    const results = await Promise.allSettled(claims);
    expect(results.map(({ status }) => status)).toEqual(
      keys.map((key) => (bad.includes(key) ? 'rejected' : 'fulfilled')),
    );
    expect([7, 9].map((i) => Object(results[i]).reason.message)).toEqual(['not k7', 'not k9']);
    expect(kept()).toEqual(['first', ...keys.filter((key) => !bad.includes(key))]);
  });

  it('leave the event loop to others after some of them', async () => {
    const { store, commits } = await aStore();
    const others: number[] = [];
    let isDone = false;
    const counting = (async () => {
      while (!isDone) {
        await nextTurn();
        others.push(commits());
      }
    })();
    await Promise.all(Array.from({ length: 1_000 }, (_, i) => store.claim(`many ${i}`, 'a', minute)));
    isDone = true;
    await counting;
    expect(commits()).toBeGreaterThanOrEqual(4);
    expect(others).toEqual(expect.arrayContaining(Array.from({ length: commits() }, (_, i) => i)));
  });

  it('are overtaken by no later call of their event', async () => {
    const { store } = await aStore();
    const claims = Array.from({ length: 2_000 }, (_, i) => store.claim(`k${i}`, 'a', minute));
    await nextTurn();
    store.claim('another', 'a', minute);
    await nextTurn();
    expect(await store.complete('k1999', 'a', minute)).toBe(true);
    expect(await claims[1999]).toEqual(acquired);
  });

  it('go one by one on a handle that does not say whether a transaction is open', async () => {
    const db = opened(temporaryFile('events.sqlite'));
    const store = sqliteStore({ exec: (sql) => db.exec(sql), prepare: (sql) => db.prepare(sql) });
    expect(keys.map((key) => store.claim(key, 'a', minute))).toEqual(keys.map(() => acquired));
  });

  describe('and a transaction of the user’s', () => {
    it('that is open: they are part of it', async () => {
      const { store, db, commits, kept } = await aStore();
      db.exec('BEGIN');
      expect(keys.map((key) => store.claim(key, 'a', minute))).toEqual(keys.map(() => acquired));
      expect(kept()).toEqual(['first']);
      db.exec('ROLLBACK');
      expect(kept()).toEqual(['first']);
      expect(commits()).toBe(0);
    });

    it('that begins after them: they wait for its end, whether it commits or not', async () => {
      const { store, db, kept } = await aStore();
      const claims = keys.map((key) => store.claim(key, 'a', minute));
      db.exec("BEGIN; DELETE FROM vast_webhook WHERE key = 'first'");
      await nextTurn();
      await nextTurn();
      db.exec('ROLLBACK');
      expect(kept()).toEqual(['first', 'k0']);
      expect(await Promise.all(claims)).toEqual(keys.map(() => acquired));
      expect(kept()).toEqual(['first', ...keys]);
    });

    it('that begins after them and stays open: they fail, and it goes on', async () => {
      stopTheClock();
      const { store, db, kept } = await aStore();
      const claims = Promise.allSettled(keys.map((key) => store.claim(key, 'a', minute)));
      db.exec("BEGIN; DELETE FROM vast_webhook WHERE key = 'first'");
      await nextTurn();
      await nextTurn();
      vi.advanceTimersByTime(1_000);
      const [, ...results] = await claims;
      for (const { status } of results) expect(status).toBe('rejected');
      db.exec('COMMIT');
      expect(kept()).toEqual(['k0']);
      expect(await store.claim('k1', 'a', minute)).toEqual(acquired);
    });
  });

  describe('and a file that another process has locked', () => {
    async function locked(file: string) {
      const locker = await remoteStore(factories, 'makeLocked', { client, file });
      onTestFinished(() => locker.close());
      return locker;
    }

    it('wait for it without stopping the event loop', async () => {
      const { store, file } = await aStore();
      const locker = await locked(file);
      const claims = keys.map(async (key) => store.claim(key, 'a', minute));
      let settled = 0;
      for (const claim of claims) void claim.finally(() => settled++);
      for (let i = 0; i < 10; i++) await nextTurn();
      expect(settled).toBe(0);
      await locker.kill();
      expect(await Promise.all(claims)).toEqual(claims.map(() => acquired));
    });

    it('wait for it, too, when there is only one of them', async () => {
      const { store, file } = await aStore();
      const locker = await locked(file);
      const claim = store.claim('alone', 'a', minute);
      const completed = store.complete('first', 'a', minute);
      await locker.kill();
      expect(await Promise.all([claim, completed])).toEqual([acquired, true]);
    });

    it('fail after a while, and nothing of them is claimed', async () => {
      stopTheClock();
      const { store, file, kept } = await aStore();
      const locker = await locked(file);
      const claims = Promise.allSettled(keys.map(async (key) => store.claim(key, 'a', minute)));
      await nextTurn();
      await nextTurn();
      vi.advanceTimersByTime(1_000);
      for (const result of await claims) {
        expect(result).toMatchObject({ reason: { message: 'database is locked', unclaimed: true } });
      }
      await locker.kill();
      expect(kept()).toEqual(['first']);
      expect(await store.claim('k1', 'a', minute)).toEqual(acquired);
    });

    it('stop the process once at most, also when readers are locked out from the start', async () => {
      stopTheClock();
      const file = temporaryFile('events.sqlite');
      opened(file).exec('CREATE TABLE other (column TEXT)');
      const locker = await locked(file);
      const { executed, handle } = watched(opened(file));
      const store = sqliteStore(handle);
      const claims = Promise.allSettled(keys.map(async (key) => store.claim(key, 'a', minute)));
      await nextTurn();
      await nextTurn();
      vi.advanceTimersByTime(1_000);
      for (const result of await claims) expect(result).toMatchObject({ reason: { message: 'database is locked' } });
      expect(executed.filter((sql) => sql === 'PRAGMA busy_timeout = 250')).toHaveLength(1);
      await locker.kill();
      expect(await store.claim('k1', 'a', minute)).toEqual(acquired);
    });

    it('and a reader that stops their commit without write-ahead logging: they wait for it', async () => {
      const file = temporaryFile('events.sqlite');
      const setUp = opened(file);
      // In a transaction of the user's, so that the file stays without write-ahead logging.
      setUp.exec('BEGIN');
      sqliteStore(setUp).claim('before', 'a', minute);
      setUp.exec('COMMIT');
      const reader = opened(file);
      reader.exec('BEGIN');
      rows(reader);
      const store = sqliteStore(opened(file));
      const claims = keys.map(async (key) => store.claim(key, 'a', minute));
      for (let i = 0; i < 3; i++) await nextTurn();
      reader.exec('COMMIT');
      expect(await Promise.all(claims)).toEqual(claims.map(() => acquired));
    });
  });

  describe('and the end', () => {
    it('of the handle: they fail', async () => {
      const { store, db } = await aStore();
      const claims = Promise.allSettled(keys.map((key) => store.claim(key, 'a', minute)));
      db.close();
      const [, ...results] = await claims;
      for (const result of results)
        expect(result).toMatchObject({ reason: { message: expect.stringMatching(/not open/) } });
    });

    it('of the process: what was answered is in the file', async () => {
      const file = temporaryFile('events.sqlite');
      const store = await remoteStore(factories, 'make', { client, file });
      const granted: string[] = [];
      const claims = Array.from({ length: 2_000 }, (_, i) =>
        Promise.resolve(store.claim(`k${i}`, 'a', minute)).then(
          () => granted.push(`k${i}`),
          () => {},
        ),
      );
      await claims[100];
      await store.kill();
      await Promise.all(claims);
      const kept = new Set(rows(opened(file)));
      expect(granted.length).toBeGreaterThan(100);
      expect(granted.filter((key) => !kept.has(key))).toEqual([]);
    });

    // A limit on the size of files stands for the full disk: both make the write at the commit fail.
    it.skipIf(process.platform === 'win32')('of the disk: what was answered is in the file', async () => {
      const file = temporaryFile('events.sqlite');
      const store = await remoteStore(factories, 'makeLimited', { client, file }, { maxFileKilobytes: 256 });
      onTestFinished(() => store.kill());
      const granted: string[] = [];
      const claims = Array.from({ length: 5_000 }, (_, i) =>
        Promise.resolve(store.claim(`k${i}`, 'a', minute)).then(() => void granted.push(`k${i}`)),
      );
      const results = await Promise.allSettled(claims);
      const failed = results.filter(({ status }) => status === 'rejected');
      expect(failed.length).toBeGreaterThan(0);
      await store.kill();
      const kept = new Set(rows(opened(file)));
      expect(granted.length).toBeGreaterThan(0);
      expect(granted.filter((key) => !kept.has(key))).toEqual([]);
    });
  });

  describe('what a power cut may take', () => {
    const level = (db: SqliteHandle) => Object.values(db.prepare('PRAGMA synchronous').get() as object)[0];

    it.each([
      [undefined, 'NORMAL', 2],
      ['FULL', 'OFF', 2],
      [undefined, 'EXTRA', 3],
      ['NORMAL', 'FULL', 1],
    ] as const)('with the option %s on a handle that is %s: level %i', (synchronous, before, expected) => {
      const db = opened(temporaryFile('events.sqlite'));
      db.exec(`PRAGMA synchronous = ${before}`);
      sqliteStore(db, { synchronous }).claim('k', 'a', minute);
      expect(level(db)).toBe(expected);
    });

    it('is set after a transaction of the user’s, in which SQLite refuses it', () => {
      const db = opened(temporaryFile('events.sqlite'));
      db.exec('PRAGMA synchronous = NORMAL');
      const store = sqliteStore(db);
      db.exec('BEGIN');
      expect(store.claim('k', 'a', minute)).toEqual(acquired);
      db.exec('COMMIT');
      expect(level(db)).toBe(1);
      expect(store.complete('k', 'a', minute)).toBe(true);
      expect(level(db)).toBe(2);
    });

    it('is FULL or NORMAL: otherwise a TypeError', () => {
      const options = { synchronous: 'full' } as unknown as SqliteStoreOptions;
      expect(() => sqliteStore(opened(':memory:'), options)).toThrow(
        new TypeError("sqliteStore: the option synchronous must be 'FULL' or 'NORMAL'"),
      );
    });
  });
});

function rows(db: SqliteHandle): string[] {
  const all = db.prepare('SELECT key FROM vast_webhook ORDER BY rowid').all();
  return all.map((row) => (row as { key: string }).key);
}

function closeAnyway(db: SqliteHandle): void {
  try {
    db.close();
  } catch {
    // The test has closed it already.
  }
}
