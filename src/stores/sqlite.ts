import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { anything, checkOptions } from '../util/check-options.js';
import { isBusy, type SqliteDatabase, SqliteTable } from './sqlite-table.js';
import { progressTtlMs, SweepSchedule } from './sweep.js';

/**
 * A lease that began in the future was claimed before the clock was set back. It counts as expired, because it would
 * end too late. A smaller difference is ignored, so that a small correction of the clock ends no running lease.
 */
const clockSlackMs = 1_000;

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /** Name of the table, which the store creates on first use. Default: `vast_webhook`. */
  readonly table?: string;
}

/**
 * An idempotency store in a SQLite database, for one machine. It survives restarts, and several processes may share the
 * file. `db` is a handle of better-sqlite3 or `node:sqlite`. The store limits its busy timeout to 250 ms, and switches
 * the file to write-ahead logging. Throws a `TypeError` for another `db` or an invalid option.
 */
export function sqliteStore(db: SqliteDatabase, options: SqliteStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { table: anything }, 'sqliteStore');
  const { table = 'vast_webhook' } = options;
  return new SqliteStore(db, table);
}

class SqliteStore implements IdempotencyStore {
  readonly #table: SqliteTable;
  readonly #sql: ReturnType<typeof statements>;
  readonly #sweepSchedule = new SweepSchedule();

  constructor(db: SqliteDatabase, table: string) {
    this.#table = new SqliteTable('sqliteStore', db, table, {
      columns: [
        'key TEXT NOT NULL',
        'state TEXT NOT NULL',
        'token TEXT',
        // When the lease of a claimed event ends. For other states, when the row expires.
        'until INTEGER NOT NULL',
        'delivered TEXT NOT NULL',
      ],
      // When the lease began, so that a clock that was set back is noticed.
      added: ['held_at INTEGER'],
      key: 'key',
      indexes: ['(until)'],
    });
    // Quoted, because the name may be a keyword of SQL.
    this.#sql = statements(`"${table}"`);
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    try {
      return this.#claim(key, token, leaseMs);
    } catch (error) {
      // Nothing was claimed. So spare the locked file the release that follows a failed claim.
      throw isBusy(error) ? Object.assign(error, { unclaimed: true }) : error;
    }
  }

  #claim(key: string, token: string, leaseMs: number): ClaimResult {
    const now = Date.now();
    if (this.#sweepSchedule.next()) this.#table.run(this.#sql.sweep, now - progressTtlMs);
    const until = now + Math.ceil(leaseMs);
    const taken = this.#table.get(this.#sql.claim, key, token, until, now, now, progressTtlMs, now, now + clockSlackMs);
    if (taken != null) return { state: 'acquired', delivered: JSON.parse((taken as { delivered: string }).delivered) };
    const row = Object(this.#table.get(this.#sql.look, key)) as { state?: string; until?: number };
    if (row.state === 'completed') return { state: row.state };
    // If the event was released after the attempt, the sender can retry at once.
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
    // Without deliveries there is nothing to keep.
    release: `
      UPDATE ${table} SET state = 'released', token = NULL, until = CASE delivered WHEN '[]' THEN 0 ELSE ? END ${held}`,
    // Deletes nothing during the day in which recorded deliveries outlive their lease.
    sweep: `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} WHERE until <= ? LIMIT 256)`,
  };
}
