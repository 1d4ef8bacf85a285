import { AsyncResource } from 'node:async_hooks';
import { type AlertOptions, alertAfterMs } from '../alerts/outage.js';
import type { Delivery } from '../contracts/delivery.js';
import { SinkError, toError } from '../contracts/errors.js';
import type { ErrorContext } from '../contracts/result.js';
import { type Sink, type SinkContext, type SinkFunction, sinkName, toSinks } from '../contracts/sink.js';
import { keyOf } from '../forward/dispatcher.js';
import { Drain } from '../forward/drain.js';
import { logError } from '../log.js';
import type { VastEvent } from '../providers/vast.js';
import { toQueued } from '../queue/envelope.js';
import { GroupCommit } from '../stores/group-commit.js';
import type { SqliteDatabase } from '../stores/sqlite-table.js';
import { SweepSchedule } from '../stores/sweep.js';
import {
  aFunction,
  anything,
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
import { OutboxAlerts, outageKey } from './outbox-alerts.js';
import { OutboxTable } from './outbox-table.js';
import { SinkWorker } from './sink-worker.js';
import {
  type DeadLetter,
  type DeadLetterPage,
  type OutboxMove,
  type OutboxStats,
  type Step,
  UndeliveredEvents,
} from './undelivered-events.js';

/** Options of `sqliteOutbox`. */
export interface OutboxOptions<Event = VastEvent> {
  /** Where each event is delivered to: named functions or `Sink` objects. Each sink has its own retries. */
  readonly sinks: readonly (Sink<Event> | SinkFunction<Event>)[];
  /** The outbox's own name as a sink. Default: `outbox`. */
  readonly name?: string;
  /** Name of the table, which the outbox creates on first use. Default: `vast_webhook_outbox`. */
  readonly table?: string;
  /** How many events are delivered to a sink at once, unless the sink has its own `concurrency`. Default: 4. */
  readonly concurrency?: number;
  /** How long a row is leased before the lease must be renewed, in milliseconds. Default: 30,000. */
  readonly leaseMs?: number;
  /** The longest wait after the first failure, in milliseconds. It doubles with each further one. Default: 1,000. */
  readonly minBackoffMs?: number;
  /** The longest wait at all, in milliseconds. A sink's own `retryAfterMs` may be longer. Default: 15 minutes. */
  readonly maxBackoffMs?: number;
  /** How long an event is retried before it becomes a dead letter, in milliseconds. Default: 3 days. */
  readonly giveUpAfterMs?: number;
  /** Whether an error with `permanent` makes a dead letter at once. Default: true. */
  readonly giveUpOnPermanent?: boolean;
  /** How long a delivered event is remembered, in milliseconds. Default: 7 days. */
  readonly completedTtlMs?: number;
  /**
   * Another sink, which gets an `AlertEvent` when one of `sinks` keeps failing, and when it works again. Each is stored
   * as an event for that sink, so that it is delivered once, also over restarts and with several processes.
   */
  readonly alert?: AlertOptions;
  /** Called with each dead letter, and with errors of the database. Default: `console.error`. */
  readonly onError?: (error: Error, context: ErrorContext) => unknown;
}

/** A sink that stores events in a file until they are delivered to its own sinks. */
export interface Outbox<Event = VastEvent> extends Sink<Event> {
  /**
   * Dead letters by sink, the oldest first, and behind them events for sinks that the outbox no longer has, in the order
   * of their due times. They stay until they are redelivered, moved or discarded. Many are read over several turns of the
   * event loop, without those that fail meanwhile. For `for await`, which rejects with an error of the database.
   */
  deadLetters(page?: DeadLetterPage): AsyncIterable<DeadLetter>;
  /**
   * Redelivers the dead letters of one event, or all, except those of sinks that are gone. Resolves with how many there
   * were. Many are changed over several turns of the event loop.
   */
  redeliver(id?: string): Promise<number>;
  /**
   * Moves undelivered events to another sink of this outbox. No event is delivered to that sink twice. Resolves with how
   * many were moved. Rejects with a `TypeError` if the outbox has no sink `to`.
   */
  move(which: OutboxMove): Promise<number>;
  /** Deletes the entries of `deadLetters()` for one event: of one sink, or of all. Resolves with how many there were. */
  discard(id: string, sink?: string): Promise<number>;
  /**
   * Numbers of events by sink. Includes sinks that the outbox no longer has, if they have events. Many are counted over
   * several turns of the event loop, so that events that are delivered meanwhile may count or not.
   */
  stats(): Promise<OutboxStats[]>;
  /** Stops accepting and delivering events. Resolves when running deliveries have settled, or after `timeoutMs`. */
  close(timeoutMs?: number): Promise<void>;
  /** `close()` without a timeout: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A sink that writes each event to a SQLite file before the delivery is answered. It then delivers the event to its own
 * sinks in the background, with retries. For one machine. Several processes may share the file. `db` must be a handle
 * of better-sqlite3 or `node:sqlite` that nothing else uses, because the outbox sets `synchronous = FULL`, write-ahead
 * logging and a busy timeout of 250 ms at most. Throws a `TypeError` for an invalid handle or option.
 */
export function sqliteOutbox<Event extends object = VastEvent>(
  db: SqliteDatabase,
  options: OutboxOptions<Event>,
): Outbox<Event> {
  return sqliteOutboxOn(systemClock, db, options);
}

/** The same with another clock. */
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

/** Makes the outbox's keys differ from other keys of the same events, and from those of other outboxes. */
function scopeOf(name: string): string {
  return name === defaultName ? defaultName : `outbox ${name}`;
}

export const defaultName = 'outbox';

export const defaultTable = 'vast_webhook_outbox';

/** Names of the open outboxes of this process, by table. */
const open = new Map<string, Set<string>>();
const unnamedFiles = new WeakMap<SqliteDatabase, number>();
let unnamed = 0;

/** One id per file and table, for all handles of a file. Each handle of a database in memory has its own. */
function tableIdOf(db: SqliteDatabase, table: string): string {
  let file: unknown;
  try {
    const databases = db.prepare('PRAGMA database_list').all() as { name?: unknown; file?: unknown }[];
    file = databases.find(({ name }) => name === 'main')?.file;
  } catch {
    // For example, the handle is closed. The first use reports that.
  }
  if (typeof file === 'string' && file !== '') return JSON.stringify([file, table]);
  const id = unnamedFiles.get(db) ?? ++unnamed;
  unnamedFiles.set(db, id);
  return JSON.stringify([id, table]);
}

/** How long rows that other processes have left behind may lie, when nothing happens here. */
const pollMs = 1_000;
/** Less is a clock that is being adjusted. */
const putBackMs = 1_000;
/** Between two looks at what is due but cannot be had yet. */
const pauseMs = 50;

class SqliteOutbox<Event extends object> implements Outbox<Event> {
  readonly name: string;
  readonly #scope: string;
  readonly #tableId: string;
  readonly #sinks: readonly Sink<Event>[];
  readonly #table: OutboxTable;
  readonly #undelivered: UndeliveredEvents;
  readonly #commits: GroupCommit;
  readonly #workers: readonly SinkWorker<Event>[];
  readonly #alerts: OutboxAlerts | undefined;
  readonly #clock: Clock;
  readonly #drain: Drain;
  readonly #sweepSchedule = new SweepSchedule();
  readonly #onError: (error: Error, context: ErrorContext) => void;
  /** Polls outside the async context of the delivery that triggered it, because most rows are of other deliveries. */
  readonly #pollInOwnContext = AsyncResource.bind(() => this.#poll());
  #timer: Timer | undefined;
  #isPollScheduled = false;
  #isFailing = false;
  #hasStarted = false;
  /** How far the wall clock is ahead of the monotonic one. */
  #wallOffset = Number.NEGATIVE_INFINITY;

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
      alert: anything,
      onError: aFunction,
    });
    if (options.alert !== undefined) checkOptions(options.alert, { sink: anything, afterMs: alertAfterMs }, 'alert');
    if (options.sinks === undefined) throw new TypeError(`the option sinks must be ${someSinks[1]}`);
    const { name = defaultName, table = defaultTable } = options;
    this.name = name;
    this.#onError = swallowErrors(options.onError ?? logError);
    this.#table = new OutboxTable(db, table, name);
    this.#undelivered = new UndeliveredEvents(this.#table, () => this.#sinks.map((sink) => sink.name), clock);
    this.#scope = scopeOf(name);
    const alerts = options.alert && new OutboxAlerts(this.#table, this.#scope, options.alert);
    this.#alerts = alerts;
    this.#sinks = toSinks([...options.sinks, ...((alerts ? [alerts.sink] : []) as unknown as Sink<Event>[])]);
    this.#tableId = tableIdOf(db, table);
    this.#open();
    this.#commits = new GroupCommit(this.#table.sqlite, {
      onCommit: (failure) => this.#onCommit(failure),
      clock,
    });
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
    const onSettled = () => this.#schedulePoll();
    const onAttempt = alerts?.attempted.bind(alerts);
    this.#workers = this.#sinks.map((sink) => {
      const ofSink = sink === alerts?.sink ? settings : { ...settings, onAttempt };
      return new SinkWorker(sink, this.#table, this.#commits, ofSink, onSettled);
    });
    this.#schedulePoll();
  }

  /** Resolves when the event is on the disk. */
  async deliver(event: Event, { delivery }: SinkContext): Promise<void> {
    if (this.#drain.closing) throw new SinkError('the outbox is closed');
    const sinks = this.#sinks.filter((sink) => sink !== this.#alerts?.sink && mayAccept(sink, event, delivery));
    if (sinks.length === 0) return;
    const key = keyOf(this.#scope, delivery.provider, delivery.id);
    const queued = JSON.stringify(toQueued(delivery));
    this.#drain.enter();
    try {
      await this.#commits.add(() => {
        const now = this.#clock.date();
        for (const { name } of sinks) this.#table.insert(key, delivery, name, queued, now);
        if (this.#sweepSchedule.next()) this.#table.sweep(now);
      });
    } finally {
      this.#drain.leave();
    }
    this.#schedulePoll();
  }

  deadLetters(page?: DeadLetterPage): AsyncIterable<DeadLetter> {
    return this.#undelivered.list(page);
  }

  async redeliver(id?: string): Promise<number> {
    return this.#inTurns(this.#undelivered.redeliver(id));
  }

  async move(which: OutboxMove): Promise<number> {
    return this.#inTurns(this.#undelivered.move(which));
  }

  async discard(id: string, sink?: string): Promise<number> {
    return this.#inTurns(this.#undelivered.discard(id, sink));
  }

  /** A step a turn of the event loop, the first one in this turn. */
  async #inTurns(step: Step): Promise<number> {
    let sum = 0;
    this.#drain.enter();
    try {
      for (;;) {
        const { count, isLast } = step();
        sum += count;
        this.#schedulePoll();
        if (isLast) return sum;
        await this.#undelivered.turn();
      }
    } finally {
      this.#drain.leave();
    }
  }

  stats(): Promise<OutboxStats[]> {
    return this.#undelivered.stats();
  }

  /** Throws a `TypeError` if the table has an open outbox of this name, because each would deliver the other's rows. */
  #open(): void {
    const names = open.get(this.#tableId) ?? new Set();
    if (names.has(this.name)) {
      throw new TypeError(
        `an outbox named "${this.name}" already uses this table: close it, share it, or choose another name`,
      );
    }
    open.set(this.#tableId, names.add(this.name));
  }

  #start(): void {
    if (this.#hasStarted) return;
    // Without an alert sink nothing notices when an outage ends, so a later start would report it as one that lasts.
    if (this.#alerts === undefined) this.#table.forgetOutages(outageKey(this.#scope));
    this.#table.recordSinks(this.#sinks.map(({ name }) => name));
    const mayHaveOrphans = this.#undelivered.mayHaveOrphans();
    this.#hasStarted = true;
    if (!mayHaveOrphans) return;
    this.#reportOrphans().catch((error) => {
      this.#hasStarted = false;
      this.#onCommit(error);
    });
  }

  async #reportOrphans(): Promise<void> {
    for (const { sink, due, dead, orphaned } of await this.stats()) {
      if (!orphaned) continue;
      const events = `${due} due and ${dead} dead ${due + dead === 1 ? 'event' : 'events'}`;
      const advice = 'give a sink this name, or use move() or discard()';
      this.#onError(new Error(`the outbox has ${events} for "${sink}", but no sink of this name: ${advice}`), { sink });
    }
  }

  close(timeoutMs?: number): Promise<void> {
    if (!this.#drain.closing) open.get(this.#tableId)?.delete(this.name);
    this.#clock.clear(this.#timer);
    // Other processes need not wait for rows whose attempt has not begun.
    for (const worker of this.#workers) worker.releaseAhead();
    return this.#drain.close(timeoutMs, this.#sinks).finally(() => this.#storeLastAlerts());
  }

  /** A sink that recovered while its outbox was closing is alerted about after the next start. */
  #storeLastAlerts(): void {
    try {
      this.#alerts?.poll(this.#clock.date());
    } catch {
      // The handle may be closed by now. The outage then ends with the sink's next success.
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #schedulePoll(): void {
    if (this.#isPollScheduled || this.#drain.closing) return;
    this.#isPollScheduled = true;
    this.#clock.immediate(() => {
      this.#isPollScheduled = false;
      this.#pollInOwnContext();
    });
  }

  #poll(): void {
    if (this.#drain.closing) return;
    const now = this.#clock.date();
    let next = now + pollMs;
    try {
      this.#start();
      const offset = now - this.#clock.now();
      const wasPutBack = offset < this.#wallOffset - putBackMs;
      this.#wallOffset = offset;
      if (wasPutBack) for (const worker of this.#workers) worker.awaken(now);
      this.#alerts?.poll(now);
      for (const worker of this.#workers) next = Math.min(next, worker.poll(now) ?? next);
    } catch (error) {
      this.#onCommit(error);
    }
    this.#clock.clear(this.#timer);
    this.#timer = this.#clock.unrefTimeout(() => this.#poll(), Math.max(pauseMs, next - now));
  }

  /** Reports an error of the file once, until a commit has succeeded again. */
  #onCommit(failure?: unknown): void {
    if (failure !== undefined && !this.#isFailing) this.#onError(toError(failure), {});
    this.#isFailing = failure !== undefined;
  }
}

/** If the predicate throws, the row is stored anyway. The error is reported when the row is delivered. */
function mayAccept<Event>(sink: Sink<Event>, event: Event, delivery: Delivery): boolean {
  try {
    return sink.accepts?.(event, delivery) ?? true;
  } catch {
    return true;
  }
}
