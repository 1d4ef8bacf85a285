import type { ErrorContext, Outcome } from './contracts/result.js';
import { type Sink, type SinkFunction, toSinks } from './contracts/sink.js';
import type { IdempotencyStore } from './contracts/store.js';
import { logError, logOutcomes } from './log.js';
import type { VastEvent } from './providers/vast.js';
import { parseLimit } from './receive/limit.js';
import { defaultToleranceSeconds } from './receive/signature.js';
import { memoryStore } from './stores/memory/memory-store.js';
import {
  aFunction,
  type Check,
  checkOptions,
  endpointPath,
  isFunction,
  isWholeUpTo,
  longMilliseconds,
  milliseconds,
  trueOrFalse,
} from './util/check-options.js';
import { printable } from './util/printable.js';
import { swallowErrors } from './util/swallow-errors.js';

/** Options of `vastWebhook`. An invalid or unknown option is a `TypeError` that names it. */
export interface WebhookOptions<Event = VastEvent> {
  /** The endpoint: what the request's path must end with. Default: `/vast/webhooks` without a mount or route. */
  readonly path?: string;
  /** Remembers claims, deliveries to sinks, and completed events. Default: `memoryStore()`. */
  readonly store?: IdempotencyStore;
  /**
   * Separates receivers that share a store. Default: `receiver`. Two middlewares with different sinks need two scopes,
   * because the second would otherwise answer 204 for events that its sinks never get.
   */
  readonly scope?: string;
  /** Where each event is delivered to, in parallel: named functions or `Sink` objects. */
  readonly sinks?: readonly (Sink<Event> | SinkFunction<Event>)[];
  /** Whether to call `next()`, so that the handler's answer settles the event. Default: true without sinks. */
  readonly handoff?: boolean;
  /** How old or early a delivery may be, in whole seconds. Default: 300. */
  readonly toleranceSeconds?: number;
  /** The largest body, as a number of bytes or a string such as `'64kb'`, the default. */
  readonly limit?: number | string;
  /** How long the whole body may take, in milliseconds. Default: 5,000. */
  readonly bodyTimeoutMs?: number;
  /** When to answer at the latest, in milliseconds after the request's arrival. Default: 8,000. The sender gives up at 10 s. */
  readonly deadlineMs?: number;
  /** How long a lease on an event lasts unless it is renewed, in milliseconds. Default: 30,000. */
  readonly leaseMs?: number;
  /** The timeout of a store call, in milliseconds. Default: 2,000. */
  readonly storeTimeoutMs?: number;
  /** How long a completed event is remembered, in milliseconds: at least twice `toleranceSeconds`. Default: 7 days. */
  readonly completedTtlMs?: number;
  /** Called once for each request on the endpoint, when it is answered. Its errors are ignored. */
  readonly onOutcome?: (outcome: Outcome) => unknown;
  /** Called with errors that no outcome can carry: a sink that fails after the answer, a lost lease, a failed release. */
  readonly onError?: (error: Error, context: ErrorContext) => unknown;
  /** The clock, in Unix milliseconds. Default: `Date.now`. */
  readonly now?: () => number;
}

/** Options of `createForwarder`, which has no web server. */
export type ForwarderOptions<Event = VastEvent> = Pick<
  WebhookOptions<Event>,
  'sinks' | 'store' | 'leaseMs' | 'storeTimeoutMs' | 'completedTtlMs' | 'onOutcome' | 'onError'
> & {
  /**
   * Separates forwarders that share a store. Default: `forwarder`. Two forwarders with different sinks need two scopes,
   * because the second would otherwise skip events that its sinks never get.
   */
  readonly scope?: string;
  /**
   * Called when a sink answers 429, with its `Retry-After` in milliseconds: `(ms) => queue.rateLimit(ms)` with BullMQ,
   * whose workers need a `limiter` for it. `forward` then rejects with BullMQ's rate limit error, so that the job is kept
   * and no attempt is counted.
   */
  readonly rateLimit?: (ms: number) => unknown;
};

export interface Settings<Event> {
  readonly path: string | undefined;
  readonly store: IdempotencyStore;
  readonly scope: string;
  readonly sinks: readonly Sink<Event>[];
  readonly handoff: boolean;
  readonly toleranceSeconds: number;
  /** Bytes. */
  readonly limit: number;
  readonly bodyTimeoutMs: number;
  readonly deadlineMs: number;
  readonly leaseMs: number;
  readonly storeTimeoutMs: number;
  readonly completedTtlMs: number;
  readonly onOutcome: (outcome: Outcome) => void;
  readonly onError: (error: Error, context: ErrorContext) => void;
  /** Called with mistakes in how the middleware is used, which belong to no delivery. */
  readonly report: (error: Error) => void;
  readonly now: () => number;
}

const storeMethods = ['claim', 'renew', 'delivered', 'complete', 'release'] as const;
const days = 24 * 60 * 60_000;

/** The check of each option, and its text for errors. */
const checks: Readonly<Record<keyof WebhookOptions, Check>> = {
  path: endpointPath,
  store: [
    (value) => storeMethods.every((name) => isFunction(Object(value)[name])),
    `a store with ${storeMethods.join(', ')}`,
  ],
  scope: [
    (value) => typeof value === 'string' && /^[\w.-]{1,64}$/.test(value),
    'a name of letters, digits, _, . and -',
  ],
  sinks: [Array.isArray, 'an array of named functions and sinks'],
  handoff: trueOrFalse,
  toleranceSeconds: [isWholeUpTo(0, Number.MAX_SAFE_INTEGER), 'a whole number of seconds'],
  limit: [(value) => parseLimit(value) !== undefined, "a number of bytes, or a text such as '64kb'"],
  bodyTimeoutMs: milliseconds,
  deadlineMs: milliseconds,
  leaseMs: milliseconds,
  storeTimeoutMs: milliseconds,
  completedTtlMs: longMilliseconds,
  onOutcome: aFunction,
  onError: aFunction,
  now: [isFunction, 'a function that gives Unix milliseconds, such as Date.now'],
};

/** Fills in the defaults. Throws a `TypeError` that names the option and what it takes. */
export function settingsOf<Event>(options: WebhookOptions<Event> = {}): Settings<Event> {
  const settings = withDefaults(options);
  // A delivery may be signed one window ahead, and it is valid for one more window after that.
  const leastMs = 2 * settings.toleranceSeconds * 1_000;
  if (settings.completedTtlMs < leastMs) {
    throw new TypeError(
      `the option completedTtlMs must be at least ${leastMs}, twice toleranceSeconds: a recorded delivery could be replayed once its event is forgotten`,
    );
  }
  return settings;
}

function withDefaults<Event>(options: WebhookOptions<Event>): Settings<Event> {
  checkOptions(options, checks);
  const sinks = toSinks(options.sinks ?? []);
  return {
    path: options.path,
    store: options.store ?? memoryStore(),
    scope: options.scope ?? 'receiver',
    sinks,
    handoff: options.handoff ?? sinks.length === 0,
    toleranceSeconds: options.toleranceSeconds ?? defaultToleranceSeconds,
    limit: parseLimit(options.limit ?? '64kb') as number,
    bodyTimeoutMs: options.bodyTimeoutMs ?? 5_000,
    deadlineMs: options.deadlineMs ?? 8_000,
    leaseMs: options.leaseMs ?? 30_000,
    storeTimeoutMs: options.storeTimeoutMs ?? 2_000,
    completedTtlMs: options.completedTtlMs ?? 7 * days,
    onOutcome: swallowErrors(options.onOutcome ?? logOutcomes()),
    onError: swallowErrors(options.onError ?? logError),
    report: reporter(options.onError),
    now: options.now ?? Date.now,
  };
}

function reporter(onError: WebhookOptions['onError']): (error: Error) => void {
  if (onError === undefined) return ({ message }) => console.warn(`vast-webhook: ${printable(message)}`);
  return swallowErrors((error: Error) => onError(error, {}));
}

/** The same for `createForwarder`. Its lease is shorter, because a queue retries soon. */
export function forwarderSettingsOf<Event>(
  options: ForwarderOptions<Event>,
): Settings<Event> & Pick<ForwarderOptions, 'rateLimit'> {
  const { sinks, store, scope, leaseMs, storeTimeoutMs, completedTtlMs, onOutcome, onError } = checks;
  checkOptions(options, {
    sinks,
    store,
    scope,
    leaseMs,
    storeTimeoutMs,
    completedTtlMs,
    onOutcome,
    onError,
    rateLimit: aFunction,
  });
  const { rateLimit: limit, ...shared } = options;
  return { ...withDefaults({ leaseMs: 15_000, ...shared, scope: shared.scope ?? 'forwarder' }), rateLimit: limit };
}
