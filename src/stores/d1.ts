import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { checkClient } from './lookalikes.js';
import { SweepSchedule } from './sweep.js';
import {
  claimResultOf,
  explained,
  isMissingTable,
  type WorkersStatements,
  type WorkersStoreOptions,
  workersStatements,
} from './workers-table.js';

/** The part of a D1 database that is used here. */
export interface D1 {
  /** Prepares one statement. */
  prepare(sql: string): D1Statement;
  /** Runs the statements in one transaction. Rejects if one fails. */
  batch(statements: D1Statement[]): Promise<D1Answer[]>;
}

/** The answer to one statement. */
export interface D1Answer {
  /** The rows. */
  readonly results: unknown[];
}

/** A prepared statement of D1. */
export interface D1Statement {
  /** The same statement with values for its parameters. */
  bind(...values: unknown[]): D1Statement;
}

/**
 * An idempotency store in a D1 database of Cloudflare, for any number of isolates. `db` is the binding: `env.DB`. Throws
 * a `TypeError` for another `db` or an invalid option.
 */
export function d1Store(db: D1, options: WorkersStoreOptions = {}): IdempotencyStore {
  const isRight = typeof db?.prepare === 'function' && typeof db.batch === 'function';
  checkClient('d1Store', db, isRight, 'db must be a D1 database, such as the binding env.DB');
  return new D1Store(db, workersStatements('d1Store', options));
}

class D1Store implements IdempotencyStore {
  readonly #db: D1;
  readonly #sql: WorkersStatements;
  readonly #sweepSchedule = new SweepSchedule();

  constructor(db: D1, sql: WorkersStatements) {
    this.#db = db;
    this.#sql = sql;
  }

  async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    const { claim, look, sweep } = this.#sql;
    const statements = [this.#prepared(claim, key, token, Math.ceil(leaseMs)), this.#prepared(look, key)];
    if (this.#sweepSchedule.next()) statements.push(this.#prepared(sweep));
    const [taken, row] = await this.#run(statements);
    return claimResultOf(taken?.[0], row?.[0]);
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#change(this.#sql.renew, key, token, Math.ceil(leaseMs));
  }

  delivered(key: string, token: string, sink: string): Promise<boolean> {
    return this.#change(this.#sql.delivered, key, token, sink);
  }

  complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#change(this.#sql.complete, key, token, Math.ceil(ttlMs));
  }

  release(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#change(this.#sql.release, key, token, Math.ceil(ttlMs));
  }

  async #change(sql: string, key: string, token: string, argument: string | number): Promise<boolean> {
    const [rows] = await this.#run([this.#prepared(sql, key, token, argument)]);
    return rows?.length === 1;
  }

  #prepared(sql: string, ...values: unknown[]): D1Statement {
    const statement = this.#db.prepare(sql);
    return values.length === 0 ? statement : statement.bind(...values);
  }

  /** Resolves with the rows of each statement. */
  async #run(statements: D1Statement[]): Promise<unknown[][]> {
    try {
      return rowsOf(await this.#db.batch(statements));
    } catch (error) {
      if (!isMissingTable(error)) throw explained(error);
    }
    await this.#db.batch(this.#sql.create.map((sql) => this.#db.prepare(sql)));
    return rowsOf(await this.#db.batch(statements));
  }
}

function rowsOf(answers: readonly D1Answer[]): unknown[][] {
  return answers.map(({ results }) => results);
}
