import { Buffer } from 'node:buffer';
import type { QueuedDelivery } from '../queue/envelope.js';
import type { Clock } from '../util/clock.js';
import {
  beginning,
  keysPerPage,
  type OutboxTable,
  type Place,
  type Range,
  type Row,
  type RowKey,
} from './outbox-table.js';

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
  /** So many of the first ones are left out. Default: none. */
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

/** Which undelivered rows. */
interface Which {
  readonly id?: string | undefined;
  readonly sink?: string | undefined;
}

/** A commit of a change: how many rows it changed, and whether there are no further ones. */
export type Step = () => { readonly count: number; readonly isLast: boolean };

/** Rows that are read with their deliveries in one turn of the event loop. */
const rowsPerTurn = 50;

/** Dead letters, and events for sinks that the outbox no longer has. */
export class UndeliveredEvents {
  readonly #table: OutboxTable;
  readonly #sinks: () => readonly string[] | undefined;
  readonly #clock: Clock;

  /** `sinks` gives the outbox's sinks, or undefined if they are not known. */
  constructor(table: OutboxTable, sinks: () => readonly string[] | undefined, clock: Clock) {
    this.#table = table;
    this.#sinks = sinks;
    this.#clock = clock;
  }

  /** Resolves in the next turn of the event loop. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.#clock.immediate(resolve));
  }

  async *list({
    id,
    sink,
    limit = Number.POSITIVE_INFINITY,
    offset = 0,
  }: DeadLetterPage = {}): AsyncGenerator<DeadLetter, void, undefined> {
    const isOrphaned = this.#orphanTest();
    const walk = this.#walk({ id, sink });
    let [passed, read] = [0, 0];
    for (let rows: RowKey[] = []; passed < offset + limit; ) {
      const isLast = walk.next((page) => {
        rows = page;
      });
      for (const { key, sink, state } of rows) {
        if (passed++ < offset) continue;
        const row = this.#table.row(key, sink);
        // Delivered, discarded or moved meanwhile.
        if (row?.state === state) yield letterOf(row, isOrphaned(sink));
        if (passed >= offset + limit) return;
        if (++read % rowsPerTurn === 0) await this.turn();
      }
      if (isLast) return;
      await this.turn();
    }
  }

  async stats(): Promise<OutboxStats[]> {
    const isOrphaned = this.#orphanTest();
    const ours = this.#sinks() ?? [];
    const stored = [...this.#table.sinksWith('due'), ...this.#table.sinksWith('dead')];
    const stats: OutboxStats[] = [];
    for (const sink of new Set([...ours, ...stored])) {
      const due = await this.#count({ sink, state: 'due' });
      const dead = await this.#count({ sink, state: 'dead' });
      // Other outboxes of the table have sinks, too.
      if (due + dead > 0 || ours.includes(sink)) {
        stats.push({ sink: textOf(sink), orphaned: isOrphaned(sink), due, dead });
      }
    }
    return stats;
  }

  /** Whether there may be undelivered rows of sinks that the outbox no longer has. Does not read all rows. */
  mayHaveOrphans(): boolean {
    return [...this.#table.sinksWith('due'), ...this.#table.sinksWith('dead')].some(this.#orphanTest());
  }

  async #count(range: Range): Promise<number> {
    let sum = 0;
    for (let place = beginning; ; ) {
      const { count, last } = this.#table.count(range, place);
      sum += count;
      // Also before the next sink.
      if (count > rowsPerTurn) await this.turn();
      if (last === undefined || !isBehind(last, place)) return sum;
      place = last;
    }
  }

  /** Throws a `TypeError` if the outbox has no sink `to`. */
  move({ to, from, id }: OutboxMove): Step {
    const sinks = this.#sinks();
    if (sinks !== undefined && !sinks.includes(to)) {
      throw new TypeError(`the outbox has no sink "${to}" (it has ${sinks.join(', ')}): move to one of these`);
    }
    const isOrphaned = this.#orphanTest();
    const isMeant = ({ sink }: Range) => sink !== to && (from !== undefined || isOrphaned(sink));
    return this.#change({ id, sink: from }, isMeant, (row, now) => this.#table.move(row, to, now));
  }

  /** Without an id or a sink, dead letters only: another process may have a sink that is gone here. */
  discard(id: string | undefined, sink?: string): Step {
    const isNamed = id !== undefined || sink !== undefined;
    const isMeant = ({ state }: Range) => isNamed || state === 'dead';
    return this.#change({ id, sink }, isMeant, (row, now) => this.#table.discard(row, now));
  }

  /** Dead letters of sinks that the outbox has. */
  redeliver(id: string | undefined, sink?: string): Step {
    const isOrphaned = this.#orphanTest();
    const isMeant = (range: Range) => range.state === 'dead' && !isOrphaned(range.sink);
    return this.#change({ id, sink }, isMeant, (row, now) => this.#table.redeliverRow(row, now));
  }

  #orphanTest(): (sink: string) => boolean {
    const sinks = this.#sinks();
    return (sink) => sinks !== undefined && !sinks.includes(sink);
  }

  /** A step that throws can be repeated. */
  #change(which: Which, isMeant: (range: Range) => boolean, change: (row: RowKey, now: number) => boolean): Step {
    const walk = this.#walk(which, isMeant);
    return () => {
      let count = 0;
      const isLast = walk.next((rows) => {
        if (rows.length === 0) return;
        this.#table.sqlite.transaction(() => {
          const now = Date.now();
          count = rows.filter((row) => change(row, now)).length;
        });
      });
      return { count, isLast };
    };
  }

  #walk({ id, sink }: Which, isMeant: (range: Range) => boolean = () => true): Walk {
    const isOrphaned = this.#orphanTest();
    const isWanted = (range: Range) =>
      (sink === undefined || range.sink === sink) &&
      (range.state === 'dead' || isOrphaned(range.sink)) &&
      isMeant(range);
    return new Walk(this.#table, isWanted, id);
  }
}

/** Undelivered rows of one sink after another, in pages. Reads none that fail or come meanwhile. */
class Walk {
  readonly #table: OutboxTable;
  readonly #isWanted: (range: Range) => boolean;
  readonly #id: string | undefined;
  readonly #startedAt = Date.now();
  #pages: ((place: Place) => RowKey[])[] | undefined;
  #place = beginning;

  /** With `id`, the rows of one event only. */
  constructor(table: OutboxTable, isWanted: (range: Range) => boolean, id: string | undefined) {
    this.#table = table;
    this.#isWanted = isWanted;
    this.#id = id;
  }

  /** Passes the next page to `use`. Returns whether it was the last one. If `use` throws, the page is read again. */
  next(use: (rows: RowKey[]) => void): boolean {
    this.#pages ??= this.#find();
    const rows = this.#pages[0]?.(this.#place) ?? [];
    use(rows.filter((row) => this.#isMeant(row)));
    const last = rows.at(-1);
    if (last !== undefined && rows.length === keysPerPage && isBehind(last, this.#place)) this.#place = last;
    else {
      this.#pages.shift();
      this.#place = beginning;
    }
    return this.#pages.length === 0;
  }

  #find() {
    const id = this.#id;
    const pagesOf = (state: Row['state']) =>
      this.#table
        .sinksWith(state)
        .map((sink) => ({ state, sink }))
        .filter(this.#isWanted)
        .map((range) => (place: Place) => this.#table.keys(range, place));
    const dead = id === undefined ? pagesOf('dead') : [() => this.#table.deadKeysOf(id)];
    return [...dead, ...pagesOf('due')];
  }

  #isMeant(row: RowKey): boolean {
    const { ours, time, event_id } = row;
    // A later time than now is from before the clock was put back.
    const isNew = time > this.#startedAt && time <= Date.now();
    return ours !== 0 && !isNew && (this.#id === undefined || event_id === this.#id) && this.#isWanted(row);
  }
}

/** False at odd times that something else has written, such as text: no walk may go in a circle. */
function isBehind({ at, row }: Place, place: Place): boolean {
  return at > place.at || (at === place.at && row > place.row);
}

function letterOf(row: Row, orphaned: boolean): DeadLetter {
  const { event_id, sink, attempts, error, failed_at, since, delivery } = row;
  return {
    id: textOf(event_id),
    sink: textOf(sink),
    orphaned,
    attempts: Number(attempts),
    error: textOf(error ?? ''),
    failedAt: Number(failed_at ?? since),
    delivery: parsed(delivery),
  };
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
