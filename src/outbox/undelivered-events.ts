import type { QueuedDelivery } from '../queue/envelope.js';
import type { OutboxTable, RowKey } from './outbox-table.js';

/** An event that was not delivered to a sink, and that the outbox does not retry. */
export interface DeadLetter {
  /** The signed event id. */
  readonly id: string;
  /** Name of the sink that it was not delivered to. */
  readonly sink: string;
  /** Whether the outbox no longer has this sink. If so, `move` or `discard` the event, or give a sink this name. */
  readonly orphaned: boolean;
  /** Number of attempts. */
  readonly attempts: number;
  /** Message of the last error. */
  readonly error: string;
  /** When the last attempt failed, in Unix milliseconds. Without an attempt, when the event was stored. */
  readonly failedAt: number;
  /** The delivery, ready for a forwarder. Undefined if the row cannot be read. */
  readonly delivery?: QueuedDelivery;
}

/** Which entries of `deadLetters()`. */
export interface DeadLetterPage {
  /** Only this event. */
  readonly id?: string;
  /** Only events of this sink. */
  readonly sink?: string;
  /** At most so many. Default: all. */
  readonly limit?: number;
  /** So many of the oldest are left out. Default: none. */
  readonly offset?: number;
}

/** Numbers of stored events for one sink. */
export interface OutboxStats {
  /** The sink's name. */
  readonly sink: string;
  /** Whether the outbox no longer has this sink. */
  readonly orphaned: boolean;
  /** Number of events that wait for delivery. */
  readonly due: number;
  /** Number of dead letters. */
  readonly dead: number;
}

/** Which events are moved, and where to. */
export interface OutboxMove {
  /** The sink to deliver them to. */
  readonly to: string;
  /** Only events of this sink. Default: events of sinks that the outbox no longer has. */
  readonly from?: string;
  /** Only this event. */
  readonly id?: string;
}

/** Rows of one commit: other processes cannot write meanwhile, and they wait 250 ms at most. */
const rowsPerCommit = 500;

/** A commit of a change. Returns how many rows it changed. */
export type Step = () => number;

/** Dead letters, and events for sinks that the outbox no longer has. */
export class UndeliveredEvents {
  readonly #table: OutboxTable;
  readonly #sinks: () => readonly string[] | undefined;

  /** `sinks` gives the outbox's sinks, or undefined if they are not known. */
  constructor(table: OutboxTable, sinks: () => readonly string[] | undefined) {
    this.#table = table;
    this.#sinks = sinks;
  }

  list({ id, sink, limit, offset }: DeadLetterPage = {}): DeadLetter[] {
    const isOrphaned = this.#orphanTest();
    return this.#table
      .undelivered(this.#sinks(), { id, sink }, limit, offset)
      .map(({ event_id, sink, attempts, error, failed_at, since, delivery }) => ({
        id: textOf(event_id),
        sink: textOf(sink),
        orphaned: isOrphaned(sink),
        attempts: Number(attempts),
        error: textOf(error ?? ''),
        failedAt: Number(failed_at ?? since),
        delivery: parsed(delivery),
      }));
  }

  stats(): OutboxStats[] {
    const isOrphaned = this.#orphanTest();
    const counts = this.#table.counts();
    const names = new Set([...(this.#sinks() ?? []), ...counts.map(({ sink }) => sink)]);
    const countOf = (sink: string, state: 'due' | 'dead') =>
      Number(counts.find((each) => each.sink === sink && each.state === state)?.count ?? 0);
    return [...names].map((sink) => ({
      sink,
      orphaned: isOrphaned(sink),
      due: countOf(sink, 'due'),
      dead: countOf(sink, 'dead'),
    }));
  }

  /** Throws a `TypeError` if the outbox has no sink `to`. */
  move({ to, from, id }: OutboxMove): Step[] {
    const sinks = this.#sinks();
    if (sinks !== undefined && !sinks.includes(to)) {
      throw new TypeError(`the outbox has no sink "${to}" (it has ${sinks.join(', ')}): move to one of these`);
    }
    const isOrphaned = this.#orphanTest();
    const rows = this.#table
      .undeliveredKeys(sinks, { id, sink: from })
      .filter(({ sink }) => sink !== to && (from !== undefined || isOrphaned(sink)));
    return this.#changeEach(rows, (row, now) => this.#table.move(row, to, now));
  }

  /** Without an id or a sink, dead letters only: another process may have a sink that is gone here. */
  discard(id: string | undefined, sink?: string): Step[] {
    const isNamed = id !== undefined || sink !== undefined;
    const rows = this.#table
      .undeliveredKeys(this.#sinks(), { id, sink })
      .filter(({ state }) => isNamed || state === 'dead');
    return this.#changeEach(rows, (row, now) => this.#table.discard(row, now));
  }

  /** Dead letters of sinks that the outbox has. */
  redeliver(id: string | undefined, sink?: string): Step[] {
    const isOrphaned = this.#orphanTest();
    const rows = this.#table
      .undeliveredKeys(this.#sinks(), { id, sink })
      .filter((row) => row.state === 'dead' && !isOrphaned(row.sink));
    return this.#changeEach(rows, (row, now) => this.#table.redeliverRow(row, now));
  }

  #orphanTest(): (sink: string) => boolean {
    const sinks = this.#sinks();
    return (sink) => sinks !== undefined && !sinks.includes(sink);
  }

  /** The rows as they were at the beginning: one that fails again meanwhile is not changed twice. */
  #changeEach(rows: readonly RowKey[], change: (row: RowKey, now: number) => boolean): Step[] {
    const starts = Array.from({ length: Math.ceil(rows.length / rowsPerCommit) }, (_, index) => index * rowsPerCommit);
    return starts.map((start) => () => {
      let count = 0;
      this.#table.sqlite.transaction(() => {
        const now = Date.now();
        count = rows.slice(start, start + rowsPerCommit).filter((row) => change(row, now)).length;
      });
      return count;
    });
  }
}

/** A column of TEXT may hold a BLOB, which something else has written. */
function textOf(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
}

/** Undefined if it cannot be read, so that one bad row does not break a list. */
function parsed(delivery: string): QueuedDelivery | undefined {
  try {
    return JSON.parse(delivery);
  } catch {
    return undefined;
  }
}
