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
  const statements = new Map<string, Database.Statement>();
  // All handles are this one, so that they can share what costs most.
  const prepare = (sql: string) => {
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = db.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  const numberOf = (sql: string, ...values: string[]) => (prepare(sql).get(...values) as { n: number }).n;
  let isMade = false;
  const exists = () => {
    isMade ||= numberOf("SELECT count(*) AS n FROM sqlite_master WHERE name = 'vast_webhook_outbox'") > 0;
    return isMade;
  };
  const count = (where: string, ...values: string[]) =>
    exists() ? numberOf(`SELECT count(*) AS n FROM vast_webhook_outbox WHERE ${where}`, ...values) : 0;
  const table: Table = {
    handle: (isTroubled) => ({
      exec(sql) {
        if (/^(BEGIN|COMMIT)/.test(sql) && isTroubled()) throw new Error('database is locked');
        return db.exec(sql);
      },
      prepare: (sql) => prepare(sql) as ReturnType<SqliteDatabase['prepare']>,
    }),
    has: (id) => count('event_id = ?', id) > 0,
    isDone: () => count("state <> 'told'") === 0,
    close() {
      if (db.inTransaction) db.exec('ROLLBACK');
      if (exists()) db.exec('DELETE FROM vast_webhook_outbox');
      spare.push(table);
    },
  };
  return table;
}
