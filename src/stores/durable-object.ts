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

/** The part of a Durable Object's storage that is used here. */
export interface DurableObjectSqlStorage {
  /** The object's SQLite database. */
  readonly sql: {
    /** Runs one statement. Throws if it fails. */
    exec(sql: string, ...values: (string | number)[]): DurableObjectRows;
  };
}

/** What a statement returns. */
export interface DurableObjectRows {
  /** Reads all rows. */
  toArray(): unknown[];
}

/**
 * An idempotency store in the SQLite storage of a Durable Object, for the deliveries that this object receives.
 * `storage` is its `ctx.storage`. The platform holds back what the object sends until its writes are stored. Throws a
 * `TypeError` for another `storage` or an invalid option.
 */
export function durableObjectStore(
  storage: DurableObjectSqlStorage,
  options: WorkersStoreOptions = {},
): IdempotencyStore {
  checkClient(
    'durableObjectStore',
    storage,
    typeof storage?.sql?.exec === 'function',
    'storage must be the ctx.storage of a Durable Object whose class is in new_sqlite_classes',
  );
  return new DurableObjectStore(storage, workersStatements('durableObjectStore', options));
}

class DurableObjectStore implements IdempotencyStore {
  readonly #storage: DurableObjectSqlStorage;
  readonly #sql: WorkersStatements;
  readonly #sweepSchedule = new SweepSchedule();

  constructor(storage: DurableObjectSqlStorage, sql: WorkersStatements) {
    this.#storage = storage;
    this.#sql = sql;
  }

  claim(key: string, token: string, leaseMs: number): ClaimResult {
    const [taken] = this.#run(this.#sql.claim, key, token, Math.ceil(leaseMs));
    if (this.#sweepSchedule.next()) this.#run(this.#sql.sweep);
    return claimResultOf(taken, taken === undefined ? this.#run(this.#sql.look, key)[0] : undefined);
  }

  renew(key: string, token: string, leaseMs: number): boolean {
    return this.#run(this.#sql.renew, key, token, Math.ceil(leaseMs)).length === 1;
  }

  delivered(key: string, token: string, sink: string): boolean {
    return this.#run(this.#sql.delivered, key, token, sink).length === 1;
  }

  complete(key: string, token: string, ttlMs: number): boolean {
    return this.#run(this.#sql.complete, key, token, Math.ceil(ttlMs)).length === 1;
  }

  release(key: string, token: string, ttlMs: number): boolean {
    return this.#run(this.#sql.release, key, token, Math.ceil(ttlMs)).length === 1;
  }

  #run(sql: string, ...values: (string | number)[]): unknown[] {
    const database = this.#storage.sql;
    try {
      return database.exec(sql, ...values).toArray();
    } catch (error) {
      if (!isMissingTable(error)) throw explained(error);
    }
    for (const create of this.#sql.create) database.exec(create);
    return database.exec(sql, ...values).toArray();
  }
}
