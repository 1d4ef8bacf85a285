import type { ClaimResult, IdempotencyStore } from '../forward/store.js';
import { type SqliteDatabase, SqliteTable } from './sqlite-table.js';
import { progressMs, SweepTurn } from './sweep.js';

export interface SqliteStoreOptions {
  /** The table, made on first use: `vast_webhook`. */
  readonly table?: string;
}

/**
 * An idempotency store in a SQLite database, for one machine: it survives restarts, and several processes may share
 * the file. Takes a handle of better-sqlite3 or `node:sqlite`, whose busy timeout it limits to 250 ms and whose file
 * it switches to write-ahead logging. Throws a `TypeError` for anything else.
 */
export function sqliteStore(db: SqliteDatabase, { table = 'vast_webhook' }: SqliteStoreOptions = {}): IdempotencyStore {
  return new SqliteStore(db, table);
}

class SqliteStore implements IdempotencyStore {
  readonly #table: SqliteTable;
  readonly #sql: ReturnType<typeof statements>;
  readonly #sweepTurn = new SweepTurn();

  constructor(db: SqliteDatabase, table: string) {
    this.#table = new SqliteTable('sqliteStore', db, table, {
      columns: [
        'key TEXT NOT NULL',
        'state TEXT NOT NULL',
        'token TEXT',
        'lease_until INTEGER NOT NULL',
        'delivered TEXT NOT NULL',
        'expires_at INTEGER NOT NULL',
      ],
      key: 'key',
      indexes: ['(expires_at)'],
    });
    this.#sql = statements(table);
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    const now = Date.now();
    if (this.#sweepTurn.next()) this.#table.run(this.#sql.sweep, now);
    const until = now + Math.ceil(leaseMs);
    const taken = this.#table.get(this.#sql.claim, key, token, until, until + progressMs, now, now, now);
    if (taken != null) return { state: 'acquired', delivered: JSON.parse((taken as { delivered: string }).delivered) };
    const row = this.#table.get(this.#sql.look, key) as { state: string; lease_until: number } | null | undefined;
    if (row?.state === 'completed') return { state: 'completed' };
    // Given back since the attempt, it is free for the next one.
    return { state: 'in_flight', retryAfterMs: Math.max(1, Number(row?.lease_until ?? 0) - now) };
  }

  renew(key: string, token: string, leaseMs: number): boolean {
    const until = Date.now() + Math.ceil(leaseMs);
    return this.#table.run(this.#sql.renew, until, until + progressMs, key, token) === 1;
  }

  delivered(key: string, token: string, sink: string): boolean {
    return this.#table.run(this.#sql.delivered, sink, sink, key, token) === 1;
  }

  complete(key: string, token: string, ttlMs: number): boolean {
    return this.#table.run(this.#sql.complete, Date.now() + Math.ceil(ttlMs), key, token) === 1;
  }

  release(key: string, token: string, ttlMs: number): boolean {
    return this.#table.run(this.#sql.release, Date.now() + Math.ceil(ttlMs), key, token) === 1;
  }
}

function statements(table: string) {
  const held = 'WHERE key = ? AND token = ?';
  return {
    claim: `
      INSERT INTO ${table} AS old (key, state, token, lease_until, delivered, expires_at)
      VALUES (?, 'held', ?, ?, '[]', ?)
      ON CONFLICT (key) DO UPDATE SET
        state = 'held', token = excluded.token, lease_until = excluded.lease_until, expires_at = excluded.expires_at,
        delivered = CASE WHEN old.expires_at > ? THEN old.delivered ELSE '[]' END
      WHERE old.expires_at <= ? OR (old.state <> 'completed' AND old.lease_until <= ?)
      RETURNING delivered`,
    look: `SELECT state, lease_until FROM ${table} WHERE key = ?`,
    renew: `UPDATE ${table} SET lease_until = ?, expires_at = ? ${held}`,
    delivered: `
      UPDATE ${table} SET delivered = CASE WHEN EXISTS (SELECT 1 FROM json_each(delivered) WHERE value = ?)
        THEN delivered ELSE json_insert(delivered, '$[#]', ?) END ${held}`,
    complete: `
      UPDATE ${table} SET state = 'completed', token = NULL, lease_until = 0, delivered = '[]', expires_at = ? ${held}`,
    // With nothing told there is nothing to keep.
    release: `
      UPDATE ${table} SET state = 'released', token = NULL, lease_until = 0,
        expires_at = CASE delivered WHEN '[]' THEN 0 ELSE ? END ${held}`,
    sweep: `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} WHERE expires_at <= ? LIMIT 256)`,
  };
}
