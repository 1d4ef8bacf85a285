import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { exponential } from '../util/backoff.js';
import { type Check, checkOptions, trueOrFalse } from '../util/check-options.js';
import { checkClient } from './lookalikes.js';
import { progressTtlMs, SweepSchedule } from './sweep.js';
import { type Running, type StoreCall, TurnBatch, WasRolledBack } from './turn-batch.js';

/** The part of a `pg` pool or client that is used here. */
export interface Postgres {
  /** Runs one statement, prepared under its `name` if it has one. Rejects if it fails. */
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

/** Options of `postgresStore`. */
export interface PostgresStoreOptions {
  /** Name of the table, which the store creates on first use. Default: `vast_webhook`. */
  readonly table?: string;
  /** Schema of the table, which must exist. Default: the search path decides. */
  readonly schema?: string;
  /**
   * Whether to prepare each statement once per connection, which makes a claim three times as fast. Default: true. Set
   * it to false for a pooler in transaction mode without prepared statements: PgBouncer before 1.21, and up to 1.23
   * unless `max_prepared_statements` is set.
   */
  readonly prepare?: boolean;
}

/**
 * An idempotency store in Postgres, for any number of machines. `client` is a pool or a client of `pg`. With a client,
 * the store's statements are part of the client's transaction. Throws a `TypeError` for another `client` or an invalid
 * option.
 */
export function postgresStore(client: Postgres, options: PostgresStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { table: identifier, schema: identifier, prepare: trueOrFalse }, 'postgresStore');
  const { table = 'vast_webhook', schema, prepare = true } = options;
  checkClient('postgresStore', client, typeof client?.query === 'function', 'client must be a pool or client of pg');
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
  readonly #sweepSchedule = new SweepSchedule();
  readonly #running: Running = { count: 0 };
  readonly #calls;
  #hasTable = false;
  #creating: Promise<void> | undefined;
  #creatingSince = 0;

  constructor(client: Postgres, sql: ReturnType<typeof statements>, prepare: boolean) {
    this.#client = client;
    this.#sql = sql;
    this.#prepare = prepare;
    this.#calls = {
      claim: this.#caller(sql.claim, claimResultOf, readClaim),
      renew: this.#caller(sql.renew, hasChanged, readChange),
      delivered: this.#caller(sql.delivered, hasChanged, readChange),
      complete: this.#caller(sql.complete, hasChanged, readChange),
      release: this.#caller(sql.release, hasChanged, readChange),
    };
  }

  claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    const claimed = this.#calls.claim({ key, token, argument: leaseMs });
    if (!this.#sweepSchedule.next()) return claimed;
    // We wait for the sweep, because a client in a transaction runs one query at a time.
    return claimed.then((result) => this.#sweep().then(() => result));
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#calls.renew({ key, token, argument: leaseMs });
  }

  delivered(key: string, token: string, sink: string): Promise<boolean> {
    return this.#calls.delivered({ key, token, argument: sink });
  }

  complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#calls.complete({ key, token, argument: ttlMs });
  }

  release(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#calls.release({ key, token, argument: ttlMs });
  }

  /** Calls share statements on a pool only: a client may be in a transaction of the user's. */
  #caller<Answer>(
    { one, many }: Operation,
    readOne: (result: Result) => Answer,
    readMany: (answer: string | null) => Answer | undefined,
  ): (call: StoreCall) => Promise<Answer> {
    const alone = ({ key, token, argument }: StoreCall) => this.#query(one, [key, token, argument], readOne);
    if (!isPool(this.#client)) return alone;
    const together = async (calls: readonly StoreCall[]) => {
      const answers = await this.#queryMany(many, calls);
      return answers.map(readMany);
    };
    const batch = new TurnBatch(alone, together, this.#running);
    return (call) => (this.#hasTable ? batch.add(call) : alone(call));
  }

  /** Gives the answers in the order of the calls. Not by key, because text may come back changed. */
  async #queryMany(statement: Statement, calls: readonly StoreCall[]): Promise<(string | null)[]> {
    const columns = [calls.map(({ key }) => key), calls.map(({ token }) => token), calls.map((call) => call.argument)];
    try {
      const { rows } = await this.#client.query(this.#prepared(statement, columns));
      const answers = new Array<string | null>(calls.length).fill(null);
      for (const { place, answer } of rows as { place: unknown; answer: string | null }[]) {
        answers[Number(place) - 1] = answer;
      }
      return answers;
    } catch (error) {
      if (isOfServer(error as PostgresError)) throw new WasRolledBack();
      throw error;
    }
  }

  /** Errors are ignored, because the next sweep deletes the same rows. */
  async #sweep(): Promise<void> {
    try {
      await this.#query(this.#sql.sweep, [], hasChanged);
    } catch {}
  }

  /** `read` converts the result. Once the table exists, this adds no promise of its own, for speed. */
  #query<T>(statement: Statement, values: unknown[], read: (result: Result) => T): Promise<T> {
    const query = this.#prepared(statement, values);
    if (this.#hasTable) return this.#client.query(query).then(read, (error) => this.#failed(error, query).then(read));
    return this.#tableCreated().then(() => {
      this.#hasTable = true;
      return this.#client.query(query).then(read, (error) => this.#failed(error, query).then(read));
    });
  }

  #prepared({ name, text }: Statement, values: unknown[]): PostgresQuery {
    return this.#prepare ? { name, text, values } : { text, values };
  }

  /**
   * Repeats the query while Postgres reports that it was rolled back and may be retried. Throws the first error,
   * because in a transaction of the user's every later error only says that the transaction has failed.
   */
  async #failed(error: PostgresError, query: PostgresQuery): Promise<Result> {
    const giveUpAt = performance.now() + retryForMs;
    let failures = 0;
    let locked: Result | undefined;
    for (let latest = error; isOneOf(retryable, latest) && performance.now() < giveUpAt; ) {
      await sleep(Math.random() * exponential(++failures, 2, 100));
      try {
        const result = await this.#client.query(query);
        // The lock may still be that of our failed attempt, because Postgres reports the error before it unlocks.
        if (!isLocked(result)) return result;
        locked = result;
      } catch (next) {
        latest = next as PostgresError;
      }
    }
    if (locked !== undefined) return locked;
    // Check for the table next time, because it may have been dropped.
    this.#hasTable = false;
    throw explained(error, query);
  }

  /** Calls share one check for the table. If it hangs, later ones make another: on Workers, its request may have ended. */
  #tableCreated(): Promise<void> {
    const now = performance.now();
    if (this.#creating === undefined || now - this.#creatingSince >= shareForMs) {
      const creating = this.#create().finally(() => {
        if (this.#creating === creating) this.#creating = undefined;
      });
      this.#creating = creating;
      this.#creatingSince = now;
    }
    return this.#creating;
  }

  async #create(): Promise<void> {
    const { rows } = await this.#client.query({ text: this.#sql.exists });
    // We check first, because CREATE TABLE needs a privilege even if the table exists.
    if ((rows[0] as { name: string | null }).name !== null) return;
    try {
      await this.#client.query({ text: this.#sql.create });
    } catch (error) {
      if (!isOneOf(createdByAnother, error as PostgresError)) throw error;
    }
  }
}

function isPool(client: Postgres): boolean {
  return typeof (client as { totalCount?: unknown }).totalCount === 'number';
}

function claimResultOf({ rows }: Result): ClaimResult {
  return readClaim((rows[0] as { answer: string | null }).answer);
}

function readClaim(answer: string | null): ClaimResult {
  if (answer === '[]') return { state: 'acquired', delivered: [] };
  // Another transaction is creating the row, or created it after our statement began.
  if (answer === null) return { state: 'in_flight', retryAfterMs: 1 };
  if (answer.startsWith('[')) return { state: 'acquired', delivered: JSON.parse(answer) };
  if (answer === 'completed') return { state: 'completed' };
  return { state: 'in_flight', retryAfterMs: Math.max(1, Math.ceil(Number(answer))) };
}

/** Whether a claim failed only because another statement has the event's lock. */
function isLocked({ rows: [row] }: Result): boolean {
  return row !== undefined && Number((row as { answer: string | null }).answer) <= 0;
}

function hasChanged({ rowCount }: Result): boolean {
  return rowCount === 1;
}

/** Undefined if another transaction has the event's lock: a statement of its own waits for that. */
function readChange(answer: string | null): boolean | undefined {
  return answer === 'locked' ? undefined : answer === 'changed';
}

/**
 * Whether it is an error of the server (a SQLSTATE), which has rolled the statement back. Class 08 is a pooler's, whose
 * server may have done all of it.
 */
function isOfServer({ code = '' }: PostgresError): boolean {
  return /^(?!08)(?=.*\d)[\dA-Z]{5}$/.test(code);
}

/** duplicate_table. If two create it at the same moment: unique_violation of the catalogue, or duplicate_object. */
const createdByAnother = ['42P07', '23505', '42710'];

const undefinedColumn = '42703';

/**
 * serialization_failure (with REPEATABLE READ or SERIALIZABLE) and deadlock_detected: the query was rolled back.
 * admin_shutdown and crash_shutdown: a pool opens another connection, and every statement here may be repeated.
 */
const retryable = ['40001', '40P01', '57P01', '57P02'];

/** Less than the default `storeTimeoutMs` of 2 seconds. */
const retryForMs = 1_500;

/** How long calls wait for a running check for the table: the default `storeTimeoutMs`. */
const shareForMs = 2_000;

/** invalid_sql_statement_name, duplicate_prepared_statement, protocol_violation: a pooler switched the connection. */
const notPrepared = ['26000', '42P05', '08P01'];

interface PostgresError {
  readonly code?: string;
  readonly message?: string;
}

function isOneOf(codes: readonly string[], error: PostgresError | undefined): boolean {
  return codes.includes(error?.code ?? '');
}

/** Adds advice to errors with a known cause. */
function explained(error: PostgresError, { name }: PostgresQuery): unknown {
  if (error?.code === undefinedColumn) {
    return new Error(`the store's table belongs to something else (${error.message}): choose another table name`, {
      cause: error,
    });
  }
  if (name !== undefined && isOneOf(notPrepared, error)) {
    const advice =
      'a connection pooler seems not to support prepared statements: give postgresStore the option prepare: false';
    return new Error(`${error.message}: ${advice}`, { cause: error });
  }
  return error;
}

/** Makes our lock numbers differ from those that the user's own code derives from the same text. */
const lockSeed = 0x76617374;

interface Statement {
  readonly name: string;
  readonly text: string;
}

/** The name is a hash of the text, because a connection allows only one text per name. */
function statement(text: string): Statement {
  return { name: `vast-webhook ${createHash('sha1').update(text).digest('hex').slice(0, 16)}`, text };
}

/** One call of the store, and several of different events. */
interface Operation {
  readonly one: Statement;
  readonly many: Statement;
}

function statements(table: string) {
  const now = 'statement_timestamp()';
  const later = (ms: string) => `${now} + ${ms} * interval '1 ms'`;
  const progress = `interval '${progressTtlMs} ms'`;
  const lockOf = (key: string) => `hashtextextended(${key}, ${lockSeed})`;
  const takeOver = `
    ON CONFLICT (key) DO UPDATE SET
      state = 'held', token = excluded.token, until = excluded.until,
      delivered = CASE
        WHEN event.until > ${now} - CASE event.state WHEN 'held' THEN ${progress} ELSE interval '0' END
        THEN event.delivered ELSE '[]' END
    WHERE event.state = 'released' OR event.until <= ${now} OR event.token = excluded.token`;
  const answerOf = (key: string) => `
    SELECT CASE
      WHEN state = 'completed' AND until > ${now} THEN state
      WHEN state = 'held' THEN (extract(epoch FROM until - ${now}) * 1000)::text
      ELSE '0' END
    FROM ${table} WHERE key = ${key}`;
  // A statement for several does not wait for locks, so that none of them waits for another.
  const calls = (type: 'text' | 'float8') => `
    calls AS MATERIALIZED (
      SELECT *, pg_try_advisory_xact_lock(${lockOf('call')}) AS free
      FROM unnest($1::text[], $2::text[], $3::${type}[]) WITH ORDINALITY AS calls (call, holder, argument, place)
    )`;
  // A single one takes the lock that a claim takes, so that a claim fails at once and does not wait for this transaction.
  const change = (type: 'text' | 'float8', set: (argument: string) => string): Operation => ({
    one: statement(`
      UPDATE ${table} SET ${set('$3')}
      WHERE key = $1 AND token = $2 AND (SELECT true FROM pg_advisory_xact_lock(${lockOf('$1')}))`),
    many: statement(`
      WITH ${calls(type)}, changed AS (
        UPDATE ${table} SET ${set('argument')} FROM calls WHERE free AND key = call AND token = holder RETURNING key
      )
      SELECT place, CASE WHEN key IS NOT NULL THEN 'changed' WHEN free THEN 'lost' ELSE 'locked' END AS answer
      FROM calls LEFT JOIN changed ON key = call`),
  });
  return {
    // Not a boolean, because a pool may be configured to return every value as text.
    exists: `SELECT to_regclass('${table.replaceAll("'", "''")}')::text AS name`,
    // `until` is when the lease of a claimed event ends. For other states, it is when the row expires.
    create: `
      CREATE TABLE ${table} (
        key text PRIMARY KEY,
        state text NOT NULL,
        token text,
        until timestamptz NOT NULL,
        delivered jsonb NOT NULL
      );
      CREATE INDEX ON ${table} (until)`,
    // A claim that does not get the lock at once fails, so that no claim waits for another transaction.
    // The answer is the delivered sinks as JSON, or `completed`, or the rest of another's lease in milliseconds.
    claim: {
      one: statement(`
        WITH claimed AS (
          INSERT INTO ${table} AS event (key, state, token, until, delivered)
          SELECT $1, 'held', $2, ${later('$3')}, '[]' WHERE pg_try_advisory_xact_lock(${lockOf('$1')})
          ${takeOver}
          RETURNING delivered::text AS answer
        )
        SELECT coalesce((SELECT answer FROM claimed), (${answerOf('$1')})) AS answer`),
      many: statement(`
        WITH ${calls('float8')}, claimed AS (
          INSERT INTO ${table} AS event (key, state, token, until, delivered)
          SELECT call, 'held', holder, ${later('argument')}, '[]' FROM calls WHERE free
          ${takeOver}
          RETURNING key, delivered::text AS answer
        )
        SELECT place, coalesce(answer, (${answerOf('call')})) AS answer
        FROM calls LEFT JOIN claimed ON claimed.key = call`),
    },
    renew: change('float8', (ms) => `until = ${later(ms)}`),
    delivered: change(
      'text',
      (sink) =>
        `delivered = CASE WHEN delivered ? ${sink} THEN delivered ELSE delivered || to_jsonb(${sink}::text) END`,
    ),
    complete: change('float8', (ms) => `state = 'completed', token = NULL, until = ${later(ms)}, delivered = '[]'`),
    release: change(
      'float8',
      (ms) => `state = 'released', token = NULL, until = CASE delivered WHEN '[]' THEN ${now} ELSE ${later(ms)} END`,
    ),
    // Deletes nothing during the day in which recorded deliveries outlive their lease. Ordered, so that the index is
    // used. Takes the locks, so that no claim waits for this transaction. Few rows, because the lock table is shared.
    sweep: statement(`
      DELETE FROM ${table} WHERE key IN (
        SELECT key FROM (
          SELECT key FROM ${table} WHERE until <= ${now} - ${progress} ORDER BY until LIMIT 128 FOR UPDATE SKIP LOCKED
        ) AS old WHERE pg_try_advisory_xact_lock(${lockOf('key')}))`),
  };
}
