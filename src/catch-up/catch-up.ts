import type { VastApi, VastApiInbox, VastApiNotification } from '../api/vast.js';
import type { Delivery } from '../contracts/delivery.js';
import { toError } from '../contracts/errors.js';
import type { Forwarded } from '../contracts/result.js';
import { type Intake, type IntakeWatcher, intakeOf } from '../intake.js';
import { type VastEvent, vast } from '../providers/vast.js';
import { inMemory } from '../stores/memory/memory-store.js';
import { exponential, isPositive } from '../util/backoff.js';
import { aFunction, type Check, checkOptions, isFunction, milliseconds, trueOrFalse } from '../util/check-options.js';
import type { Timer } from '../util/clock.js';
import { swallowErrors } from '../util/swallow-errors.js';
import { RecentIds } from './recent-ids.js';
import { isContextLabel, receivedOf, usableRows } from './row.js';
import { StateStore } from './state.js';

/** Rows of the inbox that the sinks may not have got. */
export interface Gap {
  /**
   * `untrusted`: no delivery has brought these rows, and they are not delivered, because no row's id has been seen to
   * equal a delivery's. `window`: these rows are all new, so that others may have dropped off the inbox before them.
   */
  readonly reason: 'untrusted' | 'window';
  /** The rows, the oldest first. A row is in one gap of each reason at most. */
  readonly rows: readonly VastApiNotification[];
}

/** Options of `catchUp`. */
export interface CatchUpOptions {
  /** The account's API: `vastApi({ apiKey })`. Only its `inbox` is called. */
  readonly api: Pick<VastApi, 'inbox'>;
  /** How often to look, in milliseconds. Default: 60,000. */
  readonly everyMs?: number;
  /** Called with rows that the sinks may not have got. Its errors are ignored. */
  readonly onGap?: (gap: Gap) => unknown;
  /** Delivers rows before an id has been seen to equal a delivery's. Default: false. */
  readonly trustIds?: boolean;
}

/** A middleware of `vastWebhook`, or a function of `createForwarder`. */
export interface CatchUpHook {
  /** Ends the catching up, too. */
  close(timeoutMs?: number): Promise<void>;
}

/** A row is left to its webhook for so long. */
const ripeSeconds = 60;
/** So many rows are in the inbox at most. */
const windowLength = 50;
/** Of how many deliveries the ids are kept, to compare them with rows. */
const maxSeen = 1_000;
/** How seldom we look while the inbox fails, and when it is gone. */
const longestWaitMs = 60 * 60_000;
const dayMs = 24 * 60 * 60_000;
/** The client gives up before that. */
const answerWithinMs = 120_000;
/** A completed event is forgotten after `completedTtlMs`. Clocks differ, so rows count as too old a little earlier. */
const rememberedPart = 0.9;

const withInbox: Check = [(value) => isFunction(Object(value).inbox), 'a client with inbox(): vastApi({ apiKey })'];

const checks = { api: withInbox, everyMs: milliseconds, onGap: aFunction, trustIds: trueOrFalse };

/**
 * Delivers events that stand in the notification inbox and that no webhook has brought, through the middleware or
 * forwarder `hook`: by the same claims and to the same sinks, so that each event still counts once. Experimental,
 * because Vast.ai does not document the inbox at present. Where the inbox is gone, nothing happens.
 *
 * Returns a function that ends it and resolves when running work has settled. `hook.close()` does so, too.
 * Throws a `TypeError` for a hook that is no Vast.ai middleware with sinks or forwarder, for one with `memoryStore`, and
 * for an invalid option.
 *
 * @example
 * const stop = catchUp(hook, { api: vastApi({ apiKey: process.env.VAST_API_KEY! }) });
 */
export function catchUp(hook: CatchUpHook, options: CatchUpOptions): () => Promise<void> {
  checkOptions(options, checks, 'catchUp');
  if (options.api === undefined) throw new TypeError(`catchUp: the option api must be ${withInbox[1]}`);
  const intake = (Object(hook) as { [intakeOf]?: Intake<VastEvent> })[intakeOf];
  checkHook(intake);
  const catching = new CatchingUp(intake, options);
  catching.start();
  return () => catching.stop();
}

function checkHook(intake: Intake<VastEvent> | undefined): asserts intake is Intake<VastEvent> {
  if (intake === undefined || (intake.provider !== undefined && intake.provider !== vast.name)) {
    throw new TypeError(
      'catchUp: the hook must be what vastWebhook or createForwarder returned, not a wrapper and no other provider',
    );
  }
  const { sinks, handoff, store } = intake.settings;
  if (sinks.length === 0 || handoff) {
    throw new TypeError('catchUp: the hook must have sinks and no handoff, because no request brings the events');
  }
  if (Object(store)[inMemory] === true) {
    throw new TypeError(
      'catchUp: the hook must have a store that survives a restart, such as sqliteStore, because each event would be delivered again',
    );
  }
  if (intake.watcher !== undefined) throw new TypeError('catchUp: the hook is caught up already: stop the other first');
}

/** A row whose delivery has failed. */
interface Failed {
  readonly times: number;
  /** A time of the clock's `now()`. */
  readonly retryAt: number;
}

class CatchingUp implements IntakeWatcher {
  readonly #intake: Intake<VastEvent>;
  readonly #api: CatchUpOptions['api'];
  readonly #everyMs: number;
  readonly #onGap: (gap: Gap) => void;
  readonly #trustIds: boolean;
  readonly #state: StateStore;
  readonly #ended = new AbortController();
  /** Ids of deliveries that webhooks have brought to this process. */
  readonly #brought = new RecentIds(maxSeen);
  readonly #reported = { untrusted: new RecentIds(maxSeen), window: new RecentIds(maxSeen) };
  /** Ids in the inbox whose events are completed. */
  #completed = new Set<string>();
  #failed = new Map<string, Failed>();
  readonly #running = new Map<string, Promise<void>>();
  /** Ids of the last window. */
  #last: ReadonlySet<string> = new Set();
  /** Labels of the deliveries that webhooks have brought to this process. */
  readonly #labels = new Set<string>();
  /** Failed looks in a row, and what was wrong with the last one. */
  #failures = 0;
  #trouble: string | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(intake: Intake<VastEvent>, { api, everyMs = 60_000, onGap = () => {}, trustIds }: CatchUpOptions) {
    const { store, scope, storeTimeoutMs } = intake.settings;
    this.#intake = intake;
    this.#api = api;
    this.#everyMs = everyMs;
    this.#onGap = swallowErrors(onGap);
    this.#trustIds = trustIds ?? false;
    this.#state = new StateStore(store, scope, storeTimeoutMs, intake.clock);
  }

  start(): void {
    if (this.#intake.isClosing) return;
    this.#intake.watcher = this;
    this.#lookIn(0);
  }

  async stop(): Promise<void> {
    const { clock } = this.#intake;
    if (!this.#ended.signal.aborted) {
      this.#ended.abort(new Error('catching up has ended'));
      clock.clear(this.#timer);
      this.#intake.watcher = undefined;
    }
    await this.#looking;
    await Promise.all(this.#running.values());
  }

  closed(): void {
    this.stop();
  }

  seen({ provider, source, verified, id, webhook }: Delivery): void {
    // What this or another catching up has delivered proves nothing.
    if (provider !== vast.name || source !== 'webhook' || !verified) return;
    this.#brought.add(id);
    if (webhook !== undefined) this.#labels.add(webhook);
  }

  /** The timer keeps no process alive: a service that waits for webhooks is kept alive by its server. */
  #lookIn(ms: number): void {
    this.#timer = this.#intake.clock.unrefTimeout(() => {
      this.#looking = this.#intake.during(() => this.#look());
    }, ms);
  }

  /** Does not reject. */
  async #look(): Promise<void> {
    let waitMs = this.#everyMs;
    try {
      await this.#take(await this.#ask());
      this.#failures = 0;
      this.#trouble = undefined;
    } catch (error) {
      waitMs = this.#waitAfter(error);
    }
    if (!this.#ended.signal.aborted) this.#lookIn(waitMs);
  }

  #waitAfter(thrown: unknown): number {
    const error = toError(thrown) as Error & { status?: number; code?: string; retryAfterMs?: number };
    const { status, code, message, retryAfterMs } = error;
    // Another process is at the state, which takes milliseconds.
    if (this.#ended.signal.aborted || code === 'in_flight') return this.#everyMs;
    this.#failures++;
    const isGone = status === 404;
    const trouble = code === undefined ? message : `${status} ${code}`;
    if (trouble !== this.#trouble) {
      const then = isGone ? 'the inbox may be gone, so the next look is in a day' : 'it is tried again';
      this.#intake.settings.onError(new Error(`catching up: ${message} (${then})`, { cause: error }), {});
    }
    this.#trouble = trouble;
    if (isGone) return dayMs;
    const backoffMs = exponential(this.#failures, this.#everyMs, Math.max(this.#everyMs, longestWaitMs));
    return Math.min(dayMs, Math.max(backoffMs, isPositive(retryAfterMs) ? retryAfterMs : 0));
  }

  /** Rejects also when it is stopped, and when a client gives no answer at all. */
  async #ask(): Promise<VastApiInbox> {
    const { clock } = this.#intake;
    const call = new AbortController();
    const over = new Promise<never>((_, reject) => {
      call.signal.addEventListener('abort', () => reject(call.signal.reason));
    });
    const stop = () => call.abort(this.#ended.signal.reason);
    this.#ended.signal.addEventListener('abort', stop);
    const timer = clock.unrefTimeout(() => call.abort(new Error('the inbox gave no answer')), answerWithinMs);
    try {
      return await Promise.race([this.#api.inbox({ signal: call.signal }), over]);
    } finally {
      clock.clear(timer);
      this.#ended.signal.removeEventListener('abort', stop);
    }
  }

  async #take({ notifications, omitted = 0, date }: VastApiInbox): Promise<void> {
    if (!isPositive(date)) throw new Error('the answer of the inbox has no Date header, so that no row has an age');
    const rows = usableRows(notifications, date);
    const own = await this.#intake.labels();
    const labels = own ?? [...this.#labels];
    checkLabels(labels);
    const state = await this.#state.update({
      since: Math.max(date, ...rows.map(({ created_at }) => created_at)),
      idsAgree: rows.some(({ event_id }) => this.#brought.has(event_id)),
      labels: own === undefined ? labels : [],
    });
    if (this.#ended.signal.aborted) return;
    const count = notifications.length + omitted;
    // After the first run is remembered, so that it does not wait for the first usable row.
    if (rows.length === 0 && count > 0) {
      throw new Error('no row of the inbox has a usable id and time: their form may have changed');
    }
    this.#turnTo(rows, count >= windowLength);
    const oldest = date - (rememberedPart * this.#intake.settings.completedTtlMs) / 1000;
    const due = rows.filter(
      ({ event_id: id, created_at: at }) =>
        at > state.since && at > oldest && at <= date - ripeSeconds && !this.#completed.has(id),
    );
    if (this.#trustIds || state.idsAgree) {
      for (const row of due) this.#start(row, own ?? [...labels, ...state.labels]);
    } else {
      this.#report(
        'untrusted',
        due.filter(({ event_id: id }) => !this.#brought.has(id)),
      );
    }
  }

  /** Compares the window with the last one, and forgets what is no longer in it. A full one may have lost rows. */
  #turnTo(rows: readonly VastApiNotification[], isFull: boolean): void {
    const ids = new Set(rows.map(({ event_id: id }) => id));
    const isNew = this.#last.size > 0 && !rows.some(({ event_id: id }) => this.#last.has(id));
    if (isNew && isFull) this.#report('window', rows);
    this.#last = ids;
    this.#completed = new Set([...this.#completed].filter((id) => ids.has(id)));
    this.#failed = new Map([...this.#failed].filter(([id]) => ids.has(id)));
  }

  #report(reason: Gap['reason'], rows: readonly VastApiNotification[]): void {
    const known = this.#reported[reason];
    const unknown = rows.filter(({ event_id: id }) => !known.has(id));
    if (unknown.length === 0) return;
    for (const { event_id: id } of unknown) known.add(id);
    this.#onGap({ reason, rows: unknown });
  }

  #start(row: VastApiNotification, labels: readonly string[]): void {
    const { event_id: id } = row;
    const { clock } = this.#intake;
    if (this.#running.has(id) || (this.#failed.get(id)?.retryAt ?? 0) > clock.now()) return;
    const running = this.#deliver(row, labels).then(() => {
      this.#running.delete(id);
    });
    this.#running.set(id, running);
  }

  /** Does not reject. The claim, and what the sinks have had, are in the store, so that a crash at any point loses nothing. */
  async #deliver(row: VastApiNotification, labels: readonly string[]): Promise<void> {
    const { event_id: id } = row;
    const intake = this.#intake;
    try {
      const { error, sinks } = await intake.take(receivedOf(row, labels, intake.settings.now()));
      if (error === undefined) this.#completed.add(id);
      // The one that holds the event may fail, so the next look tries again.
      else if (error.code !== 'in_flight') this.#retryLater(id, sinks);
    } catch (error) {
      this.#retryLater(id, undefined);
      intake.settings.onError(toError(error), { id });
    }
  }

  #retryLater(id: string, sinks: Forwarded['sinks']): void {
    const times = (this.#failed.get(id)?.times ?? 0) + 1;
    const asked = Object.values(sinks ?? {}).map(
      (result) => (Object(result) as { retryAfterMs?: unknown }).retryAfterMs,
    );
    const backoffMs = exponential(times, this.#everyMs, Math.max(this.#everyMs, longestWaitMs));
    const waitMs = Math.min(dayMs, Math.max(backoffMs, ...asked.filter(isPositive)));
    // A look comes a little before or after its time.
    this.#failed.set(id, { times, retryAt: this.#intake.clock.now() + waitMs - this.#everyMs / 2 });
  }
}

function checkLabels(labels: readonly string[]): void {
  if (labels.every(isContextLabel)) return;
  throw new Error(
    'the secrets have other labels than client (or renter) and host, so that sinks that go by them would miss rows: name them so',
  );
}
