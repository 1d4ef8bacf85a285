import Database from 'better-sqlite3';
import type { SqliteDatabase } from '../../src/stores/sqlite-table.js';

/** One file that outboxes of several processes share, in memory. */
export interface Table {
  /** A handle whose transactions fail where `isTroubled` says so. */
  handle(isTroubled: () => boolean): SqliteDatabase;
  has(id: string): boolean;
  /** Whether every row is told. */
  isDone(): boolean;
  close(): void;
}

/** Tables of worlds that are over, empty again: to make one costs more than a world. */
const spare: Table[] = [];

export function openTable(): Table {
  return spare.pop() ?? makeTable();
}

function makeTable(): Table {
  const db = new Database(':memory:');
  const exists = () =>
    db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 'vast_webhook_outbox'").get() as { n: number };
  const count = (where: string, ...values: string[]) =>
    exists().n === 0
      ? 0
      : (db.prepare(`SELECT count(*) AS n FROM vast_webhook_outbox WHERE ${where}`).get(...values) as { n: number }).n;
  const table: Table = {
    handle: (isTroubled) => ({
      exec(sql) {
        if (/^(BEGIN|COMMIT)/.test(sql) && isTroubled()) throw new Error('database is locked');
        return db.exec(sql);
      },
      prepare: (sql) => db.prepare(sql) as ReturnType<SqliteDatabase['prepare']>,
    }),
    has: (id) => count('event_id = ?', id) > 0,
    isDone: () => count("state <> 'told'") === 0,
    close() {
      if (db.inTransaction) db.exec('ROLLBACK');
      if (exists().n > 0) db.exec('DELETE FROM vast_webhook_outbox');
      spare.push(table);
    },
  };
  return table;
}
