import { onTestFinished, vi } from 'vitest';
import type { SinkContext, VastEvent } from '../../src/index.js';
import {
  type DeadLetter,
  type Outbox,
  type OutboxOptions,
  type SqliteDatabase,
  sqliteOutbox,
} from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type Deferred, deferred } from '../support/deferred.js';
import { deliveryOf } from '../support/delivery.js';
import type { SqliteHandle, SqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';

export const seconds = 1_000;
export const minutes = 60 * seconds;
export const days = 24 * 60 * minutes;

let events = 0;

/** An event and its context, as the middleware passes them to a sink. */
export function anEvent(fields: object = {}): { event: VastEvent; context: SinkContext } {
  const id = `event-${++events}`;
  const event: VastEvent = { ...sampleEvent('outbid'), event_id: id, ...fields };
  const delivery = deliveryOf(event, { id, timestamp: 1_800_000_000, receivedAt: Date.now() });
  return { event, context: { delivery, signal: new AbortController().signal } };
}

/** The row of an event and a sink. */
interface StoredRow {
  readonly event_id: string;
  readonly sink: string;
  readonly state: 'due' | 'told' | 'dead';
  readonly due_at: number;
  readonly attempts: number;
  readonly error: string | null;
  readonly failed_at: number;
}

/** Its dead letters. */
export async function lettersOf(
  outbox: Pick<Outbox, 'deadLetters'>,
  page?: Parameters<Outbox['deadLetters']>[0],
): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of outbox.deadLetters(page)) letters.push(letter);
  return letters;
}

/** An outbox in a file of its own, and all that it reported. It ends with the test. */
export function setUp(
  open: SqliteHandles['open'],
  options: OutboxOptions,
  file = temporaryFile('outbox.sqlite'),
  make = sqliteOutbox,
) {
  const db = open(file);
  const watched = watch(db);
  const errors: { message: string; id?: string; sink?: string; type?: string }[] = [];
  const outbox = make(watched.db, {
    onError: ({ message }, context) => errors.push({ message, ...context }),
    ...options,
  });
  /** Another handle of the file, which sees only committed data. */
  const reader = open(file);
  onTestFinished(async () => {
    await outbox.close(0);
    for (const handle of [db, reader]) closeAnyway(handle);
  });
  return {
    ...watched,
    file,
    outbox,
    errors,
    reader,
    deliver: ({ event, context } = anEvent()) => outbox.deliver(event, context) as Promise<void>,
    rows: () => reader.prepare('SELECT * FROM vast_webhook_outbox ORDER BY rowid').all() as StoredRow[],
    /** Ends as a process does that is killed: nothing is settled any more. */
    crash() {
      void outbox.close(0);
      db.close();
    },
  };
}

/** The handle, which records its statements and fails on demand. */
function watch(db: SqliteHandle) {
  const executed: string[] = [];
  let attempts = 0;
  let reads = 0;
  const faults = new Map<string, Error>();
  const watched: SqliteDatabase = {
    exec(sql) {
      if (sql === 'BEGIN IMMEDIATE') attempts++;
      const fault = faults.get(sql);
      if (fault) throw fault;
      executed.push(sql);
      return db.exec(sql);
    },
    prepare(sql) {
      const statement = db.prepare(sql);
      if (!/^\s*SELECT/.test(sql)) return statement;
      return Object.assign(Object.create(statement), {
        all(...values: Parameters<typeof statement.all>) {
          reads++;
          return statement.all(...values);
        },
        get(...values: Parameters<typeof statement.get>) {
          reads++;
          return statement.get(...values);
        },
      });
    },
  };
  return {
    handle: db,
    db: watched,
    executed,
    faults,
    /** How many transactions were wanted, and how many committed. */
    attempts: () => attempts,
    reads: () => reads,
    commits: () => executed.filter((sql) => sql === 'COMMIT').length,
  };
}

export function closeAnyway(handle: SqliteHandle): void {
  try {
    handle.close();
  } catch {
    // The test has closed it already.
  }
}

/** A sink that records its calls and their times. */
export function recorder(name: string, answer: (nth: number) => unknown = () => {}) {
  const calls: { id: string; at: number; context: SinkContext }[] = [];
  return {
    calls,
    ids: () => calls.map(({ id }) => id),
    sink: {
      name,
      async deliver(event: VastEvent, context: SinkContext) {
        calls.push({ id: String(event.event_id), at: Date.now(), context });
        await answer(calls.length);
      },
    },
  };
}

/** A sink that settles when the test says so. */
export function slow(name: string) {
  const calls: (Deferred & { readonly id: string; readonly signal: AbortSignal })[] = [];
  let running = 0;
  let most = 0;
  return {
    calls,
    mostAtOnce: () => most,
    sink: {
      name,
      async deliver(event: VastEvent, { signal }: SinkContext) {
        const settling = deferred();
        most = Math.max(most, ++running);
        calls.push({ ...settling, id: String(event.event_id), signal });
        try {
          await settling.promise;
        } finally {
          running--;
        }
      },
    },
  };
}

/** Runs everything that is due. For fake time, where each commit takes a millisecond. */
export const settled = () => vi.advanceTimersByTimeAsync(20);

/** Jumps to another time, as after a long sleep, and runs until something has happened. For fake time. */
export async function sleepUntil(time: number, hasHappened: () => boolean = () => false): Promise<void> {
  vi.setSystemTime(time);
  for (let ms = 0; ms < 1_500 && !hasHappened(); ms += 5) await vi.advanceTimersByTimeAsync(5);
}

/** `sqliteOutbox` with a memory of its own, as in another process. */
export async function anotherProcess(): Promise<typeof sqliteOutbox> {
  vi.resetModules();
  return (await import('../../src/sinks/index.js')).sqliteOutbox;
}
