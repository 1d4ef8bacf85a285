import type { WebhookError } from '../contracts/errors.js';
import { maxWorkMs, type SinkResult } from '../contracts/sink.js';
import { exponential } from '../util/backoff.js';
import { deadlineExceeded, handlerFailed, leaseOver, lost, sinkFailed, unsettled } from './failures.js';

/** Where an event is in this process, from the moment that a delivery claims it. */
export type Phase =
  /** The claim call is running. If it is refused or fails, nothing more happens here. */
  | 'claiming'
  /** Sinks are running, or their deliveries are being recorded. */
  | 'delivering'
  /** The handler is running. */
  | 'handling'
  /** All work succeeded. The complete call is running, and is retried while the store fails. */
  | 'completing'
  /** Some work failed. We retry the records that the store failed to write. */
  | 'recording'
  /** Some work failed, and the release call is running. */
  | 'releasing'
  /** The lease is lost, but sinks of this process still run: no other delivery here may repeat them. */
  | 'lingering'
  | 'over';

/** `lost`: another process has claimed the event. `expired`: the work took longer than we renew a lease. */
export type Lease = 'held' | 'lost' | 'expired';

/** `late`: 504 was answered at the deadline. Later errors are reported, because no answer can carry them. */
export type Reply = 'due' | 'late' | 'sent';

/** How far one sink is with the event. */
export type SinkState =
  /** It does not accept the event. */
  | 'skipped'
  /** Delivered by an earlier attempt, and the store knows. */
  | 'already'
  /** Delivered by an earlier attempt, and only this process knows. */
  | 'remembered'
  | 'due'
  | 'working'
  /** Delivered, and the record call is running. */
  | 'recording'
  | 'recorded'
  /** Delivered, but the record failed, or completing the event records it too. */
  | 'unrecorded'
  /** The delivery failed. */
  | Error;

/** `remembered`: the handler succeeded in an earlier attempt. A number: its HTTP status, 0 for none. */
export type HandlerState = 'none' | 'remembered' | 'due' | 'working' | number;

/** The store's calls after a claim. */
export type Operation = 'renew' | 'delivered' | 'complete' | 'release';

/** The store's answer. True: the lease is still ours. False: it is not. An error: we do not know. */
export type Held = boolean | WebhookError;

/** Everything that the core can ask for. Each call may be answered before it returns. */
export interface Effects {
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  /** Schedules `tick()` for that time. Replaces an earlier call. */
  wake(at: number): void;
  /** Delivers to a sink. `settled()` is the answer. */
  deliver(sink: number): void;
  /** Calls the store. `stored()` is the answer. */
  ask(operation: Operation, sink?: number): void;
  /** Calls the handler. `handled()` is the answer. */
  callHandler(): void;
  /** Answers the sender. Called once: at the end or at the deadline. */
  reply(error?: WebhookError): void;
  /** Reports an error that no answer can carry. */
  report(error: Error, sink?: number): void;
  /** The lease has ended before the work has. */
  abort(reason: Error): void;
  /** Keeps in this process that this sink, or everything so far, succeeded: the store may not know it. */
  remember(sink?: number): void;
  /** Nothing more will happen, except that a sink may still settle. */
  over(): void;
}

/** How long to wait before a failed store call is retried. */
export function storeRetryMs(failures: number): number {
  return exponential(failures, 100, 5_000);
}

/** How soon a failed renewal is retried. It is short, because the lease must survive the outage. */
const renewAgainMs = 1_000;

const never = Number.POSITIVE_INFINITY;
const none: SinkState[] = [];

/** What all dispatches share. */
export interface CoreSettings {
  readonly leaseMs: number;
  readonly sinks: readonly { readonly name: string }[];
}

/**
 * The state machine of one event in this process. It has no clock, timer, promise or store: those are its effects. Its
 * behaviour depends on nothing but its inputs and their order, so that a simulator can replay it.
 */
export class Core {
  readonly #effects: Effects;
  readonly #settings: CoreSettings;
  phase: Phase = 'claiming';
  lease: Lease = 'held';
  reply: Reply = 'due';
  handler: HandlerState;
  sinks: SinkState[] = none;
  /**
   * Until when other deliveries of the event get `in_flight` from this process. Each tick moves it on. An isolate that
   * has lost its timers never settles the event, and then the store decides.
   */
  knownUntil = 0;
  /** When the lease expires, as far as this process knows. */
  #leaseUntil = 0;
  #claimedAt = 0;
  #deadlineAt: number;
  #renewAt = never;
  /** Whether a renewal is running whose answer still matters. */
  #isRenewing = false;
  #isTroubled = false;
  #retryAt = never;
  /** Failed store calls in a row. */
  #storeFailures = 0;
  #wakeAt = never;
  /** The sink whose record is being retried. */
  #again = -1;
  #storeError: WebhookError | undefined;
  /** The error for the sender once the claim is settled. Undefined after success. */
  #failure: WebhookError | undefined;

  constructor(effects: Effects, settings: CoreSettings, deadlineAt: number, hasHandler: boolean) {
    this.#effects = effects;
    this.#settings = settings;
    this.#deadlineAt = deadlineAt;
    this.handler = hasHandler ? 'due' : 'none';
  }

  /** The store has granted the claim. Delivers to all sinks that are `due`. */
  claimed(sinks: SinkState[], isHandled: boolean): void {
    this.phase = 'delivering';
    this.sinks = sinks;
    if (isHandled && this.handler === 'due') this.handler = 'remembered';
    this.#claimedAt = this.#effects.now();
    this.#extended(this.#claimedAt);
    this.#renewAt = this.#claimedAt + this.#settings.leaseMs / 3;
    for (let sink = 0; sink < sinks.length && this.phase === 'delivering'; sink++) {
      if (sinks[sink] !== 'due') continue;
      sinks[sink] = 'working';
      this.#effects.deliver(sink);
    }
    this.#settleWhenDelivered();
    this.#wait();
  }

  /** A delivery to a sink has succeeded or failed. */
  settled(sink: number, error?: Error): void {
    const { sinks } = this;
    if (this.phase !== 'delivering') {
      if (error === undefined) sinks[sink] = 'unrecorded';
      else if (sinks[sink] === 'working') sinks[sink] = error;
      // The next delivery in this process must know it.
      if (this.phase === 'over' && error === undefined) this.#effects.remember(sink);
      if (this.phase === 'lingering' && !sinks.includes('working')) this.#over(false);
    } else if (error !== undefined) {
      sinks[sink] = error;
    } else {
      sinks[sink] = 'unrecorded';
      // complete() also records this sink, so most deliveries need one store call less.
      if (this.handler !== 'none' || this.#storeError !== undefined || !sinks.every(isDone)) this.#record(sink);
    }
    this.#settleWhenDelivered();
    this.#wait();
  }

  /** The handler has answered with an HTTP status, 0 for none. */
  handled(status: number, cause?: unknown): void {
    if (this.phase !== 'handling') return;
    this.handler = status;
    if (status < 200 || status > 299) this.#release(handlerFailed(status, cause));
    else if (this.lease === 'held') this.#complete();
    else this.#end(undefined, false);
    this.#wait();
  }

  /** The store has answered. `sink` is the one that `delivered` was about. */
  stored(operation: Operation, held: Held, sink = -1): void {
    if (operation === 'renew') this.#renewed(held);
    else if (operation === 'delivered') this.#recorded(held, sink);
    else if (operation === 'complete') this.#completed(held);
    else this.#released(held);
    this.#wait();
  }

  /** The time of `wake()` has come, or nearly: timers are not exact. */
  tick(): void {
    const now = this.#effects.now();
    this.#wakeAt = never;
    if (this.reply === 'due' && now >= this.#deadlineAt) this.#replyLate();
    if (this.#isKept()) {
      if (now - this.#claimedAt >= maxWorkMs) this.#expire();
      else if (now >= this.#renewAt && !this.#isRenewing) this.#renew(now);
    }
    if (now >= this.#retryAt) this.#retry(now);
    this.#wait();
  }

  /** Whether the handler succeeded, in this attempt or an earlier one. */
  get isHandled(): boolean {
    return this.handler === 'remembered' || (typeof this.handler === 'number' && is2xx(this.handler));
  }

  isDelivered(sink: number): boolean {
    const result = this.resultOf(sink);
    return result === 'delivered' || result === 'already';
  }

  /** What outcomes say about a sink. */
  resultOf(sink: number): SinkResult {
    const state = this.sinks[sink] as SinkState;
    switch (state) {
      case 'already':
      case 'remembered':
        return 'already';
      case 'due':
      case 'working':
        return 'pending';
      case 'recording':
      case 'recorded':
      case 'unrecorded':
        return 'delivered';
      default:
        return state;
    }
  }

  #record(sink: number): void {
    this.sinks[sink] = 'recording';
    this.#effects.ask('delivered', sink);
  }

  #recorded(held: Held, sink: number): void {
    this.sinks[sink] = held === true ? 'recorded' : 'unrecorded';
    if (held === false) this.#lose();
    if (this.phase === 'delivering') {
      if (held instanceof Error) this.#storeError ??= held;
      this.#settleWhenDelivered();
    } else if (this.phase === 'recording' && sink === this.#again) {
      this.#again = -1;
      if (held instanceof Error) this.#retryLater();
      else if (held) this.#recordAgain();
      // Also after the lease has expired: then nobody has lost it, and asking again would not end.
      else this.#over(false);
    }
  }

  #settleWhenDelivered(): void {
    if (this.phase === 'delivering' && !this.sinks.some(isPending)) this.#settle();
  }

  /** All sinks have settled and are recorded, or the lease has ended. */
  #settle(): void {
    if (this.lease === 'lost') {
      this.#end(lost(), false);
      return;
    }
    const { sinks } = this;
    for (let sink = 0; sink < sinks.length; sink++) if (sinks[sink] === 'working') sinks[sink] = unsettled();
    if (sinks.some(isFailed)) this.#release(sinkFailed(this.#settings.sinks, sinks));
    else if (this.handler !== 'due') this.#complete();
    else if (this.reply === 'late' || this.#storeError !== undefined) this.#release(this.#storeError);
    else this.#callHandler();
  }

  #callHandler(): void {
    this.phase = 'handling';
    this.handler = 'working';
    // From here on only the handler answers, so there is no deadline.
    this.#deadlineAt = never;
    this.#effects.callHandler();
  }

  #complete(): void {
    this.phase = 'completing';
    this.#failure = this.#storeError;
    if (this.#storeError === undefined) this.#askToSettle('complete');
    else this.#replyAndRetry();
  }

  #completed(held: Held): void {
    if (this.phase !== 'completing') return;
    const isFirst = this.reply !== 'sent';
    // The sender already got the handler's 2xx; only onError can report this.
    const isAnswered = typeof this.handler === 'number';
    if (held instanceof Error) {
      if (isFirst && isAnswered) this.#effects.report(held);
      if (!isAnswered) this.#failure = held;
      this.#replyAndRetry();
      return;
    }
    // After a retry, `false` can mean that the failed call had reached the store.
    if (!held && isFirst) {
      this.#lose();
      if (!isAnswered) this.#failure = lost();
    }
    this.#end(this.#failure, held);
  }

  /** First records the deliveries that the store does not know. */
  #release(failure: WebhookError | undefined): void {
    this.#failure = failure;
    if (this.lease === 'lost') {
      this.#end(failure, false);
    } else if (this.sinks.some(isUnknownToStore)) {
      this.phase = 'recording';
      this.#replyAndRetry();
    } else {
      this.phase = 'releasing';
      this.#askToSettle('release');
    }
  }

  #recordAgain(): void {
    if (this.lease === 'lost') {
      this.#over(false);
      return;
    }
    this.#storeFailures = 0;
    this.#again = this.sinks.findIndex(isUnknownToStore);
    if (this.#again !== -1) {
      this.#record(this.#again);
    } else {
      this.phase = 'releasing';
      this.#askToSettle('release');
    }
  }

  #released(held: Held): void {
    if (this.phase !== 'releasing') return;
    if (held instanceof Error) {
      if (this.reply !== 'sent') this.#effects.report(held);
      this.#replyAndRetry();
      return;
    }
    if (!held && this.reply !== 'sent') this.#lose();
    this.#end(this.#failure, false);
  }

  #askToSettle(operation: 'complete' | 'release'): void {
    // A renewal that arrives after this finds no claim. That does not mean that the lease was lost.
    this.#isRenewing = false;
    this.#effects.ask(operation);
  }

  #replyAndRetry(): void {
    this.#reply(this.#failure);
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retryAt = this.#effects.now() + storeRetryMs(++this.#storeFailures);
  }

  #retry(now: number): void {
    this.#retryAt = never;
    // With nothing to record, the lease may just expire.
    const isPointless = now >= this.#leaseUntil && (this.lease === 'expired' || this.phase === 'releasing');
    if (isPointless) this.#over(false);
    else if (this.phase === 'recording') this.#recordAgain();
    else this.#askToSettle(this.phase === 'completing' ? 'complete' : 'release');
  }

  /** Whether we renew the lease, or, if it is lost, keep other deliveries in this process away. */
  #isKept(): boolean {
    switch (this.phase) {
      case 'delivering':
      case 'handling':
      case 'lingering':
        return true;
      case 'recording':
        return this.lease === 'held';
      case 'completing':
        return this.lease === 'held' && this.#retryAt !== never;
      default:
        return false;
    }
  }

  #renew(now: number): void {
    this.knownUntil = now + this.#settings.leaseMs;
    if (this.lease === 'lost') {
      this.#renewAt = now + this.#settings.leaseMs / 3;
    } else {
      this.#isRenewing = true;
      this.#effects.ask('renew');
    }
  }

  #renewed(held: Held): void {
    if (!this.#isRenewing) return;
    this.#isRenewing = false;
    const now = this.#effects.now();
    if (held === false) {
      this.#lose();
    } else if (held === true) {
      this.#isTroubled = false;
      this.#extended(now);
      this.#renewAt = now + this.#settings.leaseMs / 3;
    } else {
      // The store may recover in time, and an expired lease that nobody claimed is still ours.
      if (!this.#isTroubled) this.#effects.report(held);
      this.#isTroubled = true;
      this.#renewAt = now + Math.min(renewAgainMs, this.#settings.leaseMs / 3);
    }
  }

  #extended(now: number): void {
    this.#leaseUntil = now + this.#settings.leaseMs;
    this.knownUntil = this.#leaseUntil;
  }

  /** Another process has claimed the event, or the store has forgotten the claim. */
  #lose(): void {
    if (this.lease !== 'held') return;
    this.#leaseIsOver('lost');
    if (this.phase === 'delivering') this.#settle();
    else if (this.phase === 'handling') this.#renew(this.#effects.now());
    else if (this.#retryAt !== never) this.#over(false);
  }

  /** The work took longer than we renew a lease. */
  #expire(): void {
    if (this.lease === 'held') this.#leaseIsOver('expired');
    if (this.phase === 'delivering') this.#settle();
    else if (this.phase === 'handling') this.handled(0, new Error('not in time'));
    else if (this.phase === 'lingering') this.#over(false);
  }

  #leaseIsOver(lease: 'lost' | 'expired'): void {
    this.lease = lease;
    this.#isRenewing = false;
    const reason = leaseOver(lease, maxWorkMs);
    this.#effects.report(reason);
    this.#effects.abort(reason);
  }

  #replyLate(): void {
    this.reply = 'late';
    this.#effects.reply(deadlineExceeded(this.#settings.sinks, this.sinks));
  }

  #reply(failure: WebhookError | undefined): void {
    if (this.reply === 'sent') return;
    const wasLate = this.reply === 'late';
    this.reply = 'sent';
    if (!wasLate) {
      this.#effects.reply(failure);
      return;
    }
    if (failure !== undefined && failure.code !== 'sink_failed') this.#effects.report(failure);
    for (const [sink, state] of this.sinks.entries()) {
      if (state instanceof Error) this.#effects.report(state, sink);
    }
  }

  #end(failure: WebhookError | undefined, isCompleted: boolean): void {
    this.#reply(failure);
    this.#over(isCompleted);
  }

  /** This process does not repeat its own deliveries, even if the store forgets them. */
  #over(isCompleted: boolean): void {
    this.#retryAt = never;
    if (this.lease === 'lost' && this.phase !== 'lingering' && this.sinks.includes('working')) {
      this.phase = 'lingering';
      this.#renew(this.#effects.now());
      return;
    }
    this.phase = 'over';
    if (!isCompleted) this.#effects.remember();
    this.#effects.over();
  }

  /** Schedules the next tick. A tick that comes too early does no harm, so it is not moved. */
  #wait(): void {
    if (this.phase === 'over') return;
    let at = this.#retryAt;
    if (this.reply === 'due') at = Math.min(at, this.#deadlineAt);
    if (this.#isKept()) {
      at = Math.min(at, this.#claimedAt + maxWorkMs);
      if (!this.#isRenewing) at = Math.min(at, this.#renewAt);
    }
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#effects.wake(at);
  }
}

function is2xx(status: number): boolean {
  return status >= 200 && status < 300;
}

function isFailed(state: SinkState): state is Error {
  return typeof state !== 'string';
}

function isPending(state: SinkState): boolean {
  return state === 'due' || state === 'working' || state === 'recording';
}

/** Whether the sink needs no delivery any more, only a record. */
function isDone(state: SinkState): boolean {
  return !isPending(state) && !isFailed(state);
}

function isUnknownToStore(state: SinkState): boolean {
  return state === 'unrecorded' || state === 'remembered';
}
