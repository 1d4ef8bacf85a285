import type { ReceivedDelivery } from '../contracts/delivery.js';
import { SinkError, toError, WebhookError } from '../contracts/errors.js';
import type { ErrorContext } from '../contracts/result.js';
import type { Sink } from '../contracts/sink.js';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { Dispatcher } from '../forward/dispatcher.js';
import type { Drain } from '../forward/drain.js';
import { fromQueued, reviveEvent } from '../queue/envelope.js';
import { type Backoff, isPositive, waitAfter } from '../util/backoff.js';
import type { Clock } from '../util/clock.js';
import type { GroupCommit } from './group-commit.js';
import type { OutboxTable, Row } from './outbox-table.js';

export interface SinkWorkerSettings extends Backoff {
  readonly scope: string;
  /** How many rows are delivered at once, unless the sink has its own `concurrency`. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly completedTtlMs: number;
  readonly drain: Drain;
  readonly clock: Clock;
  readonly onError: (error: Error, context: ErrorContext) => void;
  /** Called after each attempt, with the sink's error if it failed. */
  readonly onAttempt?: (sink: string, error: Error | undefined) => void;
}

const acquired: ClaimResult = { state: 'acquired', delivered: [] };
const notOurs: ClaimResult = { state: 'in_flight', retryAfterMs: 0 };

/** Long, because SQLite does not hang, but the process may be busy. */
const writeTimeoutMs = 60_000;
const maxErrorLength = 1_000;
/** Pause after a failed write, because each attempt on a locked file may block the process for a while. */
const writeFailurePauseMs = 1_000;
/** Pause of a row whose earlier attempt still runs here, although its lease was lost. It may run for minutes. */
const runningPauseMs = 1_000;

/**
 * Delivers the rows of one sink through a dispatcher, as for requests. This class is also the dispatcher's store,
 * because rows need the same leases, renewals and records as events.
 */
export class SinkWorker<Event extends object> implements IdempotencyStore {
  readonly #sink: Sink<Event>;
  readonly #table: OutboxTable;
  readonly #commits: GroupCommit;
  readonly #settings: SinkWorkerSettings;
  readonly #onSettled: () => void;
  readonly #dispatcher: Dispatcher<Event>;
  readonly #concurrency: number;
  readonly #running = new Set<string>();
  /** Rows leased here, with the latest known end of the lease, even if writing it failed. */
  readonly #leases = new Map<string, { readonly token: string; readonly expiresAt: number }>();
  #forgetAt = 0;
  /** No attempt begins before this time, because of a `Retry-After` or a failed write. */
  #pausedUntil = 0;

  /** `onSettled` is called after each settled row. */
  constructor(
    sink: Sink<Event>,
    table: OutboxTable,
    commits: GroupCommit,
    settings: SinkWorkerSettings,
    onSettled: () => void,
  ) {
    this.#sink = sink;
    this.#table = table;
    this.#commits = commits;
    this.#settings = settings;
    this.#onSettled = onSettled;
    this.#concurrency = sink.concurrency ?? settings.concurrency;
    this.#dispatcher = new Dispatcher({
      ...settings,
      sinks: [sink],
      store: this,
      storeTimeoutMs: writeTimeoutMs,
      onError: (error, context) => {
        // The outbox reports a failed write once, not for each row.
        if (!isStoreError(error)) settings.onError(error, context);
      },
    });
  }

  /** Starts to deliver due rows, up to the concurrency. Returns when to poll again, if that is known. */
  poll(now: number): number | undefined {
    this.#forgetLost(now);
    if (now < this.#pausedUntil) return this.#pausedUntil;
    const freeSlots = () => this.#concurrency - this.#running.size;
    if (freeSlots() > 0) {
      for (const row of this.#table.due(this.#sink.name, now, this.#concurrency + this.#leases.size)) {
        if (freeSlots() > 0 && this.#isFree(row.key, now)) this.#deliver(row);
      }
    }
    return freeSlots() > 0 ? this.#table.nextDueAt(this.#sink.name) : undefined;
  }

  async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    const now = this.#settings.clock.date();
    const isOurs = await this.#commits.add(() => this.#table.claim(key, this.#sink.name, token, now, leaseMs));
    if (!isOurs) return notOurs;
    this.#leases.set(key, { token, expiresAt: now + leaseMs });
    return acquired;
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    const expiresAt = this.#extendLease(key, token, leaseMs);
    return this.#commits.add(() => this.#table.renew(key, this.#sink.name, token, expiresAt));
  }

  async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    this.#extendLease(key, token, this.#settings.leaseMs);
    const isOurs = await this.#commits.add(() =>
      this.#table.delivered(key, this.#sink.name, token, this.#settings.clock.date() + ttlMs),
    );
    this.#leases.delete(key);
    return isOurs;
  }

  /** The row stays leased until `#failed` has decided about the next attempt. */
  release(): boolean {
    return true;
  }

  /** Never called, because `complete` records the delivery to the only sink. */
  delivered(): boolean {
    return true;
  }

  /** Forgets expired leases, because another process may have claimed their rows. Runs once per `leaseMs`. */
  #forgetLost(now: number): void {
    if (now < this.#forgetAt && now >= this.#forgetAt - this.#settings.leaseMs) return;
    this.#forgetAt = now + this.#settings.leaseMs;
    for (const [key, { expiresAt }] of this.#leases) {
      if (expiresAt <= now && !this.#running.has(key)) this.#leases.delete(key);
    }
  }

  #isFree(key: string, now: number): boolean {
    return !this.#running.has(key) && (this.#leases.get(key)?.expiresAt ?? 0) <= now;
  }

  #extendLease(key: string, token: string, leaseMs: number): number {
    const expiresAt = this.#settings.clock.date() + Math.ceil(leaseMs);
    this.#leases.set(key, { token, expiresAt });
    return expiresAt;
  }

  #deliver(row: Row): void {
    this.#settings.drain.enter();
    this.#running.add(row.key);
    let received: ReceivedDelivery<Event>;
    try {
      received = reviveEvent<Event>(fromQueued(JSON.parse(row.delivery)));
    } catch (error) {
      // For example, another version wrote it. It must not block the other rows.
      this.#failed(
        row,
        new SinkError(`the stored delivery cannot be read: ${toError(error).message}`, { permanent: true }),
      );
      return;
    }
    this.#dispatcher.forward(received, Number.POSITIVE_INFINITY, undefined, ({ error, sinks }) => {
      const result = sinks?.[this.#sink.name];
      if (error?.code === 'sink_failed') {
        this.#settings.onAttempt?.(this.#sink.name, toError(result));
        this.#failed(row, result);
        return;
      }
      if (result === 'delivered') this.#settings.onAttempt?.(this.#sink.name, undefined);
      const now = this.#settings.clock.date();
      // If the record failed, it is still being retried. So the row stays leased.
      if (isStoreError(error)) this.#pauseUntil(now + writeFailurePauseMs);
      else if (error?.code === 'in_flight') this.#leases.set(row.key, { token: '', expiresAt: now + runningPauseMs });
      else this.#leases.delete(row.key);
      this.#settled(row);
    });
  }

  #failed(row: Row, thrown: unknown): void {
    const error = toError(thrown);
    const now = this.#settings.clock.date();
    const { retryAfterMs } = error as { retryAfterMs?: unknown };
    // This row waits for its full Retry-After, other rows for maxBackoffMs at most.
    if (isPositive(retryAfterMs)) this.#pauseUntil(now + Math.min(retryAfterMs, this.#settings.maxBackoffMs));
    // A handle may be configured to return bigints.
    const attempts = Number(row.attempts) + 1;
    const waitMs = waitAfter(error, attempts, now - Number(row.since), this.#settings);
    if (waitMs === undefined) this.#report(row, deadLetter(error, attempts));
    const dueAt = waitMs === undefined ? undefined : now + waitMs;
    const token = this.#leases.get(row.key)?.token ?? row.token;
    const message = error.message.slice(0, maxErrorLength);
    this.#commits
      .add(() => this.#table.failed(row.key, this.#sink.name, token, message, now, dueAt))
      // The row is free again when its lease has expired.
      .catch(() => this.#pauseUntil(this.#settings.clock.date() + writeFailurePauseMs))
      .then(() => {
        this.#leases.delete(row.key);
        this.#settled(row);
      });
  }

  #pauseUntil(time: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, time);
  }

  #settled({ key }: Row): void {
    this.#running.delete(key);
    this.#settings.drain.leave();
    this.#onSettled();
  }

  #report({ event_id: id }: Row, error: Error): void {
    this.#settings.onError(error, { id, sink: this.#sink.name });
  }
}

function isStoreError(error: Error | undefined): boolean {
  return error instanceof WebhookError && error.code === 'store_unavailable';
}

function deadLetter(error: Error, attempts: number): Error {
  const times = attempts === 1 ? 'one attempt' : `${attempts} attempts`;
  return new Error(`given up after ${times}, now a dead letter: ${error.message}`, { cause: error });
}
