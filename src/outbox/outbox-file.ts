import { sinkName } from '../contracts/sink.js';
import { isBusy, type SqliteDatabase } from '../stores/sqlite-table.js';
import { aString, checkOptions } from '../util/check-options.js';
import { systemClock } from '../util/clock.js';
import { OutboxTable } from './outbox-table.js';
import { defaultName, defaultTable } from './sqlite-outbox.js';
import {
  type DeadLetter,
  type DeadLetterPage,
  type OutboxMove,
  type OutboxStats,
  type Step,
  UndeliveredEvents,
} from './undelivered-events.js';

/** Options of `outboxFile`. */
export interface OutboxFileOptions {
  /** The outbox's name. Default: `outbox`. */
  readonly name?: string;
  /** Name of its table. Default: `vast_webhook_outbox`. */
  readonly table?: string;
}

/** Which dead letters. */
export interface OutboxSelection {
  /** Only this event. Default: all. */
  readonly id?: string;
  /** Only events of this sink. Default: all sinks. */
  readonly sink?: string;
}

/**
 * The stored events of an outbox that another process may be delivering. A sink is gone if the outbox did not have it
 * when it was last started. Changes of many events are made in steps, so that the other process can write meanwhile.
 */
export interface OutboxFile {
  /** Names of the outbox's sinks. Undefined if it was never started by a version that records them. */
  sinks(): string[] | undefined;
  /** Dead letters by sink, the oldest first, and behind them events for sinks that are gone, by their due times. */
  deadLetters(page?: DeadLetterPage): AsyncIterable<DeadLetter>;
  /** Redelivers dead letters, except those of sinks that are gone. Resolves with how many there were. */
  redeliver(which?: OutboxSelection): Promise<number>;
  /**
   * Moves undelivered events to another sink of the outbox. No event is delivered to that sink twice. Resolves with how
   * many were moved. Rejects with a `TypeError` if the outbox has no sink `to`.
   */
  move(which: OutboxMove): Promise<number>;
  /**
   * Deletes entries of `deadLetters()`: those of an id or a sink, or all that are dead. Events that wait for a sink that
   * is gone need one of these, because another process may have that sink. Resolves with how many there were.
   */
  discard(which?: OutboxSelection): Promise<number>;
  /** Numbers of events by sink. */
  stats(): Promise<OutboxStats[]>;
}

/** Between two commits, in which another process can have the file. */
const pauseMs = 5;
/** How long a step waits for a file that others write to. */
const patienceMs = 5_000;

/**
 * Opens the file of a `sqliteOutbox` without delivering anything, for a script or a command beside the process that
 * does. That process notices within a second. `db` as for `sqliteOutbox`. Throws a `TypeError` for an invalid handle or
 * option.
 */
export function outboxFile(db: SqliteDatabase, options: OutboxFileOptions = {}): OutboxFile {
  checkOptions(options, { name: sinkName, table: aString }, 'outboxFile');
  const { name = defaultName, table: tableName = defaultTable } = options;
  const table = new OutboxTable(db, tableName, name);
  const events = new UndeliveredEvents(table, () => table.sinks(), systemClock);
  return {
    sinks: () => table.sinks(),
    deadLetters: (page) => events.list(page),
    redeliver: async ({ id, sink } = {}) => inSteps(events.redeliver(id, sink)),
    move: async (which) => inSteps(events.move(which)),
    discard: async ({ id, sink } = {}) => inSteps(events.discard(id, sink)),
    stats: () => events.stats(),
  };
}

async function inSteps(step: Step): Promise<number> {
  let sum = 0;
  for (;;) {
    const { count, isLast } = await whenFree(step);
    sum += count;
    if (isLast) return sum;
    await pause();
  }
}

async function whenFree(step: Step): Promise<ReturnType<Step>> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      return step();
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw error;
      await pause();
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
