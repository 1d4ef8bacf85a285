import {
  type AlertOptions,
  alertIdOf,
  alertOf,
  defaultAlertAfterMs,
  maxCounted,
  type Outage,
} from '../alerts/outage.js';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import { type Sink, toSink, wrapSink } from '../contracts/sink.js';
import { keyOf } from '../forward/dispatcher.js';
import type { AlertEvent } from '../providers/alerts.js';
import { digests } from '../providers/digests.js';
import { toQueued } from '../queue/envelope.js';
import { beginning, type OutageRow, type OutboxTable } from './outbox-table.js';

/** How often the failures of a known outage are written. */
const writeEveryMs = 1_000;
const maxErrorLength = 1_000;

/** The key of the rows that are outages of one outbox. */
export function outageKey(scope: string): string {
  return keyOf(scope, 'outage', '');
}

/**
 * Stores an alert when a sink of the outbox keeps failing, and another one when it works again. Outages are rows of the
 * outbox's table, and alerts are rows for the alert sink: one of several processes stores an alert, a restart repeats
 * none, and a failing alert sink is retried like every other sink.
 */
export class OutboxAlerts {
  /** The alert sink, for a worker. It skips alerts about outages that are over. */
  readonly sink: Sink<AlertEvent>;
  readonly #table: OutboxTable;
  readonly #scope: string;
  readonly #afterMs: number;
  readonly #outageKey: string;
  /** As at the last poll. */
  #outages: OutageRow[] = [];
  /** Attempts since the last write, by sink: failures, and successes that end an outage. */
  readonly #failed = new Map<string, { failures: number; error: string }>();
  readonly #succeeded = new Set<string>();
  #writtenAt = Number.NEGATIVE_INFINITY;

  constructor(table: OutboxTable, scope: string, { sink, afterMs = defaultAlertAfterMs }: AlertOptions) {
    this.#table = table;
    this.#scope = scope;
    this.#afterMs = afterMs;
    this.#outageKey = outageKey(scope);
    const alertSink = toSink(sink);
    this.sink = wrapSink(alertSink, {
      // In their order.
      concurrency: alertSink.concurrency ?? 1,
      deliver: (event, context) => (this.#isOver(event) ? undefined : alertSink.deliver(event, context)),
    });
  }

  /** Called after each attempt of another sink. Writes nothing. */
  attempted(sink: string, error: Error | undefined): void {
    if (error === undefined) {
      this.#failed.delete(sink);
      this.#succeeded.add(sink);
      return;
    }
    const failures = (this.#failed.get(sink)?.failures ?? 0) + 1;
    this.#failed.set(sink, { failures, error: error.message.slice(0, maxErrorLength) });
  }

  /** Writes what has happened since the last poll. Throws an error of the database, and tries again at the next poll. */
  poll(now: number): void {
    this.#outages = this.#table.outages(this.#outageKey);
    const ended = this.#outages.filter(({ sink }) => this.#succeeded.has(sink));
    const due = this.#outages.filter((outage) => !ended.includes(outage) && this.#isDue(outage, now));
    if (ended.length > 0 || due.length > 0 || this.#mustWriteFailures(now)) {
      this.#table.sqlite.transaction(() => {
        for (const { sink } of ended) this.#end(sink, now);
        for (const [sink, { failures, error }] of this.#failed) {
          this.#table.addFailures(this.#outageKey, sink, failures, error, now);
        }
        for (const { sink } of due) this.#alert(sink, now);
      });
      this.#failed.clear();
      this.#writtenAt = now;
    }
    this.#succeeded.clear();
  }

  #mustWriteFailures(now: number): boolean {
    if (this.#failed.size === 0) return false;
    const known = new Set(this.#outages.map(({ sink }) => sink));
    const isNew = [...this.#failed.keys()].some((sink) => !known.has(sink) || this.#succeeded.has(sink));
    return isNew || Math.abs(now - this.#writtenAt) >= writeEveryMs;
  }

  /**
   * A single failure is no outage, if no event waits and none comes: another failure, or an event that is retried, must
   * be there when the time is over.
   */
  #isDue({ sink, since, alerted_at }: OutageRow, now: number): boolean {
    if (alerted_at !== null || now - since < this.#afterMs) return false;
    return this.#failed.has(sink) || this.#table.hasFailedRows(sink);
  }

  #alert(sink: string, now: number): void {
    const outage = this.#outageOf(sink);
    if (outage !== undefined && this.#table.markAlerted(this.#outageKey, sink, now)) {
      this.#store('sink_failing', outage, now);
    }
  }

  #end(sink: string, now: number): void {
    const outage = this.#outageOf(sink);
    if (outage === undefined) return;
    this.#table.endOutage(this.#outageKey, sink);
    if (outage.alerted_at === null) return;
    // An alert that nobody has got is skipped instead.
    if (this.#table.mayHave(this.#keyOf('sink_failing', outage), this.sink.name, now)) {
      this.#store('sink_recovered', outage, now);
    }
  }

  /** In the transaction, because another process may have changed it since the last poll. */
  #outageOf(sink: string): OutageRow | undefined {
    return this.#table.outages(this.#outageKey).find((each) => each.sink === sink);
  }

  #store(type: AlertEvent['notif_type'], outage: OutageRow, now: number): void {
    const { delivery } = this.#alertOf(type, outage, now);
    this.#table.insert(this.#keyOf(type, outage), delivery, this.sink.name, JSON.stringify(toQueued(delivery)), now);
  }

  #alertOf(type: AlertEvent['notif_type'], row: OutageRow, now: number): ReceivedDelivery<AlertEvent> {
    const countOf = (state: 'due' | 'dead') =>
      Math.min(maxCounted, this.#table.count({ sink: row.sink, state }, beginning).count);
    return alertOf(type, this.#scope, { ...row, waiting: countOf('due'), dead: countOf('dead') }, now);
  }

  #keyOf(type: AlertEvent['notif_type'], outage: Outage): string {
    return keyOf(this.#scope, digests.name, alertIdOf(type, this.#scope, outage));
  }

  #isOver({ notif_type, sink, failing_since }: AlertEvent): boolean {
    if (notif_type !== 'sink_failing') return false;
    try {
      const outages = this.#table.outages(this.#outageKey);
      return !outages.some((outage) => outage.sink === sink && outage.since === failing_since);
    } catch {
      return false;
    }
  }
}
