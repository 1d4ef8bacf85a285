import { type Clock, systemClock, type Timer } from '../util/clock.js';
import { isBlocked, type SqliteTable } from './sqlite-table.js';

interface Write {
  run(): void;
  committed(): void;
  failed(error: unknown): void;
}

/** Writes in their order, and how many of them a commit has run. */
interface Part {
  readonly writes: Write[];
  count: number;
}

/**
 * `first`: in this turn of the event loop, ahead of all others, because a sender waits for it. `soon`: in this turn.
 * `later`: within some milliseconds, so that more writes share the commit.
 */
export type Urgency = 'first' | 'soon' | 'later';

/** What one commit takes at most, because it stops the event loop. Further writes get the next turn. */
const maxWrites = 256;
const maxMs = 8;
/** For writes that no sender waits for, however many others there are. */
const minOthersMs = 4;

/** How long after a commit a write of urgency `later` may wait, and how many of these wait at most. */
const laterMs = 5;
const maxLater = 32;

/**
 * How long writes wait for a locked file, or for the end of a transaction of the user's. It blocks nothing, and is less
 * than the default `storeTimeoutMs` of 2 seconds.
 */
const waitMs = 1_000;
/** Between two attempts meanwhile. SQLite's own pauses are long enough to starve a process. */
const lookAgainMs = 2;

export interface GroupCommitSettings {
  /** Called after each commit, with the error if it failed. */
  readonly onCommit?: (failure?: unknown) => void;
  readonly clock?: Clock;
}

/**
 * Writes of one turn of the event loop share a transaction, because most of a commit's cost is waiting for the disk.
 * All of them are on the disk when the commit has returned.
 */
export class GroupCommit {
  readonly #table: SqliteTable;
  readonly #onCommit: (failure?: unknown) => void;
  readonly #clock: Clock;
  readonly #first: Write[] = [];
  readonly #others: Write[] = [];
  #isScheduled = false;
  #timer: Timer | undefined;
  #committedAt = Number.NEGATIVE_INFINITY;
  #waitingSince: number | undefined;

  constructor(table: SqliteTable, { onCommit = () => {}, clock = systemClock }: GroupCommitSettings = {}) {
    this.#table = table;
    this.#onCommit = onCommit;
    this.#clock = clock;
  }

  /** Whether no write waits for its commit. */
  get isIdle(): boolean {
    return this.#first.length + this.#others.length === 0;
  }

  /**
   * Resolves with the result of `write` when it is committed. Rejects if `write` throws, or if the commit fails. Runs
   * `write` again if another write of the same commit throws.
   */
  add<T>(write: () => T, urgency: Urgency = 'first'): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      const writes = urgency === 'first' ? this.#first : this.#others;
      writes.push({
        run() {
          result = write();
        },
        committed: () => resolve(result),
        failed: reject,
      });
      this.#schedule(urgency === 'later' && writes.length < maxLater ? this.#committedAt + laterMs : 0);
    });
  }

  /** At the time of the clock's `now()`, or in this turn if that has passed. */
  #schedule(at: number): void {
    if (this.#isScheduled) return;
    const waitMs = at - this.#clock.now();
    if (waitMs > 0) {
      this.#timer ??= this.#clock.timeout(() => this.#commit(), waitMs);
      return;
    }
    this.#isScheduled = true;
    this.#clock.immediate(() => this.#commit());
  }

  #commit(): void {
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
    this.#isScheduled = false;
    // The timer and an immediate may both have been scheduled.
    if (this.isIdle) return;
    const first = { writes: this.#first, count: 0 };
    const others = { writes: this.#others, count: 0 };
    let running: Write | undefined;
    const run = (part: Part, until: number) => {
      const most = Math.min(part.writes.length, maxWrites);
      while (part.count < most && (part.count === 0 || this.#clock.now() < until)) {
        running = part.writes[part.count++] as Write;
        running.run();
      }
      running = undefined;
    };
    try {
      this.#table.transaction(() => {
        const until = this.#clock.now() + maxMs;
        run(first, until);
        run(others, Math.max(until, this.#clock.now() + minOthersMs));
      }, false);
    } catch (error) {
      this.#failed(error, [first, others], running);
      return;
    }
    this.#waitingSince = undefined;
    const committed = [first, others].flatMap(({ writes, count }) => writes.splice(0, count));
    this.#ended();
    for (const write of committed) write.committed();
  }

  /** Nothing was committed. `running` is the write that has thrown. */
  #failed(error: unknown, parts: readonly Part[], running: Write | undefined): void {
    const isInTheWay = isBlocked(error);
    if (isInTheWay && this.#mayWait()) {
      this.#isScheduled = true;
      this.#clock.timeout(() => this.#commit(), lookAgainMs);
      return;
    }
    this.#waitingSince = undefined;
    // Further attempts would fail in the same way, and may block the process each time.
    const areAllFailed = isInTheWay || parts.every(({ count }) => count === 0);
    const failed = parts.flatMap(({ writes, count }) => {
      if (areAllFailed) return writes.splice(0);
      if (running === undefined) return writes.splice(0, count);
      // A write that throws is taken out, and the others are run again.
      return writes.includes(running) ? writes.splice(count - 1, 1) : [];
    });
    this.#ended(error);
    for (const write of failed) write.failed(error);
  }

  /** After a commit or a failure. Leaves the other writes to the next turn. */
  #ended(failure?: unknown): void {
    this.#committedAt = this.#clock.now();
    if (!this.isIdle) this.#schedule(0);
    this.#onCommit(failure);
  }

  #mayWait(): boolean {
    const now = this.#clock.now();
    this.#waitingSince ??= now;
    return now - this.#waitingSince < waitMs;
  }
}
