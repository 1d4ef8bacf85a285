import { randomUUID } from 'node:crypto';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import { SinkError, toError, WebhookError } from '../contracts/errors.js';
import type { ErrorContext } from '../contracts/result.js';
import type { Sink } from '../contracts/sink.js';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { Dispatcher } from '../forward/dispatcher.js';
import type { Drain } from '../forward/drain.js';
import { fromQueued, reviveEvent } from '../queue/envelope.js';
import type { GroupCommit } from '../stores/group-commit.js';
import { type Backoff, isPositive, waitAfter } from '../util/backoff.js';
import type { Clock } from '../util/clock.js';
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
/** Rows that one write leases, because a commit stops the event loop. */
const maxLeased = 128;
/** Rows are leased ahead of their attempts for so long at the latest speed of the sink, and this many at most. */
const aheadMs = 100;
const maxAhead = 128;
/** A row that was leased ahead waits here for so long at most. Then another process can have it. */
const maxHeldMs = 1_000;
/** The lease of such a row, until its attempt begins. It is short, because a process that dies cannot end it. */
const aheadLeaseMs = 5_000;
/** How many delivered rows of a sink wait for their commit at most. After a crash, these are delivered again. */
const maxUnrecorded = 64;
/** After this, a look for due rows that found none is repeated. */
const emptyPauseMs = 50;
/** Pause of a row whose earlier attempt still runs here, although its lease was lost. It may run for minutes. */
const runningPauseMs = 1_000;

/** A row that is leased here. */
interface Lease {
  readonly row: Pick<Row, 'key' | 'event_id' | 'attempts' | 'since' | 'due_at'>;
  /** The row's delivery, until the attempt begins. */
  delivery: string;
  /** The token in the file. */
  readonly token: string;
  /** The token of the dispatch, as soon as there is one. */
  dispatch: string | undefined;
  /** Leased ahead of its attempt. */
  readonly isAhead: boolean;
  /** A time of the clock's `now()`. */
  readonly leasedAt: number;
  /** The latest known end of the lease, even if writing it failed. */
  expiresAt: number;
}

/**
 * Delivers the rows of one sink through a dispatcher, as for requests. This class is also the dispatcher's store,
 * because rows need the same renewals and records as events. Rows are leased before the dispatcher gets them, several in
 * one commit, and for a quick sink some ahead of their attempts.
 */
export class SinkWorker<Event extends object> implements IdempotencyStore {
  readonly #sink: Sink<Event>;
  readonly #table: OutboxTable;
  readonly #commits: GroupCommit;
  readonly #settings: SinkWorkerSettings;
  readonly #onSettled: () => void;
  readonly #dispatcher: Dispatcher<Event>;
  readonly #concurrency: number;
  /** Rows whose attempt has begun and is not recorded yet. */
  readonly #running = new Set<string>();
  /** Those of them that the sink has not settled. */
  readonly #delivering = new Set<string>();
  /** Leased rows whose attempt has not begun, in their order. */
  #ahead: Lease[] = [];
  readonly #leases = new Map<string, Lease>();
  #isLeasing = false;
  /** Whether the last look for due rows did not see all of them. */
  #hasMore = false;
  /** When rows were last leased, a time of the clock's `now()`, and how many have been delivered since. */
  #leasedAt = 0;
  #delivered = 0;
  /** No row could be leased, although rows are due. A time of the clock's `date()`. */
  #emptyUntil = 0;
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
    if (now < this.#pausedUntil) {
      this.releaseAhead();
      return this.#pausedUntil;
    }
    const [first] = this.#ahead;
    if (first !== undefined && this.#settings.clock.now() - first.leasedAt >= maxHeldMs) this.releaseAhead();
    this.#begin();
    if (this.#isLeasing || this.#freeSlots() <= 0) return undefined;
    if (now < this.#emptyUntil && now >= this.#emptyUntil - emptyPauseMs) return this.#emptyUntil;
    const dueAt = this.#table.nextDueAt(this.#sink.name);
    if (dueAt === undefined || dueAt > now) return dueAt;
    this.#lease(true);
    return undefined;
  }

  /** Ends all waiting. After the wall clock was put back, it would last longer by as much. Leases stay as they are. */
  awaken(now: number): void {
    this.#pausedUntil = 0;
    const ahead = new Set(this.#ahead);
    for (const [key, lease] of this.#leases) if (!this.#running.has(key) && !ahead.has(lease)) this.#leases.delete(key);
    this.#table.awaken(this.#sink.name, now);
  }

  /** Ends the leases of rows whose attempt has not begun, so that they are due again as they were. */
  releaseAhead(): void {
    const leases = this.#ahead;
    if (leases.length === 0) return;
    this.#ahead = [];
    this.#settings.drain.enter();
    const write = () => {
      for (const { row, token } of leases) this.#releaseRow(row, token, Number(row.due_at));
    };
    this.#commits
      .add(write, 'soon')
      // They are due again when their leases have expired.
      .catch(() => {})
      .then(() => {
        for (const { row } of leases) this.#leases.delete(row.key);
        this.#settings.drain.leave();
      });
  }

  /** The row is leased already. */
  claim(key: string, token: string): ClaimResult {
    const lease = this.#leases.get(key);
    if (lease === undefined) return notOurs;
    lease.dispatch = token;
    if (lease.isAhead) this.#lengthen(lease);
    return acquired;
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> | boolean {
    const lease = this.#leaseOf(key, token);
    if (lease === undefined) return false;
    const expiresAt = this.#extendLease(lease, leaseMs);
    return this.#commits.add(() => this.#table.renew(key, this.#sink.name, lease.token, expiresAt), 'later');
  }

  async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    const lease = this.#leaseOf(key, token);
    if (lease === undefined) return false;
    this.#extendLease(lease, this.#settings.leaseMs);
    const recording = this.#commits.add(
      () => this.#table.delivered(key, this.#sink.name, lease.token, this.#settings.clock.date() + ttlMs),
      'later',
    );
    this.#delivering.delete(key);
    this.#delivered++;
    // The sink gets its next event while this one is being recorded.
    void Promise.resolve().then(() => this.#begin());
    // No further rows, whose records would fail, too.
    recording.catch(() => this.#pauseUntil(this.#settings.clock.date() + writeFailurePauseMs));
    const isOurs = await recording;
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

  #leaseOf(key: string, dispatch: string): Lease | undefined {
    const lease = this.#leases.get(key);
    return lease?.dispatch === dispatch ? lease : undefined;
  }

  #extendLease(lease: Lease, leaseMs: number): number {
    lease.expiresAt = this.#settings.clock.date() + Math.ceil(leaseMs);
    return lease.expiresAt;
  }

  /** Gives a row that was leased ahead the lease that its dispatch counts on. Most are delivered before the commit. */
  #lengthen(lease: Lease): void {
    const { key, attempts } = lease.row;
    const expiresAt = this.#extendLease(lease, this.#settings.leaseMs);
    const write = () => {
      if (this.#delivering.has(key))
        this.#table.begin(key, this.#sink.name, lease.token, expiresAt, Number(attempts) + 1);
    };
    this.#commits.add(write, 'later').catch(() => {
      this.#settings.clock.unrefTimeout(() => {
        if (this.#delivering.has(key) && this.#leases.get(key) === lease) this.#lengthen(lease);
      }, writeFailurePauseMs);
    });
  }

  #freeSlots(): number {
    const unrecorded = this.#running.size - this.#delivering.size;
    return this.#concurrency - this.#delivering.size - Math.max(0, unrecorded - maxUnrecorded);
  }

  /** Leases the rows for free slots, and as many more as the sink will soon take. */
  #lease(areDue = false): void {
    const { clock, drain } = this.#settings;
    const free = Math.max(0, this.#freeSlots() - this.#ahead.length);
    const elapsedMs = Math.max(1, clock.now() - this.#leasedAt);
    const aheadOf = Math.min(maxAhead, Math.floor((this.#delivered * aheadMs) / elapsedMs));
    const isEnough = free === 0 && this.#ahead.length * 2 >= aheadOf;
    if (this.#isLeasing || isEnough || drain.closing) return;
    this.#isLeasing = true;
    this.#leasedAt = clock.now();
    this.#delivered = 0;
    drain.enter();
    const wanted = Math.min(maxLeased, free + Math.max(0, aheadOf - this.#ahead.length));
    this.#commits
      .add(() => this.#leaseRows(wanted, free), 'soon')
      .then(
        (leases) => {
          if (areDue && leases.length === 0) this.#emptyUntil = clock.date() + emptyPauseMs;
          for (const lease of leases) this.#leases.set(lease.row.key, lease);
          this.#ahead.push(...leases);
        },
        () => this.#pauseUntil(clock.date() + writeFailurePauseMs),
      )
      .then(() => {
        this.#isLeasing = false;
        this.#begin();
        if (drain.closing) this.releaseAhead();
        drain.leave();
        this.#onSettled();
      });
  }

  /** In a transaction. The first `forSlots` rows are delivered at once. */
  #leaseRows(wanted: number, forSlots: number): Lease[] {
    const { clock, leaseMs } = this.#settings;
    const now = clock.date();
    const { name } = this.#sink;
    const isFree = ({ key }: Row) => this.#isFree(key, now);
    let rows = this.#table.due(name, now, wanted);
    const isCut = rows.length === wanted;
    // Rows of lost leases, whose attempts still run here, must not hide others.
    if (isCut && !rows.every(isFree)) rows = this.#table.due(name, now, wanted + this.#running.size);
    const free = rows.filter(isFree).slice(0, wanted);
    this.#hasMore = isCut && free.length > 0;
    return free.map(({ key, event_id, attempts, since, due_at, delivery }, index) => {
      // No more of the row than is needed: a digest has thousands of them wait.
      const row = { key, event_id, attempts, since, due_at };
      const isAhead = index >= forSlots;
      const token = randomUUID();
      const ms = isAhead ? Math.min(leaseMs, aheadLeaseMs) : leaseMs;
      // An attempt counts from its beginning, because its process may die of it.
      this.#table.lease(key, name, token, now + ms, Number(attempts) + (isAhead ? 0 : 1));
      return { row, delivery, token, dispatch: undefined, isAhead, leasedAt: clock.now(), expiresAt: now + ms };
    });
  }

  /** Begins attempts for leased rows. */
  #begin(): void {
    const { clock, drain } = this.#settings;
    while (this.#ahead.length > 0 && this.#freeSlots() > 0 && !drain.closing && clock.date() >= this.#pausedUntil) {
      const lease = this.#ahead.shift() as Lease;
      // After a long sleep, another process may have it.
      if (lease.expiresAt > clock.date()) this.#deliver(lease);
      else this.#leases.delete(lease.row.key);
    }
    if (this.#hasMore && clock.date() >= this.#pausedUntil) this.#lease();
  }

  #deliver(lease: Lease): void {
    const { row } = lease;
    this.#settings.drain.enter();
    this.#running.add(row.key);
    this.#delivering.add(row.key);
    let received: ReceivedDelivery<Event>;
    try {
      received = reviveEvent<Event>(fromQueued(JSON.parse(lease.delivery)));
    } catch (error) {
      // For example, another version wrote it. It must not block the other rows.
      this.#failed(
        lease,
        new SinkError(`the stored delivery cannot be read: ${toError(error).message}`, { permanent: true }),
      );
      return;
    }
    lease.delivery = '';
    this.#dispatcher.forward(received, Number.POSITIVE_INFINITY, undefined, ({ error, sinks }) => {
      const result = sinks?.[this.#sink.name];
      if (error?.code === 'sink_failed') {
        this.#settings.onAttempt?.(this.#sink.name, toError(result));
        this.#failed(lease, result);
        return;
      }
      if (result === 'delivered') this.#settings.onAttempt?.(this.#sink.name, undefined);
      const now = this.#settings.clock.date();
      // If the record failed, it is still being retried. So the row stays leased.
      if (isStoreError(error)) this.#pauseUntil(now + writeFailurePauseMs);
      else if (error?.code === 'in_flight') this.#postpone(lease, now + runningPauseMs);
      else this.#leases.delete(row.key);
      this.#settled(lease);
    });
  }

  #releaseRow({ key, attempts }: Lease['row'], token: string, dueAt: number): void {
    this.#table.release(key, this.#sink.name, token, dueAt, Number(attempts));
  }

  /** Ends the lease without an attempt. */
  #postpone(lease: Lease, dueAt: number): void {
    lease.expiresAt = dueAt;
    this.#commits
      .add(() => this.#releaseRow(lease.row, lease.token, dueAt), 'later')
      // It is due again when its lease has expired.
      .catch(() => {});
  }

  #failed(lease: Lease, thrown: unknown): void {
    const { row } = lease;
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
    const message = error.message.slice(0, maxErrorLength);
    this.#commits
      .add(() => this.#table.failed(row.key, this.#sink.name, lease.token, message, now, dueAt, attempts), 'soon')
      // The row is free again when its lease has expired.
      .catch(() => this.#pauseUntil(this.#settings.clock.date() + writeFailurePauseMs))
      .then(() => {
        this.#leases.delete(row.key);
        this.#settled(lease);
      });
  }

  #pauseUntil(time: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, time);
  }

  #settled({ row }: Lease): void {
    this.#running.delete(row.key);
    this.#delivering.delete(row.key);
    this.#settings.drain.leave();
    this.#onSettled();
  }

  #report({ event_id: id }: Lease['row'], error: Error): void {
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
