import { createHash } from 'node:crypto';
import type { ClaimResult, IdempotencyStore } from '../forward/store.js';
import { progressMs, SweepTurn } from './sweep.js';

/** A pool or client of `pg`, as far as it is used. */
export interface Postgres {
  query(query: PostgresQuery): Promise<{ rows: unknown[]; rowCount?: number | null }>;
}

interface PostgresQuery {
  name?: string;
  text: string;
  values?: unknown[];
}

export interface PostgresStoreOptions {
  /** The table, made on first use: `vast_webhook`. */
  readonly table?: string;
  /** Where the table is, unless it is to be found by the search path. Has to exist. */
  readonly schema?: string;
  /**
   * Whether statements are prepared once a connection, which makes a claim three times as fast. True, but a pooler in
   * between may not bear it: PgBouncer before 1.21 in transaction mode.
   */
  readonly prepare?: boolean;
}

/**
 * An idempotency store in Postgres, for any number of machines. Takes a pool of `pg`, or a client, with which it takes
 * part in the transaction that the client is in. Throws a `TypeError` for anything else.
 */
export function postgresStore(
  client: Postgres,
  { table = 'vast_webhook', schema, prepare = true }: PostgresStoreOptions = {},
): IdempotencyStore {
  if (typeof client?.query !== 'function') throw new TypeError('postgresStore: client must be a pool or client of pg');
  const name = [...(schema === undefined ? [] : [quoted('schema', schema)]), quoted('table', table)].join('.');
  return new PostgresStore(client, statements(name, quoted('table', `${table.slice(0, 40)}_expires_at`)), prepare);
}

function quoted(option: string, name: unknown): string {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > 63 || name.includes('\0')) {
    throw new TypeError(`postgresStore: ${option} must be a name of 1 to 63 bytes`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

class PostgresStore implements IdempotencyStore {
  readonly #client: Postgres;
  readonly #prepare: boolean;
  readonly #sql: ReturnType<typeof statements>;
  readonly #sweepTurn = new SweepTurn();
  #table: Promise<void> | undefined;

  constructor(client: Postgres, sql: ReturnType<typeof statements>, prepare: boolean) {
    this.#client = client;
    this.#sql = sql;
    this.#prepare = prepare;
  }

  async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    const { rows } = await this.#query(this.#sql.claim, [key, token, leaseMs]);
    if (this.#sweepTurn.next()) this.#sweep();
    // None: somebody's transaction is about to make it, or has made it since the statement began.
    const { state, delivered, ms } = (rows[0] ?? { state: 'held', ms: 0 }) as {
      state: string;
      delivered: string[];
      ms: unknown;
    };
    if (state === 'acquired') return { state, delivered };
    if (state === 'completed') return { state };
    return { state: 'in_flight', retryAfterMs: Math.max(1, Math.ceil(Number(ms))) };
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#held(this.#sql.renew, [key, token, leaseMs]);
  }

  delivered(key: string, token: string, sink: string): Promise<boolean> {
    return this.#held(this.#sql.delivered, [key, token, sink]);
  }

  complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#held(this.#sql.complete, [key, token, ttlMs]);
  }

  release(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#held(this.#sql.release, [key, token, ttlMs]);
  }

  async #held(sql: Statement, values: unknown[]): Promise<boolean> {
    const { rowCount } = await this.#query(sql, values);
    return rowCount === 1;
  }

  /** Nobody waits for it, and the next turn makes up for one that failed. */
  #sweep(): void {
    this.#client.query({ text: this.#sql.sweep }).catch(() => {});
  }

  async #query({ name, text }: Statement, values: unknown[]): Promise<{ rows: unknown[]; rowCount?: number | null }> {
    this.#table ??= this.#create();
    try {
      await this.#table;
      return await this.#client.query(this.#prepare ? { name, text, values } : { text, values });
    } catch (error) {
      // It may have been dropped, or not have been made for want of a connection.
      this.#table = undefined;
      const { code, message } = error as { code?: string; message?: string };
      if (code !== undefinedColumn) throw error;
      throw new Error(`its table is another's (${message}): give the store another name for it`, { cause: error });
    }
  }

  async #create(): Promise<void> {
    const { rows } = await this.#client.query({ text: this.#sql.exists });
    // Asked first, since creating what is there takes a right that the service may rightly not have.
    if ((rows[0] as { exists: boolean }).exists) return;
    try {
      await this.#client.query({ text: this.#sql.create });
    } catch (error) {
      if (!madeMeanwhile.includes((error as { code?: string }).code ?? '')) throw error;
    }
  }
}

/** unique_violation (of the catalogue), duplicate_table: IF NOT EXISTS does not hold for two at the same moment. */
const madeMeanwhile = ['23505', '42P07'];

const undefinedColumn = '42703';

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

function statements(table: string, index: string) {
  const now = 'statement_timestamp()';
  const later = `${now} + $3 * interval '1 ms'`;
  const kept = `${later} + interval '${progressMs} ms'`;
  const free = `(expires_at <= ${now} OR (state <> 'completed' AND lease_until <= ${now}))`;
  const held = 'WHERE key = $1 AND token = $2';
  return {
    exists: `SELECT to_regclass('${table.replaceAll("'", "''")}') IS NOT NULL AS exists`,
    create: `
      CREATE TABLE IF NOT EXISTS ${table} (
        key text PRIMARY KEY,
        state text NOT NULL,
        token text,
        lease_until timestamptz NOT NULL,
        delivered text[] NOT NULL,
        expires_at timestamptz NOT NULL
      );
      CREATE INDEX IF NOT EXISTS ${index} ON ${table} (expires_at)`,
    // An event is made by whoever gets the lock on its key at once, and a row is taken over by whoever can lock it
    // at once, so that nobody waits for anybody's transaction. What others are at work on counts as in flight.
    claim: statement(`
      WITH seen AS MATERIALIZED (
        SELECT ${free} AS free, state, lease_until FROM ${table} WHERE key = $1
      ), made AS (
        INSERT INTO ${table} (key, state, token, lease_until, delivered, expires_at)
        SELECT $1, 'held', $2, ${later}, '{}', ${kept}
        WHERE NOT EXISTS (SELECT FROM seen) AND pg_try_advisory_xact_lock(hashtextextended($1, ${lockSeed}))
        ON CONFLICT DO NOTHING
        RETURNING delivered
      ), found AS (
        SELECT key, CASE WHEN expires_at > ${now} THEN delivered ELSE '{}' END AS told
        FROM ${table} WHERE key = $1 AND ${free} FOR UPDATE SKIP LOCKED
      ), taken AS (
        UPDATE ${table} AS event
        SET state = 'held', token = $2, lease_until = ${later}, delivered = told, expires_at = ${kept}
        FROM found WHERE event.key = found.key
        RETURNING event.delivered
      )
      SELECT 'acquired' AS state, delivered, 0 AS ms FROM made
      UNION ALL SELECT 'acquired', delivered, 0 FROM taken
      UNION ALL SELECT CASE WHEN free THEN 'held' ELSE state END, NULL, extract(epoch FROM lease_until - ${now}) * 1000 FROM seen`),
    renew: statement(`UPDATE ${table} SET lease_until = ${later}, expires_at = ${kept} ${held}`),
    delivered: statement(`
      UPDATE ${table} SET delivered = CASE WHEN $3 = ANY (delivered) THEN delivered ELSE array_append(delivered, $3) END
      ${held}`),
    complete: statement(`
      UPDATE ${table} SET state = 'completed', token = NULL, lease_until = ${now}, delivered = '{}', expires_at = ${later}
      ${held}`),
    release: statement(`
      UPDATE ${table} SET state = 'released', token = NULL, lease_until = ${now},
        expires_at = CASE delivered WHEN '{}' THEN ${now} ELSE ${later} END
      ${held}`),
    // What has just expired may be claimed at this moment, and would seem to be in flight while it is deleted.
    sweep: `
      DELETE FROM ${table} WHERE key IN (
        SELECT key FROM ${table} WHERE expires_at <= ${now} - interval '1 min' LIMIT 256 FOR UPDATE SKIP LOCKED)`,
  };
}
