import type { IdempotencyStore } from '../../../src/contracts/store.js';
import { sqliteStore } from '../../../src/stores/index.js';
import { openSqlite, type SqliteClient } from '../../support/sqlite.js';

export interface SqliteArgs {
  readonly client: SqliteClient;
  readonly file: string;
  readonly table?: string;
}

export function make({ client, file, table }: SqliteArgs) {
  const db = openSqlite(client, file);
  return { store: patient(sqliteStore(db, { table })), close: () => db.close() };
}

/** For a machine whose disk is so busy that another process's commit takes more than the store waits for. */
function patient(store: IdempotencyStore): IdempotencyStore {
  const until = async <T>(call: () => T | PromiseLike<T>): Promise<T> => {
    const giveUpAt = performance.now() + 60_000;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!/database is locked/.test(String(error)) || performance.now() > giveUpAt) throw error;
      }
    }
  };
  return {
    claim: (...args) => until(() => store.claim(...args)),
    renew: (...args) => until(() => store.renew(...args)),
    delivered: (...args) => until(() => store.delivered(...args)),
    complete: (...args) => until(() => store.complete(...args)),
    release: (...args) => until(() => store.release(...args)),
  };
}

/** A process that has the file for itself until it ends. */
export function makeLocked({ client, file }: SqliteArgs) {
  const db = openSqlite(client, file);
  db.exec('BEGIN EXCLUSIVE');
  return { store: sqliteStore(db), close: () => db.close() };
}

/** For a process whose files may have a limited size: over it, a write fails instead of ending the process. */
export function makeLimited(args: SqliteArgs) {
  process.on('SIGXFSZ' as NodeJS.Signals, () => {});
  return make(args);
}
