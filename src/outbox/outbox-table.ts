import type { Delivery } from '../contracts/delivery.js';
import { type SqliteDatabase, SqliteTable } from '../stores/sqlite-table.js';

/** One event for one sink. Times are Unix milliseconds. */
export interface Row {
  readonly key: string;
  readonly event_id: string;
  readonly sink: string;
  /** The delivery as JSON. */
  readonly delivery: string;
  readonly token: string | null;
  readonly attempts: number;
  /** When it was stored or redelivered. */
  readonly since: number;
  readonly due_at: number;
  readonly error: string | null;
  readonly failed_at: number | null;
  readonly state: 'due' | 'dead';
}

/** The rows of a sink in one state. Those that are due in the order of their due times, dead ones as they were stored. */
export interface Range {
  readonly state: Row['state'];
  readonly sink: string;
}

/** A place in a range. Due rows may have the same time. */
export interface Place {
  /** The due time, or 0. */
  readonly at: number;
  readonly row: number;
}

export const beginning: Place = { at: Number.NEGATIVE_INFINITY, row: Number.NEGATIVE_INFINITY };

export interface RowKey extends Place, Pick<Row, 'key' | 'event_id' | 'sink' | 'state'> {
  /** When its last attempt failed. Without one, when it was stored. */
  readonly time: number;
  /** 0 if it belongs to another outbox. */
  readonly ours: number;
}

/** Rows of one turn, and of one commit: other processes cannot write meanwhile, and they wait 250 ms at most. */
export const keysPerPage = 500;

/** Rows that are counted in one turn. */
const countedAtOnce = 2_000;

/** The failures of a sink without a success between them. Times are Unix milliseconds. */
export interface OutageRow {
  readonly sink: string;
  readonly since: number;
  readonly failures: number;
  readonly error: string;
  /** When the alert was stored. */
  readonly alerted_at: number | null;
}

/**
 * The rows of one outbox. State `due`: undelivered, and leased while its due time is in the future. State `told`:
 * delivered, under the name that files of version 0.1.0 have. State `dead`: a dead letter. State `failing`: no event,
 * but an outage of the sink, which all processes on the file share.
 */
export class OutboxTable {
  readonly sqlite: SqliteTable;
  readonly #sinks: SqliteTable;
  readonly #outbox: string;
  readonly #sql: ReturnType<typeof statements>;

  /** `outbox` is the outbox's name, because several outboxes may share a table. */
  constructor(db: SqliteDatabase, table: string, outbox: string) {
    this.#outbox = outbox;
    this.sqlite = new SqliteTable('sqliteOutbox', db, table, {
      columns: [
        'key TEXT NOT NULL',
        'event_id TEXT NOT NULL',
        'sink TEXT NOT NULL',
        'delivery TEXT NOT NULL',
        'state TEXT NOT NULL',
        'since INTEGER NOT NULL',
        'due_at INTEGER NOT NULL',
        'token TEXT',
        'attempts INTEGER NOT NULL',
        'error TEXT',
        'failed_at INTEGER',
        'expires_at INTEGER',
      ],
      // NULL in rows of version 0.1.0, which belong to every outbox.
      added: ['outbox TEXT'],
      key: 'key, sink',
      indexes: [
        "(sink, due_at) WHERE state = 'due'",
        "(event_id) WHERE state = 'dead'",
        "(expires_at) WHERE state = 'told'",
        "(sink) WHERE state = 'dead'",
        "(sink) WHERE state = 'due' AND failed_at IS NOT NULL",
      ],
      // A 2xx promises that the event is safe, even if the power fails a moment later.
      synchronous: 'FULL',
    });
    // Not a column: an outbox has sinks before it has rows.
    this.#sinks = new SqliteTable('sqliteOutbox', db, `${table}_sinks`, {
      columns: ['outbox TEXT NOT NULL', 'sink TEXT NOT NULL'],
      key: 'outbox, sink',
      indexes: [],
    });
    // Quoted, because the name may be a keyword of SQL.
    this.#sql = statements(`"${table}"`, `"${table}_sinks"`);
  }

  /** Adds a row, unless the event already has one for this sink. */
  insert(key: string, { id }: Delivery, sink: string, queued: string, now: number): void {
    this.sqlite.run(this.#sql.insert, key, id, sink, queued, now, now, this.#outbox);
  }

  due(sink: string, now: number, limit: number): Row[] {
    return this.sqlite.all(this.#sql.due, sink, this.#outbox, now, limit) as Row[];
  }

  /** When the sink's next row is due, if there is one. */
  nextDueAt(sink: string): number | undefined {
    const { due_at } = this.sqlite.get(this.#sql.nextDue, sink, this.#outbox) as { due_at: number | null };
    return due_at === null ? undefined : Number(due_at);
  }

  /** Makes rows due that wait for a later time, but not those that are leased. */
  awaken(sink: string, now: number): void {
    this.sqlite.run(this.#sql.awaken, now, sink, this.#outbox, now);
  }

  /** Leases a row that is due. For a transaction that has read it. */
  lease(key: string, sink: string, token: string, until: number, attempts: number): void {
    this.sqlite.run(this.#sql.lease, token, until, attempts, key, sink);
  }

  /** Lengthens a lease at the beginning of its attempt. */
  begin(key: string, sink: string, token: string, until: number, attempts: number): void {
    this.sqlite.run(this.#sql.begin, until, attempts, key, sink, token);
  }

  /** Ends a lease without an attempt. The row is due at `dueAt`. */
  release(key: string, sink: string, token: string, dueAt: number, attempts: number): void {
    this.sqlite.run(this.#sql.release, dueAt, attempts, key, sink, token);
  }

  renew(key: string, sink: string, token: string, dueAt: number): boolean {
    return this.sqlite.run(this.#sql.renew, dueAt, key, sink, token) === 1;
  }

  delivered(key: string, sink: string, token: string, expiresAt: number): boolean {
    return this.sqlite.run(this.#sql.delivered, expiresAt, key, sink, token) === 1;
  }

  /** Records a failed attempt. The row is retried at `dueAt`. Without `dueAt` it becomes a dead letter. */
  failed(
    key: string,
    sink: string,
    token: string,
    error: string,
    now: number,
    dueAt: number | undefined,
    attempts: number,
  ): boolean {
    const state = dueAt === undefined ? 'dead' : 'due';
    return this.sqlite.run(this.#sql.failed, state, dueAt ?? 0, error, now, attempts, key, sink, token) === 1;
  }

  /** The names of all sinks that have rows in a state, also in other outboxes of the table. Reads a row of each. */
  sinksWith(state: Row['state']): string[] {
    return (this.sqlite.all(this.#sql.sinksWith[state]) as { sink: string }[]).map(({ sink }) => sink);
  }

  /** Rows of a range behind a place, without their deliveries: a page of them, so that a million can be read. */
  keys(range: Range, place: Place): RowKey[] {
    const sql = this.#sql.keys[range.state];
    return this.sqlite.all(sql, this.#outbox, ...valuesOf(range, place), keysPerPage) as RowKey[];
  }

  /** The same of the dead letters of one event. */
  deadKeysOf(id: string): RowKey[] {
    return this.sqlite.all(this.#sql.deadKeysOf, this.#outbox, id) as RowKey[];
  }

  /** Counts rows of a range behind a place, up to `countedAtOnce`. `last` is where further ones may be. */
  count(range: Range, place: Place): { readonly count: number; readonly last?: Place | undefined } {
    const { page, last } = this.#sql.count[range.state];
    const values = valuesOf(range, place);
    const { count } = this.sqlite.get(page, this.#outbox, ...values, countedAtOnce) as { count: number };
    return {
      count: Number(count),
      last: this.sqlite.get(last, ...values, countedAtOnce - 1) as Place | undefined,
    };
  }

  row(key: string, sink: string): Row | undefined {
    return this.sqlite.get(this.#sql.row, key, sink) as Row | undefined;
  }

  /** The sinks that the outbox had when it was last started. Undefined if no start is recorded. */
  sinks(): string[] | undefined {
    const rows = this.#sinks.all(this.#sql.sinks, this.#outbox) as { sink: string }[];
    return rows.length === 0 ? undefined : rows.map(({ sink }) => sink);
  }

  /** Records the sinks, so that a process that does not deliver knows which are gone. */
  recordSinks(sinks: readonly string[]): void {
    const recorded = this.sinks() ?? [];
    if (recorded.length === sinks.length && recorded.every((sink) => sinks.includes(sink))) return;
    const names = JSON.stringify(sinks);
    // The additions first: after a crash between them, no sink is taken for gone that is not.
    this.#sinks.run(this.#sql.addSinks, this.#outbox, names);
    this.#sinks.run(this.#sql.dropSinks, this.#outbox, names);
  }

  /** Makes one dead letter due again. */
  redeliverRow({ key, sink }: Pick<Row, 'key' | 'sink'>, now: number): boolean {
    return this.sqlite.run(this.#sql.redeliverRow, now, now, key, sink) === 1;
  }

  /** Deletes an undelivered row that no process has leased. */
  discard({ key, sink }: Pick<Row, 'key' | 'sink'>, now: number): boolean {
    return this.sqlite.run(this.#sql.discard, key, sink, now) === 1;
  }

  /** Moves an undelivered row that no process has leased to another sink, or deletes it if that sink has the event. */
  move({ key, sink }: Pick<Row, 'key' | 'sink'>, to: string, now: number): boolean {
    const isMoved = this.sqlite.run(this.#sql.move, to, now, now, key, sink, now) === 1;
    return this.discard({ key, sink }, now) || isMoved;
  }

  /** The outages under a key of the outbox's own. */
  outages(key: string): OutageRow[] {
    const rows = this.sqlite.all(this.#sql.outages, key) as OutageRow[];
    // A handle may be configured to return bigints.
    return rows.map((row) => ({
      ...row,
      since: Number(row.since),
      failures: Number(row.failures),
      alerted_at: row.alerted_at === null ? null : Number(row.alerted_at),
    }));
  }

  /** Begins an outage, or adds failures to it. */
  addFailures(key: string, sink: string, failures: number, error: string, now: number): void {
    this.sqlite.run(this.#sql.addFailures, key, sink, now, failures, error, now, this.#outbox);
  }

  /** False if another process has stored the alert. */
  markAlerted(key: string, sink: string, now: number): boolean {
    return this.sqlite.run(this.#sql.markAlerted, now, key, sink) === 1;
  }

  forgetOutages(key: string): void {
    this.sqlite.run(this.#sql.forgetOutages, key);
  }

  endOutage(key: string, sink: string): void {
    this.sqlite.run(this.#sql.endOutage, key, sink);
  }

  /** Whether an undelivered event of the sink has failed. */
  hasFailedRows(sink: string): boolean {
    return this.sqlite.get(this.#sql.failedRow, sink, this.#outbox) !== undefined;
  }

  /** Whether an event has been delivered to the sink, or may be at this moment. */
  mayHave(key: string, sink: string, now: number): boolean {
    const row = this.row(key, sink);
    // Delivered rows are deleted after a while.
    if (row === undefined || (row.state as string) === 'told') return true;
    return row.state === 'due' && row.token !== null && Number(row.due_at) > now;
  }

  sweep(now: number): void {
    this.sqlite.run(this.#sql.sweep, now);
  }
}

function valuesOf({ state, sink }: Range, { at, row }: Place): readonly [string, number, ...number[]] {
  return state === 'due' ? [sink, at, row] : [sink, row];
}

function statements(table: string, sinks: string) {
  const row = 'WHERE key = ? AND sink = ?';
  const dueAgain = "state = 'due', since = ?, due_at = ?, attempts = 0";
  const ours = '(outbox = ? OR outbox IS NULL)';
  const isFree = "(state = 'dead' OR state = 'due' AND (token IS NULL OR due_at <= ?))";
  // As REAL, because node:sqlite throws on a larger integer than JavaScript has, and one odd row would stop all others.
  const numbers = ['attempts', 'since', 'failed_at', 'due_at'].map((name) => `CAST(${name} AS REAL) AS ${name}`);
  const behind = {
    due: "WHERE state = 'due' AND sink = ? AND (due_at, rowid) > (?, ?) ORDER BY due_at, rowid",
    dead: "WHERE state = 'dead' AND sink = ? AND rowid > ? ORDER BY rowid",
  };
  const place = {
    due: 'CAST(due_at AS REAL) AS at, CAST(rowid AS REAL) AS row',
    dead: '0.0 AS at, CAST(rowid AS REAL) AS row',
  };
  const keys = `key, event_id, sink, state, CAST(coalesce(failed_at, since) AS REAL) AS time, CAST(${ours} AS REAL) AS ours`;
  const both = <T>(make: (state: Row['state']) => T) => ({ due: make('due'), dead: make('dead') });
  const columns = `key, event_id, sink, delivery, state, token, error, ${numbers.join(', ')}`;
  return {
    insert: `
      INSERT INTO ${table} (key, event_id, sink, delivery, state, since, due_at, attempts, outbox)
      VALUES (?, ?, ?, ?, 'due', ?, ?, 0, ?) ON CONFLICT DO NOTHING`,
    due: `SELECT ${columns} FROM ${table} WHERE sink = ? AND ${ours} AND state = 'due' AND due_at <= ? ORDER BY ${table}.due_at LIMIT ?`,
    nextDue: `SELECT CAST(min(due_at) AS REAL) AS due_at FROM ${table} WHERE sink = ? AND ${ours} AND state = 'due'`,
    awaken: `UPDATE ${table} SET due_at = ? WHERE sink = ? AND ${ours} AND state = 'due' AND due_at > ? AND token IS NULL`,
    lease: `UPDATE ${table} SET token = ?, due_at = ?, attempts = ? ${row}`,
    begin: `UPDATE ${table} SET due_at = ?, attempts = ? ${row} AND token = ?`,
    release: `UPDATE ${table} SET token = NULL, due_at = ?, attempts = ? ${row} AND token = ?`,
    renew: `UPDATE ${table} SET due_at = ? ${row} AND token = ?`,
    // Only the fact of the delivery is kept, not its content.
    delivered: `UPDATE ${table} SET state = 'told', token = NULL, delivery = '', expires_at = ? ${row} AND token = ?`,
    failed: `
      UPDATE ${table} SET state = ?, token = NULL, due_at = ?, error = ?, failed_at = ?, attempts = ?
      ${row} AND token = ?`,
    keys: both((state) => `SELECT ${place[state]}, ${keys} FROM ${table} ${behind[state]} LIMIT ?`),
    deadKeysOf: `SELECT ${place.dead}, ${keys} FROM ${table} WHERE state = 'dead' AND event_id = ?`,
    count: both((state) => ({
      page: `SELECT count(*) AS count FROM (SELECT ${ours} AS ours FROM ${table} ${behind[state]} LIMIT ?) WHERE ours`,
      last: `SELECT ${place[state]} FROM ${table} ${behind[state]} LIMIT 1 OFFSET ?`,
    })),
    sinks: `SELECT sink FROM ${sinks} WHERE outbox = ? ORDER BY sink`,
    addSinks: `INSERT OR IGNORE INTO ${sinks} (outbox, sink) SELECT ?, value FROM json_each(?)`,
    dropSinks: `DELETE FROM ${sinks} WHERE outbox = ? AND sink NOT IN (SELECT value FROM json_each(?))`,
    // From one sink of the index to the next one.
    sinksWith: both(
      (state) => `
      WITH RECURSIVE found (sink) AS (
        SELECT min(sink) FROM ${table} WHERE state = '${state}' UNION ALL
        SELECT (SELECT min(sink) FROM ${table} WHERE state = '${state}' AND sink > found.sink) FROM found
        WHERE found.sink IS NOT NULL)
      SELECT sink FROM found WHERE sink IS NOT NULL`,
    ),
    redeliverRow: `UPDATE ${table} SET ${dueAgain} ${row} AND state = 'dead'`,
    discard: `DELETE FROM ${table} ${row} AND ${isFree}`,
    move: `UPDATE OR IGNORE ${table} SET sink = ?, token = NULL, ${dueAgain} ${row} AND ${isFree}`,
    outages: `
      SELECT sink, since, attempts AS failures, coalesce(error, '') AS error, expires_at AS alerted_at
      FROM ${table} WHERE key = ? AND state = 'failing'`,
    addFailures: `
      INSERT INTO ${table} (key, event_id, sink, delivery, state, since, due_at, attempts, error, failed_at, outbox)
      VALUES (?, '', ?, '', 'failing', ?, 0, ?, ?, ?, ?)
      ON CONFLICT (key, sink) DO UPDATE SET attempts = attempts + excluded.attempts, error = excluded.error,
        failed_at = excluded.failed_at, since = min(since, excluded.since)`,
    markAlerted: `UPDATE ${table} SET expires_at = ? ${row} AND state = 'failing' AND expires_at IS NULL`,
    forgetOutages: `DELETE FROM ${table} WHERE key = ? AND state = 'failing'`,
    endOutage: `DELETE FROM ${table} ${row} AND state = 'failing'`,
    failedRow: `
      SELECT 1 AS found FROM ${table} WHERE sink = ? AND ${ours} AND state = 'due' AND failed_at IS NOT NULL LIMIT 1`,
    row: `SELECT ${columns} FROM ${table} ${row}`,
    sweep: `
      DELETE FROM ${table} WHERE rowid IN (
        SELECT rowid FROM ${table} WHERE state = 'told' AND expires_at <= ? LIMIT 256)`,
  };
}
