import { AsyncResource } from 'node:async_hooks';
import type { Delivery } from '../contracts/delivery.js';
import { SinkError, toError } from '../contracts/errors.js';
import type { ErrorContext } from '../contracts/result.js';
import { type Sink, type SinkContext, type SinkFunction, sinkName, toSinks } from '../contracts/sink.js';
import { keyOf } from '../forward/dispatcher.js';
import { Drain } from '../forward/drain.js';
import { logError } from '../log.js';
import type { VastEvent } from '../providers/vast.js';
import { type QueuedDelivery, toQueued } from '../queue/envelope.js';
import type { SqliteDatabase } from '../stores/sqlite-table.js';
import { SweepTurn } from '../stores/sweep.js';
import {
  aFunction,
  aString,
  type Check,
  checkOptions,
  isWholeUpTo,
  longMilliseconds,
  milliseconds,
  trueOrFalse,
} from '../util/check-options.js';
import { type Clock, systemClock, type Timer } from '../util/clock.js';
import { swallowErrors } from '../util/swallow-errors.js';
import { GroupCommit } from './group-commit.js';
import { OutboxTable, type Row } from './outbox-table.js';
import { SinkWorker } from './sink-worker.js';

/** What `sqliteOutbox` takes beside the database. */
export interface OutboxOptions<Event = VastEvent> {
  /** Who is told of each event, each by itself: named functions or `Sink` objects. */
  readonly sinks: readonly (Sink<Event> | SinkFunction<Event>)[];
  /** The outbox's own name as a sink: `outbox`. */
  readonly name?: string;
  /** The table, made on first use: `vast_webhook_outbox`. */
  readonly table?: string;
  /** How many events a sink is told of at once, unless it says so itself: 4. */
  readonly concurrency?: number;
  /** How long an event that is being told is kept from other processes unless renewed, in milliseconds: 30,000. */
  readonly leaseMs?: number;
  /** The wait after the first failure is up to so many milliseconds, 1,000, and twice as many after each further one. */
  readonly minBackoffMs?: number;
  /** The longest wait, in milliseconds: 15 minutes. A sink's own `retryAfterMs` may be longer. */
  readonly maxBackoffMs?: number;
  /** How long an event is tried before it is a dead letter, in milliseconds: 3 days. */
  readonly giveUpAfterMs?: number;
  /** Whether an error with `permanent` makes a dead letter at once. True. */
  readonly giveUpOnPermanent?: boolean;
  /** How long an event that has been told is remembered, in milliseconds: 7 days. */
  readonly completedTtlMs?: number;
  /** Hears of each dead letter, and of trouble with the database. `console.error`. */
  readonly onError?: (error: Error, context: ErrorContext) => unknown;
}

/** An event that was not delivered to a sink, and will not be by itself. */
export interface DeadLetter {
  /** The signed event id. */
  readonly id: string;
  /** Name of the sink that does not have it. */
  readonly sink: string;
  /** Whether the outbox has this sink no more: `move` or `discard` the event, or give a sink this name. */
  readonly orphaned: boolean;
  /** How often it was tried. */
  readonly attempts: number;
  /** What the sink said at last. */
  readonly error: string;
  /** Unix milliseconds; of an event that was never tried, since when it waits. */
  readonly failedAt: number;
  /** As `createForwarder` takes it. Missing where the row cannot be read. */
  readonly delivery?: QueuedDelivery;
}

/** What an outbox holds for one sink. */
export interface OutboxStats {
  /** The sink's name. */
  readonly sink: string;
  /** Whether the outbox has this sink no more. */
  readonly orphaned: boolean;
  /** How many events are to be delivered. */
  readonly due: number;
  /** How many were given up. */
  readonly dead: number;
}

/** Which events are moved, and where to. */
export interface OutboxMove {
  /** The sink to deliver them to. */
  readonly to: string;
  /** Only events of this sink. Without it, those of sinks that the outbox has no more. */
  readonly from?: string;
  /** Only this event. */
  readonly id?: string;
}

/** A sink that keeps events in a file until its own sinks have been told. */
export interface Outbox<Event = VastEvent> extends Sink<Event> {
  /**
   * What was given up, and what waits for a sink that the outbox has no more, oldest first. Kept until it is
   * redelivered, moved or discarded.
   */
  deadLetters(): DeadLetter[];
  /** Delivers the dead letters of one event, or all of them, again. Gives how many there were. */
  redeliver(id?: string): number;
  /**
   * Gives undelivered events to another sink of this outbox, which delivers them. An event that it has already is not
   * delivered to it twice. Gives how many were moved. Throws a `TypeError` when the outbox has no sink `to`.
   */
  move(which: OutboxMove): number;
  /** Deletes what `deadLetters()` lists of an event, of one sink or of all. Gives how many there were. */
  discard(id: string, sink?: string): number;
  /** What is held for each sink: those of the outbox, and those that it has no more. */
  stats(): OutboxStats[];
  /** From now on nothing is taken or told. Resolves when what is being told has settled, or after `timeoutMs`. */
  close(timeoutMs?: number): Promise<void>;
  /** `close()` without a timeout: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A sink that writes each event to a SQLite file before the delivery is answered, and tells its own sinks of it in the
 * background, as long as it takes. For one machine; several processes may share the file. Takes a handle of
 * better-sqlite3 or `node:sqlite` that nothing else uses, since it sets `synchronous = FULL`, write-ahead logging and
 * a busy timeout of 250 ms at most. Throws a `TypeError` for a wrong handle or option.
 */
export function sqliteOutbox<Event extends object = VastEvent>(
  db: SqliteDatabase,
  options: OutboxOptions<Event>,
): Outbox<Event> {
  return sqliteOutboxOn(systemClock, db, options);
}

/** The same by another clock. */
export function sqliteOutboxOn<Event extends object>(
  clock: Clock,
  db: SqliteDatabase,
  options: OutboxOptions<Event>,
): Outbox<Event> {
  return new SqliteOutbox(clock, db, options);
}

const minutes = 60_000;
const days = 24 * 60 * minutes;

const someSinks: Check = [
  (value) => Array.isArray(value) && value.length > 0,
  'an array of named functions and sinks, not empty',
];

/** Keeps the outbox's keys apart from others of the same events, and from those of other outboxes. */
function scopeOf(name: string): string {
  return name === defaultName ? defaultName : `outbox ${name}`;
}

const defaultName = 'outbox';

/** The outboxes that are open in this process, by their table. */
const open = new Map<string, Set<string>>();
const unnamedFiles = new WeakMap<SqliteDatabase, number>();
let unnamed = 0;

/** The same text for each handle of a file. A database in memory is its handle's own. */
function tableIdOf(db: SqliteDatabase, table: string): string {
  let file: unknown;
  try {
    const databases = db.prepare('PRAGMA database_list').all() as { name?: unknown; file?: unknown }[];
    file = databases.find(({ name }) => name === 'main')?.file;
  } catch {
    // A handle that is closed, say, of which the first use will tell.
  }
  if (typeof file === 'string' && file !== '') return JSON.stringify([file, table]);
  const id = unnamedFiles.get(db) ?? ++unnamed;
  unnamedFiles.set(db, id);
  return JSON.stringify([id, table]);
}

/** How long rows that other processes have left behind may lie, when nothing happens here. */
const pollMs = 1_000;
/** Between two looks at what is due but cannot be had yet. */
const pauseMs = 50;

class SqliteOutbox<Event extends object> implements Outbox<Event> {
  readonly name: string;
  readonly #scope: string;
  readonly #tableId: string;
  readonly #sinks: readonly Sink<Event>[];
  readonly #table: OutboxTable;
  readonly #commits: GroupCommit;
  readonly #lanes: readonly SinkWorker<Event>[];
  readonly #clock: Clock;
  readonly #drain: Drain;
  readonly #sweepTurn = new SweepTurn();
  readonly #onError: (error: Error, context: ErrorContext) => void;
  /** Not in the context of whichever delivery has woken it: the events that it tells are mostly others. */
  readonly #turnApart = AsyncResource.bind(() => this.#poll());
  #timer: Timer | undefined;
  #isWoken = false;
  #isFailing = false;
  #hasReported = false;

  constructor(clock: Clock, db: SqliteDatabase, options: OutboxOptions<Event>) {
    this.#clock = clock;
    this.#drain = new Drain(clock);
    checkOptions(options, {
      sinks: someSinks,
      name: sinkName,
      table: aString,
      concurrency: [isWholeUpTo(1, 1_000), 'a whole number of 1 to 1000'],
      leaseMs: milliseconds,
      minBackoffMs: longMilliseconds,
      maxBackoffMs: longMilliseconds,
      giveUpAfterMs: longMilliseconds,
      giveUpOnPermanent: trueOrFalse,
      completedTtlMs: longMilliseconds,
      onError: aFunction,
    });
    if (options.sinks === undefined) throw new TypeError(`the option sinks must be ${someSinks[1]}`);
    const { name = defaultName, table = 'vast_webhook_outbox' } = options;
    this.name = name;
    this.#sinks = toSinks(options.sinks);
    this.#onError = swallowErrors(options.onError ?? logError);
    this.#table = new OutboxTable(db, table, name);
    this.#scope = scopeOf(name);
    this.#tableId = tableIdOf(db, table);
    this.#open();
    this.#commits = new GroupCommit(this.#table.sqlite, (failure) => this.#used(failure), clock);
    const settings = {
      scope: this.#scope,
      concurrency: options.concurrency ?? 4,
      leaseMs: options.leaseMs ?? 30_000,
      minBackoffMs: options.minBackoffMs ?? 1_000,
      maxBackoffMs: options.maxBackoffMs ?? 15 * minutes,
      giveUpAfterMs: options.giveUpAfterMs ?? 3 * days,
      giveUpOnPermanent: options.giveUpOnPermanent ?? true,
      completedTtlMs: options.completedTtlMs ?? 7 * days,
      drain: this.#drain,
      clock,
      onError: this.#onError,
    };
    const wake = () => this.#schedulePoll();
    this.#lanes = this.#sinks.map((sink) => new SinkWorker(sink, this.#table, this.#commits, settings, wake));
    this.#schedulePoll();
  }

  /** Resolves when the event is on the disk. */
  async deliver(event: Event, { delivery }: SinkContext): Promise<void> {
    if (this.#drain.closing) throw new SinkError('the outbox is closed');
    const sinks = this.#sinks.filter((sink) => mayAccept(sink, event, delivery));
    if (sinks.length === 0) return;
    const key = keyOf(this.#scope, delivery.provider, delivery.id);
    const queued = JSON.stringify(toQueued(delivery));
    this.#drain.enter();
    try {
      await this.#commits.add(() => {
        const now = this.#clock.date();
        for (const { name } of sinks) this.#table.insert(key, delivery, name, queued, now);
        if (this.#sweepTurn.next()) this.#table.sweep(now);
      });
    } finally {
      this.#drain.leave();
    }
    this.#schedulePoll();
  }

  deadLetters(): DeadLetter[] {
    return this.#undelivered().map(({ event_id, sink, attempts, error, failed_at, since, delivery }) => ({
      id: event_id,
      sink,
      orphaned: this.#isOrphaned(sink),
      attempts: Number(attempts),
      error: error ?? '',
      failedAt: Number(failed_at ?? since),
      delivery: parsed(delivery),
    }));
  }

  redeliver(id?: string): number {
    const count = this.#table.redeliver(id, this.#clock.date());
    this.#schedulePoll();
    return count;
  }

  move({ to, from, id }: OutboxMove): number {
    if (this.#isOrphaned(to)) {
      throw new TypeError(
        `the outbox has no sink "${to}" (it has ${this.#sinkNames.join(', ')}): move to one of these`,
      );
    }
    const isMeant = (row: Row) =>
      row.sink !== to &&
      (from === undefined ? this.#isOrphaned(row.sink) : row.sink === from) &&
      (id === undefined || row.event_id === id);
    const moved = this.#each(isMeant, (row, now) => this.#table.move(row, to, now));
    this.#schedulePoll();
    return moved;
  }

  discard(id: string, sink?: string): number {
    const isMeant = (row: Row) => row.event_id === id && (sink === undefined || row.sink === sink);
    return this.#each(isMeant, (row, now) => this.#table.discard(row, now));
  }

  stats(): OutboxStats[] {
    const counts = this.#table.counts();
    const names = new Set([...this.#sinkNames, ...counts.map(({ sink }) => sink)]);
    const countOf = (sink: string, state: 'due' | 'dead') =>
      Number(counts.find((each) => each.sink === sink && each.state === state)?.count ?? 0);
    return [...names].map((sink) => ({
      sink,
      orphaned: this.#isOrphaned(sink),
      due: countOf(sink, 'due'),
      dead: countOf(sink, 'dead'),
    }));
  }

  get #sinkNames(): string[] {
    return this.#sinks.map(({ name }) => name);
  }

  #isOrphaned(sink: string): boolean {
    return !this.#sinks.some(({ name }) => name === sink);
  }

  #undelivered(): Row[] {
    return this.#table.undelivered(this.#sinkNames);
  }

  /** Does something with the undelivered rows that are meant, as one commit. Gives with how many it was done. */
  #each(isMeant: (row: Row) => boolean, change: (row: Row, now: number) => boolean): number {
    let count = 0;
    this.#table.sqlite.transaction(() => {
      const now = Date.now();
      count = this.#undelivered().filter((row) => isMeant(row) && change(row, now)).length;
    });
    return count;
  }

  /** Throws a `TypeError` when this process has an outbox of this name on the table: each would take the other's rows. */
  #open(): void {
    const names = open.get(this.#tableId) ?? new Set();
    if (names.has(this.name)) {
      throw new TypeError(
        `there is an outbox named "${this.name}" on this table already: close it, share it, or give this one another name`,
      );
    }
    open.set(this.#tableId, names.add(this.name));
  }

  #reportOrphans(): void {
    if (this.#hasReported) return;
    const orphaned = this.stats().filter((each) => each.orphaned);
    this.#hasReported = true;
    for (const { sink, due, dead } of orphaned) {
      const what = `${due} due and ${dead} dead ${due + dead === 1 ? 'event' : 'events'}`;
      const cure = 'give a sink this name, or use move() or discard()';
      this.#onError(new Error(`the outbox holds ${what} for "${sink}", which is none of its sinks: ${cure}`), { sink });
    }
  }

  close(timeoutMs?: number): Promise<void> {
    if (!this.#drain.closing) open.get(this.#tableId)?.delete(this.name);
    this.#clock.clear(this.#timer);
    return this.#drain.close(timeoutMs, this.#sinks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #schedulePoll(): void {
    if (this.#isWoken || this.#drain.closing) return;
    this.#isWoken = true;
    this.#clock.immediate(() => {
      this.#isWoken = false;
      this.#turnApart();
    });
  }

  #poll(): void {
    if (this.#drain.closing) return;
    const now = this.#clock.date();
    let next = now + pollMs;
    try {
      this.#reportOrphans();
      for (const lane of this.#lanes) next = Math.min(next, lane.poll(now) ?? next);
    } catch (error) {
      this.#used(error);
    }
    this.#clock.clear(this.#timer);
    this.#timer = this.#clock.unrefTimeout(() => this.#poll(), Math.max(pauseMs, next - now));
  }

  /** Trouble with the file is said once, until a commit has shown that it is over. */
  #used(failure?: unknown): void {
    if (failure !== undefined && !this.#isFailing) this.#onError(toError(failure), {});
    this.#isFailing = failure !== undefined;
  }
}

/** What its predicate cannot say now is said when the sink is told. */
function mayAccept<Event>(sink: Sink<Event>, event: Event, delivery: Delivery): boolean {
  try {
    return sink.accepts?.(event, delivery) ?? true;
  } catch {
    return true;
  }
}

/** One row that cannot be read spoils no list. */
function parsed(delivery: string): QueuedDelivery | undefined {
  try {
    return JSON.parse(delivery);
  } catch {
    return undefined;
  }
}
