import type { WebhookError } from '../contracts/errors.js';
import type { SinkResult } from '../contracts/sink.js';
import { deadlineExceeded, handlerFailed, leaseOver, lost, sinkFailed, unsettled } from './failures.js';

/** What an event is at in this process, from the moment that a delivery asks for it. */
export type Phase =
  /** The store is asked for the claim. Where it is refused or fails, nothing more happens here. */
  | 'claiming'
  /** Sinks are at work, or what they took is being recorded. */
  | 'delivering'
  /** The service's own handler has the event. */
  | 'handling'
  /** All is done, and the store is asked to complete the event, again and again if it fails. */
  | 'completing'
  /** Not all is done, and the store is asked again for the records that it has failed to keep. */
  | 'recording'
  /** Not all is done, and the store is asked to release the claim. */
  | 'releasing'
  /** The claim is lost, but sinks of this process are still at work: no other delivery here may repeat theirs. */
  | 'lingering'
  | 'over';

/** `lost`: somebody else has claimed the event since. `expired`: the work has lasted too long to be waited for. */
export type Lease = 'held' | 'lost' | 'expired';

/** `late`: the deadline was answered. What goes wrong from then on is reported, since no answer can carry it. */
export type Reply = 'due' | 'late' | 'sent';

/** What one sink has done with the event. */
export type SinkState =
  /** It does not accept the event. */
  | 'skipped'
  /** An earlier claim's sink took it, which the store knows. */
  | 'already'
  /** An earlier claim's sink took it, which only this process knows. */
  | 'remembered'
  | 'due'
  | 'working'
  /** It took the event, and the store is asked to record that. */
  | 'recording'
  | 'recorded'
  /** It took the event, and the store could not record that, or is asked to complete the event, which records it too. */
  | 'unrecorded'
  /** It failed. */
  | Error;

/** `remembered`: the handler has taken the event in an earlier claim. A number: its HTTP status, 0 for none. */
export type HandlerState = 'none' | 'remembered' | 'due' | 'working' | number;

/** What the store is asked for once the claim is granted. */
export type Operation = 'renew' | 'delivered' | 'complete' | 'release';

/** What the store says: still ours, somebody else's, or nothing that can be relied on. */
export type Held = boolean | WebhookError;

/** All that the core can ask for. Each call may be answered before it returns. */
export interface Effects {
  /** By the clock that only goes forward. */
  now(): number;
  /** Has `tick()` called at that time, in place of an earlier one. */
  wake(at: number): void;
  /** Delivers to a sink: answered by `settled()`. */
  deliver(sink: number): void;
  /** Asks the store: answered by `stored()`. */
  ask(operation: Operation, sink?: number): void;
  /** Hands the event to the handler: answered by `handled()`. */
  callHandler(): void;
  /** Answers the sender. Called once: at the end, or at the deadline. */
  reply(error?: WebhookError): void;
  /** Says what no answer can carry. */
  report(error: Error, sink?: number): void;
  /** The lease is over before the work is. */
  abort(reason: Error): void;
  /** Keeps in this process what was taken, by this sink or at all, and what the store may not know. */
  remember(sink?: number): void;
  /** Nothing more will happen, but for sinks that settle after all. */
  over(): void;
}

/** How long a claim is renewed for work that does not settle. */
const maxWorkMs = 5 * 60_000;

/** How soon the store is asked again for what it has failed to do. Doubled each time, up to the second. */
const minRetryMs = 100;
const maxRetryMs = 5_000;

/** How soon a renewal is tried again, since a lease must outlast the store's trouble. */
const renewAgainMs = 1_000;

const never = Number.POSITIVE_INFINITY;
const none: SinkState[] = [];

/** What all events of a forwarder have in common. */
export interface CoreSettings {
  readonly leaseMs: number;
  readonly sinks: readonly { readonly name: string }[];
}

/**
 * One event's way through this process, as states and what leads from one to the next. It knows no clock, timer,
 * promise or store: these are its effects. What it is called with, and in which order, is all that it depends on.
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
   * Until when other deliveries of the event are kept from it here. It is put off for as long as timers run here: an
   * isolate that has lost what it was at will never settle it, and the store decides then.
   */
  knownUntil = 0;
  /** When the lease ends, as far as this process knows. */
  #leaseUntil = 0;
  #claimedAt = 0;
  #deadlineAt: number;
  #renewAt = never;
  /** Whether the answer to a renewal is awaited, and still matters. */
  #isRenewing = false;
  #isTroubled = false;
  #retryAt = never;
  #retryMs = minRetryMs;
  #wakeAt = never;
  /** The sink whose record is asked for again. */
  #again = -1;
  #storeError: WebhookError | undefined;
  /** What the sender is answered when the claim is settled; undefined when all is done. */
  #failure: WebhookError | undefined;

  constructor(effects: Effects, settings: CoreSettings, deadlineAt: number, hasHandler: boolean) {
    this.#effects = effects;
    this.#settings = settings;
    this.#deadlineAt = deadlineAt;
    this.handler = hasHandler ? 'due' : 'none';
  }

  /** The store has granted the claim. Sinks that are `due` are delivered to now. */
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

  /** A sink has taken the event, or has failed to. */
  settled(sink: number, error?: Error): void {
    const { sinks } = this;
    if (this.phase !== 'delivering') {
      if (error === undefined) sinks[sink] = 'unrecorded';
      else if (sinks[sink] === 'working') sinks[sink] = error;
      // The next delivery here must know.
      if (this.phase === 'over' && error === undefined) this.#effects.remember(sink);
      if (this.phase === 'lingering' && !sinks.includes('working')) this.#over(false);
    } else if (error !== undefined) {
      sinks[sink] = error;
    } else {
      sinks[sink] = 'unrecorded';
      // Completing records this sink, too: one call less for most deliveries.
      if (this.handler !== 'none' || this.#storeError !== undefined || !sinks.every(isDone)) this.#record(sink);
    }
    this.#settleWhenDelivered();
    this.#wait();
  }

  /** The handler has answered: an HTTP status, or 0 when it gave none. */
  handled(status: number, cause?: unknown): void {
    if (this.phase !== 'handling') return;
    this.handler = status;
    if (status < 200 || status > 299) this.#release(handlerFailed(status, cause));
    else if (this.lease === 'held') this.#complete();
    else this.#end(undefined, false);
    this.#wait();
  }

  /** The store has answered. `sink` is the one that was recorded. */
  stored(operation: Operation, held: Held, sink = -1): void {
    if (operation === 'renew') this.#renewed(held);
    else if (operation === 'delivered') this.#recorded(held, sink);
    else if (operation === 'complete') this.#completed(held);
    else this.#released(held);
    this.#wait();
  }

  /** It is time, or may be: timers are not exact. */
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

  /** Whether the handler has taken the event, in this claim or an earlier one. */
  get isHandled(): boolean {
    return this.handler === 'remembered' || (typeof this.handler === 'number' && is2xx(this.handler));
  }

  isDelivered(sink: number): boolean {
    const result = this.resultOf(sink);
    return result === 'delivered' || result === 'already';
  }

  /** What is said of it in outcomes. */
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
      else this.#recordAgain();
    }
  }

  #settleWhenDelivered(): void {
    if (this.phase === 'delivering' && !this.sinks.some(isPending)) this.#settle();
  }

  /** All sinks have settled and are recorded, or the lease is over. */
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
    // Nobody answers in the handler's place.
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
    // The sender has the handler's 2xx already: no answer can say more.
    const isAnswered = typeof this.handler === 'number';
    if (held instanceof Error) {
      if (isFirst && isAnswered) this.#effects.report(held);
      if (!isAnswered) this.#failure = held;
      this.#replyAndRetry();
      return;
    }
    // Asked again, and not ours any more: the call that failed has reached the store, or others have taken over.
    if (!held && isFirst) {
      this.#lose();
      if (!isAnswered) this.#failure = lost();
    }
    this.#end(this.#failure, held);
  }

  /** What the store does not know is recorded first. */
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
    this.#retryMs = minRetryMs;
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
    // Settled meanwhile, the claim is not lost by being gone when its renewal arrives.
    this.#isRenewing = false;
    this.#effects.ask(operation);
  }

  #replyAndRetry(): void {
    this.#reply(this.#failure);
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retryAt = this.#effects.now() + this.#retryMs;
    this.#retryMs = Math.min(2 * this.#retryMs, maxRetryMs);
  }

  #retry(now: number): void {
    this.#retryAt = never;
    // With nothing to record, the lease may end by itself.
    const isPointless = now >= this.#leaseUntil && (this.lease === 'expired' || this.phase === 'releasing');
    if (isPointless) this.#over(false);
    else if (this.phase === 'recording') this.#recordAgain();
    else this.#askToSettle(this.phase === 'completing' ? 'complete' : 'release');
  }

  /** Whether the lease is renewed, or is lost but what goes on here stays known here. */
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
      // The lease may outlast the store's trouble, and what ran out but was not taken is still ours.
      if (!this.#isTroubled) this.#effects.report(held);
      this.#isTroubled = true;
      this.#renewAt = now + Math.min(renewAgainMs, this.#settings.leaseMs / 3);
    }
  }

  #extended(now: number): void {
    this.#leaseUntil = now + this.#settings.leaseMs;
    this.knownUntil = this.#leaseUntil;
  }

  /** Somebody else has claimed the event, or the store has forgotten the claim. */
  #lose(): void {
    if (this.lease !== 'held') return;
    this.#leaseIsOver('lost');
    if (this.phase === 'delivering') this.#settle();
    else if (this.phase === 'handling') this.#renew(this.#effects.now());
    else if (this.#retryAt !== never) this.#over(false);
  }

  /** The work has lasted too long. */
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

  /** Whatever the store forgets, this process does not deliver again what its own sinks have taken. */
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

  /** Has itself woken for what is next. A wake-up that is too early is left as it is. */
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

/** Whether it needs nothing more than to be recorded. */
function isDone(state: SinkState): boolean {
  return !isPending(state) && !isFailed(state);
}

function isUnknownToStore(state: SinkState): boolean {
  return state === 'unrecorded' || state === 'remembered';
}
