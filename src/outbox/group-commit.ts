import type { SqliteTable } from '../stores/sqlite-table.js';
import { type Clock, systemClock } from '../util/clock.js';

interface Write {
  run(): void;
  committed(): void;
  failed(error: unknown): void;
}

/**
 * Writes of one turn of the event loop share a transaction, because most of a commit's cost is waiting for the disk.
 * All of them are on the disk when the commit has returned.
 */
export class GroupCommit {
  readonly #table: SqliteTable;
  readonly #onCommit: (failure?: unknown) => void;
  readonly #clock: Clock;
  #writes: Write[] = [];

  /** `onCommit` is called after each commit, with the error if it failed. */
  constructor(table: SqliteTable, onCommit: (failure?: unknown) => void, clock: Clock = systemClock) {
    this.#clock = clock;
    this.#table = table;
    this.#onCommit = onCommit;
  }

  /** Resolves with the result of `write` when it is committed. Rejects if the commit fails. */
  add<T>(write: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      if (this.#writes.length === 0) this.#clock.immediate(() => this.#commit());
      this.#writes.push({
        run() {
          result = write();
        },
        committed: () => resolve(result),
        failed: reject,
      });
    });
  }

  #commit(): void {
    const writes = this.#writes;
    this.#writes = [];
    try {
      this.#table.transaction(() => {
        for (const write of writes) write.run();
      });
    } catch (error) {
      this.#onCommit(error);
      for (const write of writes) write.failed(error);
      return;
    }
    this.#onCommit();
    for (const write of writes) write.committed();
  }
}
