import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { anything, type Check, checkOptions } from '../util/check-options.js';
import { GroupCommit } from './group-commit.js';
import { isBusy, type SqliteDatabase, SqliteTable, type Synchronous } from './sqlite-table.js';
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
  /**
   * What a power cut may take: nothing with `FULL`, the latest writes with `NORMAL`, so that their events are delivered
   * again. It is set for the whole handle. Default: `FULL`.
   */
  readonly synchronous?: 'FULL' | 'NORMAL';
}

/**
 * An idempotency store in a SQLite database, for one machine. It survives restarts and power cuts, and several processes
 * may share the file. `db` is a handle of better-sqlite3, `node:sqlite` or `bun:sqlite`. The store limits its busy
 * timeout to 250 ms, sets `synchronous`, and switches the file to write-ahead logging. Calls that come together share a
 * commit. While a transaction of yours is open on the handle, calls are part of it. Throws a `TypeError` for another
 * `db` or an invalid option.
 */
export function sqliteStore(db: SqliteDatabase, options: SqliteStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { table: anything, synchronous: fullOrNormal }, 'sqliteStore');
  const { table = 'vast_webhook', synchronous = 'FULL' } = options;
  return new SqliteStore(db, table, synchronous);
}

const fullOrNormal: Check = [(value) => value === 'FULL' || value === 'NORMAL', "'FULL' or 'NORMAL'"];

class SqliteStore implements IdempotencyStore {
  readonly #table: SqliteTable;
  readonly #sql: ReturnType<typeof statements>;
  readonly #commits: GroupCommit;
  readonly #sweepSchedule = new SweepSchedule();
  /** The event of this turn's first call, and whether calls of other events came after it. */
  #first: string | undefined;
  #hasOthers = false;
  /** Whether calls of several events came in the turn before. */
  #hadOthers = false;

  constructor(db: SqliteDatabase, table: string, synchronous: Synchronous) {
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
      synchronous,
    });
    this.#commits = new GroupCommit(this.#table);
    // Quoted, because the name may be a keyword of SQL.
    this.#sql = statements(`"${table}"`);
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult | Promise<ClaimResult> {
    try {
      const claimed = this.#call(key, () => this.#claim(key, token, leaseMs));
      return claimed instanceof Promise ? claimed.catch(unclaimed) : claimed;
    } catch (error) {
      return unclaimed(error);
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
    // Not by `now`, because the claim may have waited for the file while the holder claimed the event.
    const leftMs = Number(row.until) - Date.now();
    // If the event was released after the attempt, the sender can retry at once.
    return { state: 'in_flight', retryAfterMs: row.state === 'held' ? Math.max(1, leftMs) : 1 };
  }

  renew(key: string, token: string, leaseMs: number): boolean | Promise<boolean> {
    return this.#change(key, () => {
      const now = Date.now();
      return this.#table.run(this.#sql.renew, now + Math.ceil(leaseMs), now, key, token);
    });
  }

  delivered(key: string, token: string, sink: string): boolean | Promise<boolean> {
    return this.#change(key, () => this.#table.run(this.#sql.delivered, sink, sink, key, token));
  }

  complete(key: string, token: string, ttlMs: number): boolean | Promise<boolean> {
    return this.#change(key, () => this.#table.run(this.#sql.complete, Date.now() + Math.ceil(ttlMs), key, token));
  }

  release(key: string, token: string, ttlMs: number): boolean | Promise<boolean> {
    return this.#change(key, () => this.#table.run(this.#sql.release, Date.now() + Math.ceil(ttlMs), key, token));
  }

  /** `run` returns how many rows it has changed. */
  #change(key: string, run: () => number): boolean | Promise<boolean> {
    return this.#call(key, () => run() === 1);
  }

  #call<T>(key: string, run: () => T): T | Promise<T> {
    if (this.#mustWait(key)) return this.#commits.add(run);
    try {
      return run();
    } catch (error) {
      // Another process commits one event after the other. A shared commit waits for its turn without blocking.
      if (isBusy(error) && this.#table.isInTransaction === false) return this.#commits.add(run);
      throw error;
    }
  }

  /**
   * Whether a call must wait for the end of the turn, to share a commit, or because it must not overtake others that
   * wait. Not while one event at a time comes, and not in a transaction of the user's, which the call is a part of.
   */
  #mustWait(key: string): boolean {
    if (this.#first === undefined) {
      this.#first = key;
      setImmediate(() => this.#endTurn());
    } else if (key !== this.#first) {
      this.#hasOthers = true;
    }
    const mustWait = this.#hasOthers || this.#hadOthers || !this.#commits.isIdle;
    return mustWait && this.#table.isInTransaction === false;
  }

  #endTurn(): void {
    this.#first = undefined;
    this.#hadOthers = this.#hasOthers;
    this.#hasOthers = false;
  }
}

/** Nothing was claimed. So spare the locked file the release that follows a failed claim. */
function unclaimed(error: unknown): never {
  throw isBusy(error) ? Object.assign(error, { unclaimed: true }) : error;
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
    sweep: `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE until <= ? LIMIT 256)`,
  };
}
