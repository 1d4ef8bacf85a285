import { sqliteStore } from '../../../src/stores/index.js';
import { openSqlite, type SqliteClient } from '../../support/sqlite.js';

export interface SqliteArgs {
  readonly client: SqliteClient;
  readonly file: string;
  readonly table?: string;
}

export function make({ client, file, table }: SqliteArgs) {
  const db = openSqlite(client, file);
  return { store: sqliteStore(db, { table }), close: () => db.close() };
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
