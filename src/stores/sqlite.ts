import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { anything, checkOptions } from '../util/check-options.js';
import { isBusy, type SqliteDatabase, SqliteTable } from './sqlite-table.js';
import { progressMs, SweepTurn } from './sweep.js';

/**
 * A lease that began later than now was taken before the clock was put back: it lies further ahead than its own length,
 * and is over. So much is ignored, because a clock that is corrected by a little must not end the leases of the moment.
 */
const clockSlackMs = 1_000;

/** What `sqliteStore` takes beside the database. */
export interface SqliteStoreOptions {
  /** The table, made on first use: `vast_webhook`. */
  readonly table?: string;
}

/**
 * An idempotency store in a SQLite database, for one machine: it survives restarts, and several processes may share
 * the file. Takes a handle of better-sqlite3 or `node:sqlite`, whose busy timeout it limits to 250 ms and whose file
 * it switches to write-ahead logging. Throws a `TypeError` for anything else.
 */
export function sqliteStore(db: SqliteDatabase, options: SqliteStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { table: anything }, 'sqliteStore');
  const { table = 'vast_webhook' } = options;
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
        // Of the lease of what is held, and of what is known of the rest.
        'until INTEGER NOT NULL',
        'delivered TEXT NOT NULL',
      ],
      // When the lease began, by which a clock that was put back is noticed.
      added: ['held_at INTEGER'],
      key: 'key',
      indexes: ['(until)'],
    });
    // It may be a word of SQL.
    this.#sql = statements(`"${table}"`);
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    try {
      return this.#claim(key, token, leaseMs);
    } catch (error) {
      // To release it would be one more write for a file that has too many already.
      throw isBusy(error) ? Object.assign(error, { unclaimed: true }) : error;
    }
  }

  #claim(key: string, token: string, leaseMs: number): ClaimResult {
    const now = Date.now();
    if (this.#sweepTurn.next()) this.#table.run(this.#sql.sweep, now - progressMs);
    const until = now + Math.ceil(leaseMs);
    const taken = this.#table.get(this.#sql.claim, key, token, until, now, now, progressMs, now, now + clockSlackMs);
    if (taken != null) return { state: 'acquired', delivered: JSON.parse((taken as { delivered: string }).delivered) };
    const row = Object(this.#table.get(this.#sql.look, key)) as { state?: string; until?: number };
    if (row.state === 'completed') return { state: row.state };
    // Released since the attempt, it is free for the next one.
    return { state: 'in_flight', retryAfterMs: row.state === 'held' ? Math.max(1, Number(row.until) - now) : 1 };
  }

  renew(key: string, token: string, leaseMs: number): boolean {
    const now = Date.now();
    return this.#table.run(this.#sql.renew, now + Math.ceil(leaseMs), now, key, token) === 1;
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
      INSERT INTO ${table} AS event (key, state, token, until, held_at, delivered) VALUES (?, 'held', ?, ?, ?, '[]')
      ON CONFLICT (key) DO UPDATE SET
        state = 'held', token = excluded.token, until = excluded.until, held_at = excluded.held_at,
        delivered = CASE WHEN event.until > ? - CASE event.state WHEN 'held' THEN ? ELSE 0 END
          THEN event.delivered ELSE '[]' END
      WHERE event.state = 'released' OR event.until <= ? OR event.token = excluded.token
        OR event.state = 'held' AND event.held_at > ?
      RETURNING delivered`,
    look: `SELECT state, until FROM ${table} WHERE key = ?`,
    renew: `UPDATE ${table} SET until = ?, held_at = ? ${held}`,
    delivered: `
      UPDATE ${table} SET delivered = CASE WHEN EXISTS (SELECT 1 FROM json_each(delivered) WHERE value = ?)
        THEN delivered ELSE json_insert(delivered, '$[#]', ?) END ${held}`,
    complete: `UPDATE ${table} SET state = 'completed', token = NULL, until = ?, delivered = '[]' ${held}`,
    // With nothing told there is nothing to keep.
    release: `
      UPDATE ${table} SET state = 'released', token = NULL, until = CASE delivered WHEN '[]' THEN 0 ELSE ? END ${held}`,
    // Nothing is deleted in the day for which a holder's record outlives its lease.
    sweep: `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} WHERE until <= ? LIMIT 256)`,
  };
}
