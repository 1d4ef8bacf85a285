import { Buffer } from 'node:buffer';
import { createHash, createSecretKey } from 'node:crypto';
import { toError, WebhookError } from '../contracts/errors.js';
import type { SigningKey } from '../providers/scheme.js';
import { exponential } from '../util/backoff.js';
import { type Clock, systemClock, type Timer } from '../util/clock.js';
import { type Hold, SharedWork } from '../util/shared-work.js';

/** One signing secret, several during a rotation, or several with labels. */
export type SecretList = string | readonly string[] | Readonly<Record<string, string>>;

/** Signing secrets, or a function that returns them. It is called again when no secret matches. */
export type Secret = SecretList | (() => SecretList | Promise<SecretList>);

/** The key of a secret. Throws a `TypeError` for a secret that cannot be one. */
type KeyOf = (secret: string) => Uint8Array;

const keyOfText: KeyOf = (secret) => Buffer.from(secret);

/** Minimum time between two calls of the secret function. */
const refreshEveryMs = 10_000;
/** How long we wait after the function's first failure. */
const firstPauseMs = 1_000;
/** How long a call may take. No request waits for so long, but on Workers the one that waited last may have ended. */
const hangsAfterMs = 60_000;

/** Throws a `TypeError` for an empty list or an invalid secret. */
export function signingKeys(secrets: SecretList, keyOf = keyOfText): readonly SigningKey[] {
  if (typeof secrets === 'string') return [signingKey(secrets, keyOf)];
  if (Array.isArray(secrets)) return notEmpty(secrets.map((secret) => signingKey(secret, keyOf)));
  if (typeof secrets === 'object' && secrets !== null) {
    return notEmpty(Object.entries(secrets).map(([label, secret]) => signingKey(secret, keyOf, label)));
  }
  throw new TypeError(
    'the secret must be a string, an array of strings, an object { label: secret }, or a function that gives one: is the environment variable set?' +
      atRunTime,
  );
}

const atRunTime = ' Where it is set at run time only, give a function: () => process.env.NAME';

function notEmpty(keys: SigningKey[]): SigningKey[] {
  if (keys.length === 0) throw new TypeError('the list of secrets is empty: give at least one');
  return keys;
}

function signingKey(secret: unknown, keyOf: KeyOf, label?: string): SigningKey {
  const which = label === undefined ? 'the secret' : `the secret of "${label}"`;
  if (typeof secret !== 'string')
    throw new TypeError(`${which} is not a string: is the environment variable set?${atRunTime}`);
  if (secret === '') throw new TypeError(`${which} is empty: anybody could sign with it`);
  if (secret !== secret.trim()) {
    throw new TypeError(`${which} has white space at an end, a newline from a file perhaps: trim it`);
  }
  const key = createSecretKey(keyOf(secret));
  return { label, key, hash: createHash('sha256').update(secret).digest() };
}

/** The source of the keys that a delivery is checked with. */
export interface KeyProvider {
  /** The keys that are known now. Empty before the first call of a function. */
  readonly known: readonly SigningKey[];
  /**
   * Called when none of `known` matched a delivery that arrived at `arrivedAt`. Returns newer keys, or undefined if there
   * can be none. Throws or rejects with `secret_unavailable` while this is unknown. Times are of the clock's `now()`.
   * `hold` keeps the delivery's request, because others may wait for its call of the function.
   */
  refresh(arrivedAt: number, deadlineAt: number, hold?: Hold): undefined | Promise<readonly SigningKey[]>;
}

export function keyProvider(secret: Secret, clock: Clock = systemClock, keyOf = keyOfText): KeyProvider {
  if (typeof secret === 'function') return new RefreshingKeys(secret, clock, keyOf);
  return { known: signingKeys(secret, keyOf), refresh: () => undefined };
}

/** A call of the function. */
interface KeyCall {
  readonly work: SharedWork;
  /** How many deliveries wait for it. */
  waiting: number;
  keys: readonly SigningKey[];
  error: unknown;
}

/** Keys from a function. All deliveries share its last result and its running call. */
class RefreshingKeys implements KeyProvider {
  readonly #ask: () => SecretList | Promise<SecretList>;
  readonly #clock: Clock;
  readonly #keyOf: KeyOf;
  known: readonly SigningKey[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;
  #call: KeyCall | undefined;
  /** Failures in a row. Forgeries must not keep a throttling secret manager busy. */
  #failures = 0;
  #failedAt = 0;
  #failure: Error | undefined;

  constructor(ask: () => SecretList | Promise<SecretList>, clock: Clock, keyOf: KeyOf) {
    this.#clock = clock;
    this.#keyOf = keyOf;
    this.#ask = ask;
  }

  refresh(arrivedAt: number, deadlineAt: number, hold?: Hold): undefined | Promise<readonly SigningKey[]> {
    // Keys that we loaded after the delivery arrived are new enough for it.
    if (this.#askedAt >= arrivedAt) return undefined;
    if (this.#call === undefined && this.#clock.now() - this.#askedAt < refreshEveryMs) {
      throw new WebhookError(
        'secret_unavailable',
        'no secret matches, and it is too early to ask for newer ones: a rotated secret will be known in seconds',
        { retryAfterMs: this.#askedAt + refreshEveryMs - this.#clock.now() },
      );
    }
    const waitMs = this.#failedAt + this.#pauseMs - this.#clock.now();
    if (this.#call === undefined && waitMs > 0) throw failed(this.#failure, waitMs);
    return this.#fresh(deadlineAt, hold);
  }

  get #pauseMs(): number {
    return this.#failures === 0 ? 0 : exponential(this.#failures, firstPauseMs, refreshEveryMs);
  }

  async #fresh(deadlineAt: number, hold: Hold | undefined): Promise<readonly SigningKey[]> {
    this.#call ??= this.#newCall();
    const call = this.#call;
    try {
      call.waiting++;
      call.work.attend(hold);
      await within(deadlineAt - this.#clock.now(), call.work.over(), this.#clock);
      // Another request may have got them, while the one that failed was taken for ended.
      if (call.keys.length === 0) throw call.error;
      return call.keys;
    } catch (error) {
      if (this.#call === call) {
        this.#failures++;
        this.#failedAt = this.#clock.now();
        this.#failure = toError(error);
      }
      throw failed(error, this.#pauseMs);
    } finally {
      // After a failure it may be called again, even while this call hangs.
      if (this.#call === call) this.#call = undefined;
      if (--call.waiting === 0) call.work.cancel();
    }
  }

  #newCall(): KeyCall {
    const call: KeyCall = {
      work: new SharedWork(this.#clock, async () => {
        const startedAt = this.#clock.now();
        try {
          call.keys = signingKeys(await within(hangsAfterMs, this.#ask(), this.#clock), this.#keyOf);
          if (startedAt > this.#askedAt) {
            this.known = call.keys;
            this.#askedAt = startedAt;
            this.#failures = 0;
          }
        } catch (error) {
          call.error = toError(error);
        }
        call.work.schedule();
      }),
      waiting: 0,
      keys: [],
      error: undefined,
    };
    call.work.schedule(this.#clock.now());
    return call;
  }
}

async function within<T>(ms: number, work: T | Promise<T>, clock: Clock): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    const waitMs = Math.max(0, ms);
    timer = clock.unrefTimeout(() => reject(new Error(`it returned nothing within ${Math.round(waitMs)} ms`)), waitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clock.clear(timer);
  }
}

function failed(error: unknown, retryAfterMs: number): WebhookError {
  const message = `the function for the secret failed: ${toError(error).message}`;
  return new WebhookError('secret_unavailable', message, { cause: error, retryAfterMs });
}
