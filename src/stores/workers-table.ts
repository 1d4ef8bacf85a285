import type { ClaimResult } from '../contracts/store.js';
import { type Check, checkOptions } from '../util/check-options.js';
import { progressTtlMs } from './sweep.js';

/** Options of `d1Store` and `durableObjectStore`. */
export interface WorkersStoreOptions {
  /** Name of the table, which the store creates on first use. Default: `vast_webhook`. */
  readonly table?: string;
}

const table: Check = [
  (name) => typeof name === 'string' && /^[a-z_][a-z0-9_]*$/i.test(name),
  'a name of letters, digits and underscores',
];

/** Throws a `TypeError` for an invalid option. */
export function workersStatements(owner: string, options: WorkersStoreOptions): WorkersStatements {
  checkOptions(options, { table }, owner);
  return statements(`"${options.table ?? 'vast_webhook'}"`);
}

export type WorkersStatements = ReturnType<typeof statements>;

/** A lease that began this far in the future was claimed before the clock was set back. It counts as expired. */
const clockSlackMs = 1_000;

/** SQLite on Workers takes no PRAGMA and no BEGIN. The clock is the database's, because many machines share it. */
function statements(name: string) {
  const now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";
  const later = `${now} + ?3`;
  const held = 'WHERE key = ?1 AND token = ?2';
  return {
    create: [
      `CREATE TABLE IF NOT EXISTS ${name} (
        key TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL, token TEXT, until INTEGER NOT NULL, held_at INTEGER,
        delivered TEXT NOT NULL)`,
      `CREATE INDEX IF NOT EXISTS "${name.slice(1, -1)}_0" ON ${name} (until)`,
    ],
    claim: `
      INSERT INTO ${name} AS event (key, state, token, until, held_at, delivered)
      VALUES (?1, 'held', ?2, ${later}, ${now}, '[]')
      ON CONFLICT (key) DO UPDATE SET
        state = 'held', token = excluded.token, until = excluded.until, held_at = excluded.held_at,
        delivered = CASE
          WHEN event.until > excluded.held_at - CASE event.state WHEN 'held' THEN ${progressTtlMs} ELSE 0 END
          THEN event.delivered ELSE '[]' END
      WHERE event.state = 'released' OR event.until <= excluded.held_at OR event.token = excluded.token
        OR event.state = 'held' AND event.held_at > excluded.held_at + ${clockSlackMs}
      RETURNING delivered`,
    look: `SELECT state, until - ${now} AS left FROM ${name} WHERE key = ?1`,
    renew: `UPDATE ${name} SET until = ${later}, held_at = ${now} ${held} RETURNING 1`,
    delivered: `
      UPDATE ${name} SET delivered = CASE WHEN EXISTS (SELECT 1 FROM json_each(delivered) WHERE value = ?3)
        THEN delivered ELSE json_insert(delivered, '$[#]', ?3) END ${held} RETURNING 1`,
    complete: `
      UPDATE ${name} SET state = 'completed', token = NULL, until = ${later}, delivered = '[]' ${held} RETURNING 1`,
    // Without deliveries there is nothing to keep.
    release: `
      UPDATE ${name} SET state = 'released', token = NULL,
        until = CASE delivered WHEN '[]' THEN 0 ELSE ${later} END ${held} RETURNING 1`,
    // Deletes nothing during the day in which recorded deliveries outlive their lease.
    sweep: `
      DELETE FROM ${name} WHERE key IN (SELECT key FROM ${name} WHERE until <= ${now} - ${progressTtlMs} LIMIT 256)`,
  };
}

/** `taken` is the row of the claim, if it was granted, and `row` is the event's. */
export function claimResultOf(taken: unknown, row: unknown): ClaimResult {
  if (taken != null) return { state: 'acquired', delivered: JSON.parse((taken as { delivered: string }).delivered) };
  const { state, left } = Object(row) as { state?: string; left?: number };
  if (state === 'completed') return { state };
  // If the event was released after the attempt, the sender can retry at once.
  return { state: 'in_flight', retryAfterMs: state === 'held' ? Math.max(1, Number(left)) : 1 };
}

export function isMissingTable(error: unknown): boolean {
  return /no such table/i.test(String(Object(error).message));
}

/** Adds advice to the error of a table that has other columns. */
export function explained(error: unknown): unknown {
  const message = String(Object(error).message);
  if (!/no such column|has no column|ON CONFLICT clause does not match/i.test(message)) return error;
  return new Error(`the store's table belongs to something else (${message}): choose another table name`, {
    cause: error,
  });
}
