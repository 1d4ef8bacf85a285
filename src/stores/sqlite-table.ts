import { checkClient } from './lookalikes.js';

/** The part of a better-sqlite3 11 to 13, `node:sqlite` or `bun:sqlite` handle that is used here. */
export interface SqliteDatabase {
  /** Runs statements that return no rows. Throws if one fails. */
  exec(sql: string): unknown;
  /** Compiles one statement. Throws if it is invalid. */
  prepare(sql: string): SqliteStatement;
  /** Whether a transaction is open, in better-sqlite3 and `bun:sqlite`. */
  readonly inTransaction?: boolean;
  /** Whether a transaction is open, in `node:sqlite` of Node.js 22.16 or later. */
  readonly isTransaction?: boolean;
}

type Value = string | number | null | Uint8Array;

/** A compiled statement. Each method takes the values of its parameters. */
export interface SqliteStatement {
  /** Returns the first row, if there is one. */
  get(...values: Value[]): unknown;
  /** Returns all rows. */
  all(...values: Value[]): unknown[];
  /** Runs a statement that returns no rows. */
  run(...values: Value[]): {
    /** How many rows were changed. */
    readonly changes: number | bigint;
  };
}

/**
 * Waiting for a lock blocks the whole process, because SQLite is synchronous. So we fail early, and the sender retries.
 */
const maxBusyTimeoutMs = 250;

/** After a lock timeout, how long further calls fail at once, so that waiting does not block the process again. */
const afterBusyMs = 2 * maxBusyTimeoutMs;

/** The number of `PRAGMA synchronous = FULL`. */
const full = 2;

export interface TableShape {
  /** Column definitions. Each begins with the column's name. */
  readonly columns: readonly string[];
  /** Later columns, which a table of an earlier version does not have yet. They may be NULL. */
  readonly added?: readonly string[];
  /** The columns of the primary key. */
  readonly key: string;
  /** Columns and condition of each index, as written after the table's name. */
  readonly indexes: readonly string[];
  /** What a power cut may take: nothing with `FULL`, the latest writes with `NORMAL`. Holds for the whole handle. */
  readonly synchronous?: Synchronous;
}

export type Synchronous = 'FULL' | 'NORMAL';

/** One table of the user's database. Created on first use, and checked again after every error. */
export class SqliteTable {
  readonly name: string;
  readonly #db: SqliteDatabase;
  readonly #columns: readonly string[];
  readonly #added: readonly string[];
  readonly #key: string;
  readonly #indexes: readonly string[];
  readonly #synchronous: Synchronous | undefined;
  readonly #statements = new Map<string, SqliteStatement>();
  #ready = false;
  /** How long to wait for a lock: the handle's own timeout, up to our limit. */
  #busyTimeoutMs: number | undefined;
  /** Until when no call waits for a lock, a time of `performance.now()`. */
  #failFastUntil = 0;

  /** `owner` is the public function's name, for its `TypeError`s. */
  constructor(owner: string, db: SqliteDatabase, name: string, shape: TableShape) {
    const isRight = typeof db?.prepare === 'function' && typeof db.exec === 'function';
    const form = 'db must be a database of better-sqlite3 or bun:sqlite, or a DatabaseSync of node:sqlite';
    checkClient(owner, db, isRight, form);
    if (typeof name !== 'string' || !/^[a-z_][a-z0-9_]*$/i.test(name)) {
      throw new TypeError(`${owner}: table must be a name of letters, digits and underscores`);
    }
    const { columns, added = [], key, indexes, synchronous } = shape;
    this.name = name;
    this.#db = db;
    this.#columns = columns;
    this.#added = added;
    this.#key = key;
    this.#indexes = indexes;
    this.#synchronous = synchronous;
  }

  /**
   * Returns the first row. It reads all rows, because a driver that reads one row of a write returns before the commit,
   * and hides an error of the commit.
   */
  get(sql: string, ...values: Value[]): unknown {
    return this.all(sql, ...values)[0];
  }

  all(sql: string, ...values: Value[]): unknown[] {
    return this.#use(() => this.#statement(sql).all(...values));
  }

  /** Returns how many rows were changed. */
  run(sql: string, ...values: Value[]): number {
    return this.#use(() => Number(this.#statement(sql).run(...values).changes));
  }

  /** Whether a transaction is open. Undefined where the handle does not say. Throws if a `node:sqlite` is closed. */
  get isInTransaction(): boolean | undefined {
    return this.#db.inTransaction ?? this.#db.isTransaction;
  }

  /**
   * Runs `body` in one transaction. With `blocks: false`, it throws at once if the file is locked, and the caller can
   * wait without blocking the process.
   */
  transaction(body: () => void, blocks = true): void {
    this.#use(() => {
      if (!blocks) this.#db.exec('PRAGMA busy_timeout = 0');
      try {
        this.#transact(body);
      } finally {
        if (!blocks) this.#waitForLocks(this.#failFastUntil === 0);
      }
    }, blocks);
  }

  #transact(body: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      body();
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  #rollBack(): void {
    try {
      this.#db.exec('ROLLBACK');
    } catch {
      // After some errors, such as a full disk, SQLite has already rolled back.
    }
  }

  #use<T>(body: () => T, blocks = true): T {
    try {
      if (!this.#ready) this.#open(blocks);
      const result = body();
      if (this.#failFastUntil !== 0) this.#waitForLocks(true);
      return result;
    } catch (error) {
      if (!blocks && isBlocked(error)) throw error;
      if (isBusy(error) && performance.now() >= this.#failFastUntil) {
        this.#failFastUntil = performance.now() + afterBusyMs;
      }
      // By the next call, the file may have been replaced or the table dropped.
      this.#ready = false;
      this.#statements.clear();
      throw error;
    }
  }

  #statement(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #open(blocks: boolean): void {
    this.#waitForLocks(blocks && performance.now() >= this.#failFastUntil);
    this.#useWal();
    const isSynchronous = this.#setSynchronous();
    if (this.#existing().length === 0) this.#create();
    this.#addColumns();
    this.#checkShape();
    this.#createIndexes();
    this.#ready = isSynchronous;
  }

  #waitForLocks(canWait: boolean): void {
    if (this.#busyTimeoutMs === undefined) {
      const ms = Number(firstOf(this.#db.prepare('PRAGMA busy_timeout').get()));
      // The default of node:sqlite is 0, which makes calls fail whenever a second process writes.
      this.#busyTimeoutMs = ms === 0 ? maxBusyTimeoutMs : Math.min(ms, maxBusyTimeoutMs);
    }
    if (canWait) this.#failFastUntil = 0;
    this.#db.exec(`PRAGMA busy_timeout = ${canWait ? this.#busyTimeoutMs : 0}`);
  }

  /** Write-ahead logging, so that readers and the writer do not block each other. Works without it, too. */
  #useWal(): void {
    try {
      if (firstOf(this.#db.prepare('PRAGMA journal_mode').get()) !== 'wal') this.#db.exec('PRAGMA journal_mode = WAL');
    } catch {
      // Fails in a transaction of the user's, or while another process opens the file.
    }
  }

  /**
   * After the switch to write-ahead logging, with which better-sqlite3 makes it `NORMAL` unless it was set. `EXTRA` is
   * kept. Returns false in a transaction of the user's, where SQLite refuses it: the next call tries again.
   */
  #setSynchronous(): boolean {
    if (this.#synchronous === undefined) return true;
    const level = Number(firstOf(this.#db.prepare('PRAGMA synchronous').get()));
    try {
      this.#db.exec(`PRAGMA synchronous = ${this.#synchronous === 'FULL' ? Math.max(level, full) : 'NORMAL'}`);
      return true;
    } catch (error) {
      if (/inside a transaction/.test(messageOf(error))) return false;
      throw error;
    }
  }

  #create(): void {
    this.#db.exec(
      `CREATE TABLE IF NOT EXISTS "${this.name}" (${this.#columns.join(', ')}, PRIMARY KEY (${this.#key}))`,
    );
  }

  /** Each time, because a process may have died after it created the table, and before its indexes. */
  #createIndexes(): void {
    this.#indexes.forEach((columns, index) => {
      this.#db.exec(`CREATE INDEX IF NOT EXISTS "${this.name}_${index}" ON "${this.name}" ${columns}`);
    });
  }

  #existing(): unknown[] {
    return this.#db
      .prepare(`PRAGMA table_info("${this.name}")`)
      .all()
      .map((row) => (row as { name: unknown }).name);
  }

  /** Adds the later columns. Another process may add one at the same moment. */
  #addColumns(): void {
    const existing = this.#existing();
    for (const definition of this.#added) {
      if (existing.includes(nameIn(definition))) continue;
      this.#checkShape();
      try {
        this.#db.exec(`ALTER TABLE "${this.name}" ADD COLUMN ${definition}`);
      } catch (error) {
        if (!this.#existing().includes(nameIn(definition))) throw error;
      }
    }
  }

  #checkShape(): void {
    const existing = this.#existing();
    for (const column of this.#columns.map(nameIn)) {
      if (!existing.includes(column)) {
        throw new Error(
          `the table "${this.name}" has no column "${column}", so it is not ours: choose another table name`,
        );
      }
    }
  }
}

/** Reads SQLite's message, because each driver has its own error code. */
export function isBusy(error: unknown): error is Error {
  return /database (table )?is locked/.test(messageOf(error));
}

/** Whether it says that a lock is in the way, or a transaction of the user's on the same handle. */
export function isBlocked(error: unknown): boolean {
  return isBusy(error) || /transaction within a transaction/.test(messageOf(error));
}

function messageOf(error: unknown): string {
  return String((error as { message?: unknown } | undefined)?.message);
}

function nameIn(definition: string): string {
  return definition.slice(0, definition.indexOf(' '));
}

function firstOf(row: unknown): unknown {
  return Object.values(row as object)[0];
}
