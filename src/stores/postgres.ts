import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { type Check, checkOptions, trueOrFalse } from '../util/check-options.js';
import { progressMs, SweepTurn } from './sweep.js';

/** A pool or client of `pg`, as far as it is used. */
export interface Postgres {
  /** Runs one statement, prepared under its `name` if it has one. Rejects when it fails. */
  query(query: PostgresQuery): Promise<Result>;
}

interface Result {
  readonly rows: unknown[];
  readonly rowCount?: number | null;
}

interface PostgresQuery {
  name?: string;
  text: string;
  values?: unknown[];
}

/** What `postgresStore` takes beside the client. */
export interface PostgresStoreOptions {
  /** The table, made on first use: `vast_webhook`. */
  readonly table?: string;
  /** Where the table is, unless it is to be found by the search path. Has to exist. */
  readonly schema?: string;
  /**
   * Whether statements are prepared once a connection, which makes a claim three times as fast. True, but a pooler in
   * transaction mode may not allow it: PgBouncer before 1.21, and up to 1.23 unless `max_prepared_statements` is set.
   */
  readonly prepare?: boolean;
}

/**
 * An idempotency store in Postgres, for any number of machines. Takes a pool of `pg`, or a client, with which it takes
 * part in the transaction that the client is in. Throws a `TypeError` for anything else.
 */
export function postgresStore(client: Postgres, options: PostgresStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { table: identifier, schema: identifier, prepare: trueOrFalse }, 'postgresStore');
  const { table = 'vast_webhook', schema, prepare = true } = options;
  if (typeof client?.query !== 'function') throw new TypeError('postgresStore: client must be a pool or client of pg');
  const name = [...(schema === undefined ? [] : [quoted(schema)]), quoted(table)].join('.');
  return new PostgresStore(client, statements(name), prepare);
}

const identifier: Check = [
  (name) => typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= 63 && !name.includes('\0'),
  'a name of 1 to 63 bytes',
];

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

class PostgresStore implements IdempotencyStore {
  readonly #client: Postgres;
  readonly #prepare: boolean;
  readonly #sql: ReturnType<typeof statements>;
  readonly #sweepTurn = new SweepTurn();
  #hasTable = false;
  #creating: Promise<void> | undefined;

  constructor(client: Postgres, sql: ReturnType<typeof statements>, prepare: boolean) {
    this.#client = client;
    this.#sql = sql;
    this.#prepare = prepare;
  }

  claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    const claimed = this.#query(this.#sql.claim, [key, token, leaseMs], claimResultOf);
    if (!this.#sweepTurn.next()) return claimed;
    // Waited for, since a client that is in a transaction takes one query after the other.
    return claimed.then((result) => this.#sweep().then(() => result));
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#query(this.#sql.renew, [key, token, leaseMs], hasChanged);
  }

  delivered(key: string, token: string, sink: string): Promise<boolean> {
    return this.#query(this.#sql.delivered, [key, token, sink], hasChanged);
  }

  complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#query(this.#sql.complete, [key, token, ttlMs], hasChanged);
  }

  release(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#query(this.#sql.release, [key, token, ttlMs], hasChanged);
  }

  /** The next turn makes up for one that failed. */
  #sweep(): Promise<unknown> {
    return this.#query(this.#sql.sweep, [], hasChanged).catch(() => {});
  }

  /** `read` makes sense of the result. Once there is a table, it takes no promise more than the client's. */
  #query<T>({ name, text }: Statement, values: unknown[], read: (result: Result) => T): Promise<T> {
    const query = this.#prepare ? { name, text, values } : { text, values };
    if (this.#hasTable) return this.#client.query(query).then(read, (error) => this.#failed(error, query).then(read));
    this.#creating ??= this.#create().finally(() => {
      this.#creating = undefined;
    });
    return this.#creating.then(() => {
      this.#hasTable = true;
      return this.#client.query(query).then(read, (error) => this.#failed(error, query).then(read));
    });
  }

  /**
   * Runs the query again while Postgres says that it was undone and may be repeated. Throws the first error, because in
   * a transaction of the user's it is the one to act on: every later query only says that the transaction has failed.
   */
  async #failed(error: PostgresError, query: PostgresQuery): Promise<Result> {
    const giveUpAt = performance.now() + retryForMs;
    let waitMs = 2;
    let locked: Result | undefined;
    for (
      let latest = error;
      isOneOf(retryable, latest) && performance.now() < giveUpAt;
      waitMs = Math.min(2 * waitMs, 100)
    ) {
      await sleep(Math.random() * waitMs);
      try {
        const result = await this.#client.query(query);
        // The lock may be that of the undone attempt, whose error comes before its end.
        if (!isLocked(result)) return result;
        locked = result;
      } catch (next) {
        latest = next as PostgresError;
      }
    }
    if (locked !== undefined) return locked;
    // The table may have been dropped.
    this.#hasTable = false;
    throw explained(error, query);
  }

  async #create(): Promise<void> {
    const { rows } = await this.#client.query({ text: this.#sql.exists });
    // We check first, because CREATE TABLE needs a privilege even if the table exists.
    if ((rows[0] as { name: string | null }).name !== null) return;
    try {
      await this.#client.query({ text: this.#sql.create });
    } catch (error) {
      if (!isOneOf(madeMeanwhile, error as PostgresError)) throw error;
    }
  }
}

function claimResultOf({ rows }: Result): ClaimResult {
  const { answer } = rows[0] as { answer: string | null };
  if (answer === '[]') return { state: 'acquired', delivered: [] };
  // Somebody's transaction is about to make it, or has made it since the statement began.
  if (answer === null) return { state: 'in_flight', retryAfterMs: 1 };
  if (answer.startsWith('[')) return { state: 'acquired', delivered: JSON.parse(answer) };
  if (answer === 'completed') return { state: 'completed' };
  return { state: 'in_flight', retryAfterMs: Math.max(1, Math.ceil(Number(answer))) };
}

/** Whether a claim was refused only because another statement holds the event's lock. */
function isLocked({ rows: [row] }: Result): boolean {
  return row !== undefined && Number((row as { answer: string | null }).answer) <= 0;
}

function hasChanged({ rowCount }: Result): boolean {
  return rowCount === 1;
}

/** duplicate_table; two at the same moment get unique_violation of the catalogue, or duplicate_object for the row type. */
const madeMeanwhile = ['42P07', '23505', '42710'];

const undefinedColumn = '42703';

/**
 * serialization_failure, as with REPEATABLE READ or SERIALIZABLE by default, and deadlock_detected: undone for certain.
 * admin_shutdown and crash_shutdown, after which a pool has another connection: every statement here may be repeated.
 */
const retryable = ['40001', '40P01', '57P01', '57P02'];

/** Less than the 2 seconds that a call to a store has by default. */
const retryForMs = 1_500;

/** invalid_sql_statement_name, duplicate_prepared_statement and protocol_violation: of another client's connection. */
const notPrepared = ['26000', '42P05', '08P01'];

interface PostgresError {
  readonly code?: string;
  readonly message?: string;
}

function isOneOf(codes: readonly string[], error: PostgresError | undefined): boolean {
  return codes.includes(error?.code ?? '');
}

/** With what to do, where that is known. */
function explained(error: PostgresError, { name }: PostgresQuery): unknown {
  if (error?.code === undefinedColumn) {
    return new Error(`its table is another's (${error.message}): give the store another name for it`, { cause: error });
  }
  if (name !== undefined && isOneOf(notPrepared, error)) {
    const cure =
      'a pooler in between seems to keep no prepared statements: give postgresStore the option prepare: false';
    return new Error(`${error.message}: ${cure}`, { cause: error });
  }
  return error;
}

/** Keeps the locks apart from those that the user takes on the same text. */
const lockSeed = 0x76617374;

interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Named by its text, since a connection takes no second text of one name. */
function statement(text: string): Statement {
  return { name: `vast-webhook ${createHash('sha1').update(text).digest('hex').slice(0, 16)}`, text };
}

function statements(table: string) {
  const now = 'statement_timestamp()';
  const later = `${now} + $3 * interval '1 ms'`;
  const progress = `interval '${progressMs} ms'`;
  // Takes part in the claim that may be on its way, so that claims need not wait for this transaction.
  const held = `
    WHERE key = $1 AND token = $2 AND (SELECT true FROM pg_advisory_xact_lock(hashtextextended($1, ${lockSeed})))`;
  return {
    // Not a boolean, because a pool may be set to give every value as text.
    exists: `SELECT to_regclass('${table.replaceAll("'", "''")}')::text AS name`,
    // `until` ends the lease of what is held, and what is known of the rest.
    create: `
      CREATE TABLE ${table} (
        key text PRIMARY KEY,
        state text NOT NULL,
        token text,
        until timestamptz NOT NULL,
        delivered jsonb NOT NULL
      );
      CREATE INDEX ON ${table} (until)`,
    // Whoever is not given the lock at once leaves the event to the one who has it, so that nobody waits for anybody's
    // transaction. The answer is what was told, as JSON, or `completed`, or the milliseconds left of another's lease.
    claim: statement(`
      WITH claimed AS (
        INSERT INTO ${table} AS event (key, state, token, until, delivered)
        SELECT $1, 'held', $2, ${later}, '[]' WHERE pg_try_advisory_xact_lock(hashtextextended($1, ${lockSeed}))
        ON CONFLICT (key) DO UPDATE SET
          state = 'held', token = excluded.token, until = excluded.until,
          delivered = CASE
            WHEN event.until > ${now} - CASE event.state WHEN 'held' THEN ${progress} ELSE interval '0' END
            THEN event.delivered ELSE '[]' END
        WHERE event.state = 'released' OR event.until <= ${now} OR event.token = excluded.token
        RETURNING delivered::text AS answer
      )
      SELECT coalesce((SELECT answer FROM claimed), (
        SELECT CASE
          WHEN state = 'completed' AND until > ${now} THEN state
          WHEN state = 'held' THEN (extract(epoch FROM until - ${now}) * 1000)::text
          ELSE '0' END
        FROM ${table} WHERE key = $1)) AS answer`),
    renew: statement(`UPDATE ${table} SET until = ${later} ${held}`),
    delivered: statement(`
      UPDATE ${table} SET delivered = CASE WHEN delivered ? $3 THEN delivered ELSE delivered || to_jsonb($3::text) END
      ${held}`),
    complete: statement(`
      UPDATE ${table} SET state = 'completed', token = NULL, until = ${later}, delivered = '[]' ${held}`),
    release: statement(`
      UPDATE ${table} SET state = 'released', token = NULL,
        until = CASE delivered WHEN '[]' THEN ${now} ELSE ${later} END ${held}`),
    // Nothing is deleted in the day for which a holder's record outlives its lease. In order, so that the index is used,
    // and with the locks, so that claims need not wait for this transaction either: few, since all share their room.
    sweep: statement(`
      DELETE FROM ${table} WHERE key IN (
        SELECT key FROM (
          SELECT key FROM ${table} WHERE until <= ${now} - ${progress} ORDER BY until LIMIT 128 FOR UPDATE SKIP LOCKED
        ) AS old WHERE pg_try_advisory_xact_lock(hashtextextended(key, ${lockSeed})))`),
  };
}
