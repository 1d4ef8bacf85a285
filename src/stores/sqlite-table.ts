/** A handle of better-sqlite3 11 to 13 or of `node:sqlite`, as far as it is used. */
export interface SqliteDatabase {
  /** Runs statements that give no rows. Throws when one fails. */
  exec(sql: string): unknown;
  /** Compiles one statement. Throws when it is wrong. */
  prepare(sql: string): SqliteStatement;
}

type Value = string | number | null | Uint8Array;

/** A compiled statement, which is run with the values of its parameters. */
export interface SqliteStatement {
  /** The first row, unless there is none. */
  get(...values: Value[]): unknown;
  /** All rows. */
  all(...values: Value[]): unknown[];
  /** Runs it for what it does. */
  run(...values: Value[]): {
    /** How many rows it has changed. */
    readonly changes: number | bigint;
  };
}

/**
 * SQLite is synchronous, so that whoever waits for a lock stops the whole process: better to fail soon, and be sent
 * the event again.
 */
const maxBusyTimeoutMs = 250;

/** After a lock that did not end in time, how long it is not waited for: the process has other things to do. */
const afterBusyMs = 2 * maxBusyTimeoutMs;

export interface TableShape {
  /** Definitions, each beginning with the column's name. */
  readonly columns: readonly string[];
  /** Further ones, which a table made by an earlier version does not have yet: they may be NULL. */
  readonly added?: readonly string[];
  /** The columns of the primary key. */
  readonly key: string;
  /** Columns and condition, as they stand behind the table's name. */
  readonly indexes: readonly string[];
  /** What else the handle is set to. */
  readonly pragmas?: readonly string[];
}

/** One table of the user's database: made on first use, and again whenever something has gone wrong. */
export class SqliteTable {
  readonly name: string;
  readonly #db: SqliteDatabase;
  readonly #columns: readonly string[];
  readonly #added: readonly string[];
  readonly #key: string;
  readonly #indexes: readonly string[];
  readonly #pragmas: readonly string[];
  readonly #statements = new Map<string, SqliteStatement>();
  #ready = false;
  /** How long a lock is waited for, as the handle had it, within the limit. */
  #busyTimeoutMs: number | undefined;
  /** Until when it is not, a time of `performance.now()`. */
  #impatientUntil = 0;

  /** `owner` names the function that was called, for the `TypeError` about what it was given. */
  constructor(owner: string, db: SqliteDatabase, name: string, shape: TableShape) {
    if (typeof db?.prepare !== 'function' || typeof db.exec !== 'function') {
      throw new TypeError(`${owner}: db must be a database of better-sqlite3 or a DatabaseSync of node:sqlite`);
    }
    if (typeof name !== 'string' || !/^[a-z_][a-z0-9_]*$/i.test(name)) {
      throw new TypeError(`${owner}: table must be a name of letters, digits and underscores`);
    }
    const { columns, added = [], key, indexes, pragmas = [] } = shape;
    this.name = name;
    this.#db = db;
    this.#columns = columns;
    this.#added = added;
    this.#key = key;
    this.#indexes = indexes;
    this.#pragmas = pragmas;
  }

  /**
   * The first row. The statement always runs to its end: a write that is read with one step answers before its commit,
   * and hides an error of the commit.
   */
  get(sql: string, ...values: Value[]): unknown {
    return this.all(sql, ...values)[0];
  }

  all(sql: string, ...values: Value[]): unknown[] {
    return this.#use(() => this.#statement(sql).all(...values));
  }

  /** How many rows it changed. */
  run(sql: string, ...values: Value[]): number {
    return this.#use(() => Number(this.#statement(sql).run(...values).changes));
  }

  /** All or nothing of what `body` does, as one commit. */
  transaction(body: () => void): void {
    this.#use(() => {
      this.#db.exec('BEGIN IMMEDIATE');
      try {
        body();
        this.#db.exec('COMMIT');
      } catch (error) {
        this.#rollBack();
        throw error;
      }
    });
  }

  #rollBack(): void {
    try {
      this.#db.exec('ROLLBACK');
    } catch {
      // After some errors, such as a full disk, SQLite has done so by itself.
    }
  }

  #use<T>(body: () => T): T {
    try {
      if (!this.#ready) this.#open();
      const result = body();
      if (this.#impatientUntil !== 0) this.#waitForLocks(true);
      return result;
    } catch (error) {
      if (isBusy(error) && performance.now() >= this.#impatientUntil) {
        this.#impatientUntil = performance.now() + afterBusyMs;
      }
      // The file may be another one by the next call, or the table gone.
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

  #open(): void {
    const db = this.#db;
    this.#waitForLocks(performance.now() >= this.#impatientUntil);
    this.#useWal();
    for (const pragma of this.#pragmas) db.exec(`PRAGMA ${pragma}`);
    if (this.#existing().length === 0) this.#create();
    this.#addColumns();
    this.#checkShape();
    this.#createIndexes();
    this.#ready = true;
  }

  #waitForLocks(isPatient: boolean): void {
    if (this.#busyTimeoutMs === undefined) {
      const ms = Number(firstOf(this.#db.prepare('PRAGMA busy_timeout').get()));
      // node:sqlite has none unless told otherwise, which no second process survives.
      this.#busyTimeoutMs = ms === 0 ? maxBusyTimeoutMs : Math.min(ms, maxBusyTimeoutMs);
    }
    if (isPatient) this.#impatientUntil = 0;
    this.#db.exec(`PRAGMA busy_timeout = ${isPatient ? this.#busyTimeoutMs : 0}`);
  }

  /** With it readers and the one writer do not stop one another, but it does without where it cannot be had. */
  #useWal(): void {
    try {
      if (firstOf(this.#db.prepare('PRAGMA journal_mode').get()) !== 'wal') this.#db.exec('PRAGMA journal_mode = WAL');
    } catch {
      // In a transaction of the user's, or while another process opens the file.
    }
  }

  #create(): void {
    this.#db.exec(
      `CREATE TABLE IF NOT EXISTS "${this.name}" (${this.#columns.join(', ')}, PRIMARY KEY (${this.#key}))`,
    );
  }

  /** At each opening, because a process may have died between the table and its indexes. */
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

  /** Columns that an earlier version of the table did not have. Another process may add one at the same moment. */
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
        throw new Error(`the table "${this.name}" has no column "${column}": it is another's, so give another name`);
      }
    }
  }
}

/** In the words of SQLite, since each driver has a code of its own. */
export function isBusy(error: unknown): error is Error {
  return /database (table )?is locked/.test(String((error as { message?: unknown } | undefined)?.message));
}

function nameIn(definition: string): string {
  return definition.slice(0, definition.indexOf(' '));
}

function firstOf(row: unknown): unknown {
  return Object.values(row as object)[0];
}
