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
  /** How many rows of a sink are told at once, unless the sink says. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly completedTtlMs: number;
  readonly drain: Drain;
  readonly clock: Clock;
  readonly onError: (error: Error, context: ErrorContext) => void;
}

const acquired: ClaimResult = { state: 'acquired', delivered: [] };
const taken: ClaimResult = { state: 'in_flight', retryAfterMs: 0 };

/** SQLite does not hang, but the process may be busy. */
const writeTimeoutMs = 60_000;
const maxErrorLength = 1_000;
/** How long nothing is begun after the table could not be written: each attempt may stop the process for a while. */
const troubleMs = 1_000;

/**
 * The rows of one sink. They are told as deliveries are, with this as the store in which the forwarder claims each of
 * them: its leases, renewals and records are what rows need, too.
 */
export class SinkWorker<Event extends object> implements IdempotencyStore {
  readonly #sink: Sink<Event>;
  readonly #table: OutboxTable;
  readonly #commits: GroupCommit;
  readonly #settings: SinkWorkerSettings;
  readonly #onRoom: () => void;
  readonly #forwarder: Dispatcher<Event>;
  readonly #concurrency: number;
  readonly #atWork = new Set<string>();
  /** What this process holds, and until when it does so at least, whatever could be written of that. */
  readonly #held = new Map<string, { readonly token: string; readonly until: number }>();
  #forgetAt = 0;
  /** The sink has asked to be left alone until then, or the table must be. */
  #pausedUntil = 0;

  /** `onRoom` is called whenever a row has been settled. */
  constructor(
    sink: Sink<Event>,
    table: OutboxTable,
    commits: GroupCommit,
    settings: SinkWorkerSettings,
    onRoom: () => void,
  ) {
    this.#sink = sink;
    this.#table = table;
    this.#commits = commits;
    this.#settings = settings;
    this.#onRoom = onRoom;
    this.#concurrency = sink.concurrency ?? settings.concurrency;
    this.#forwarder = new Dispatcher({
      ...settings,
      sinks: [sink],
      store: this,
      storeTimeoutMs: writeTimeoutMs,
      onError: (error, context) => {
        // That the table cannot be written is said once for all of its rows.
        if (!isStoreError(error)) settings.onError(error, context);
      },
    });
  }

  /** Begins to tell what is due, as far as there is room. Gives the time at which to look again, if there is one. */
  poll(now: number): number | undefined {
    this.#forgetLost(now);
    if (now < this.#pausedUntil) return this.#pausedUntil;
    const room = () => this.#concurrency - this.#atWork.size;
    if (room() > 0) {
      for (const row of this.#table.due(this.#sink.name, now, this.#concurrency + this.#held.size)) {
        if (room() > 0 && this.#isFree(row.key, now)) this.#deliver(row);
      }
    }
    return room() > 0 ? this.#table.nextDueAt(this.#sink.name) : undefined;
  }

  async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    const now = this.#settings.clock.date();
    const isOurs = await this.#commits.add(() => this.#table.claim(key, this.#sink.name, token, now, leaseMs));
    if (!isOurs) return taken;
    this.#held.set(key, { token, until: now + leaseMs });
    return acquired;
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    const until = this.#keep(key, token, leaseMs);
    return this.#commits.add(() => this.#table.renew(key, this.#sink.name, token, until));
  }

  async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    this.#keep(key, token, this.#settings.leaseMs);
    const isOurs = await this.#commits.add(() =>
      this.#table.delivered(key, this.#sink.name, token, this.#settings.clock.date() + ttlMs),
    );
    this.#held.delete(key);
    return isOurs;
  }

  /** What the failure means for the row is known to `#failed`, so that it stays leased until then. */
  release(): boolean {
    return true;
  }

  /** Never called: completing says it of the only sink there is. */
  delivered(): boolean {
    return true;
  }

  /** What was lost to another process is held by it. Looked for once a lease. */
  #forgetLost(now: number): void {
    if (now < this.#forgetAt && now >= this.#forgetAt - this.#settings.leaseMs) return;
    this.#forgetAt = now + this.#settings.leaseMs;
    for (const [key, { until }] of this.#held) {
      if (until <= now && !this.#atWork.has(key)) this.#held.delete(key);
    }
  }

  #isFree(key: string, now: number): boolean {
    return !this.#atWork.has(key) && (this.#held.get(key)?.until ?? 0) <= now;
  }

  #keep(key: string, token: string, leaseMs: number): number {
    const until = this.#settings.clock.date() + Math.ceil(leaseMs);
    this.#held.set(key, { token, until });
    return until;
  }

  #deliver(row: Row): void {
    this.#settings.drain.enter();
    this.#atWork.add(row.key);
    let revived: ReturnType<typeof reviveEvent<Event>>;
    try {
      revived = reviveEvent<Event>(fromQueued(JSON.parse(row.delivery)));
    } catch (error) {
      // Not of this version, say. It must not hold up the others.
      this.#failed(row, new SinkError(`cannot be read: ${toError(error).message}`, { permanent: true }));
      return;
    }
    const { received, type } = revived;
    this.#forwarder.forward(received, type, Number.POSITIVE_INFINITY, undefined, ({ error, sinks }) => {
      if (error?.code === 'sink_failed') {
        this.#failed(row, sinks?.[this.#sink.name]);
        return;
      }
      // What could not be recorded is still being recorded, and so still held.
      if (isStoreError(error)) this.#pauseUntil(this.#settings.clock.date() + troubleMs);
      else this.#held.delete(row.key);
      this.#settled(row);
    });
  }

  #failed(row: Row, thrown: unknown): void {
    const error = toError(thrown);
    const now = this.#settings.clock.date();
    const { retryAfterMs } = error as { retryAfterMs?: unknown };
    // The row waits as long as it takes, the others not for one that asks for a year.
    if (isPositive(retryAfterMs)) this.#pauseUntil(now + Math.min(retryAfterMs, this.#settings.maxBackoffMs));
    // A handle may be set to give bigints.
    const attempts = Number(row.attempts) + 1;
    const waitMs = waitAfter(error, attempts, now - Number(row.since), this.#settings);
    if (waitMs === undefined) this.#report(row, deadLetter(error, attempts));
    const dueAt = waitMs === undefined ? undefined : now + waitMs;
    const token = this.#held.get(row.key)?.token ?? row.token;
    const message = error.message.slice(0, maxErrorLength);
    this.#commits
      .add(() => this.#table.failed(row.key, this.#sink.name, token, message, now, dueAt))
      // The lease ends by itself.
      .catch(() => this.#pauseUntil(this.#settings.clock.date() + troubleMs))
      .then(() => {
        this.#held.delete(row.key);
        this.#settled(row);
      });
  }

  #pauseUntil(time: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, time);
  }

  #settled({ key }: Row): void {
    this.#atWork.delete(key);
    this.#settings.drain.leave();
    this.#onRoom();
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
  return new Error(`given up after ${times}, and a dead letter now: ${error.message}`, { cause: error });
}
