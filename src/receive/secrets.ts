import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { toError, WebhookError } from '../contracts/errors.js';
import { exponential } from '../util/backoff.js';
import { type Clock, systemClock, type Timer } from '../util/clock.js';

/** One signing secret, several during a rotation, or several with labels. */
export type SecretList = string | readonly string[] | Readonly<Record<string, string>>;

/** Signing secrets, or a function that returns them. It is called again when no secret matches. */
export type Secret = SecretList | (() => SecretList | Promise<SecretList>);

export interface SigningKey {
  readonly label?: string;
  /** The secret, ready for `createHmac`, which is faster with it than with a string. */
  readonly key: KeyObject;
  /** SHA-256 of the secret, for tokens. */
  readonly hash: Buffer;
}

/** Minimum time between two calls of the secret function. */
const refreshEveryMs = 10_000;
/** How long we wait after the function's first failure. */
const firstPauseMs = 1_000;

/** Throws a `TypeError` for an empty list or an invalid secret. */
export function signingKeys(secrets: SecretList): readonly SigningKey[] {
  if (typeof secrets === 'string') return [signingKey(secrets)];
  if (Array.isArray(secrets)) return notEmpty(secrets.map((secret) => signingKey(secret)));
  if (typeof secrets === 'object' && secrets !== null) {
    return notEmpty(Object.entries(secrets).map(([label, secret]) => signingKey(secret, label)));
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

function signingKey(secret: unknown, label?: string): SigningKey {
  const which = label === undefined ? 'the secret' : `the secret of "${label}"`;
  if (typeof secret !== 'string')
    throw new TypeError(`${which} is not a string: is the environment variable set?${atRunTime}`);
  if (secret === '') throw new TypeError(`${which} is empty: anybody could sign with it`);
  if (secret !== secret.trim()) {
    throw new TypeError(`${which} has white space at an end, a newline from a file perhaps: trim it`);
  }
  const key = createSecretKey(Buffer.from(secret));
  return { label, key, hash: createHash('sha256').update(secret).digest() };
}

/** The source of the keys that a delivery is checked with. */
export interface KeyProvider {
  /** The keys that are known now. Empty before the first call of a function. */
  readonly known: readonly SigningKey[];
  /**
   * Called when none of `known` matched a delivery that arrived at `arrivedAt`. Returns newer keys, or undefined if there
   * can be none. Throws or rejects with `secret_unavailable` while this is unknown. Times are of the clock's `now()`.
   */
  refresh(arrivedAt: number, deadlineAt: number): undefined | Promise<readonly SigningKey[]>;
}

export function keyProvider(secret: Secret, clock: Clock = systemClock): KeyProvider {
  if (typeof secret === 'function') return new RefreshingKeys(secret, clock);
  return { known: signingKeys(secret), refresh: () => undefined };
}

/** Keys from a function. All deliveries share its last result and its running call. */
class RefreshingKeys implements KeyProvider {
  readonly #ask: () => SecretList | Promise<SecretList>;
  readonly #clock: Clock;
  known: readonly SigningKey[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;
  #call: Promise<readonly SigningKey[]> | undefined;
  /** Failures in a row. Forgeries must not keep a throttling secret manager busy. */
  #failures = 0;
  #failedAt = 0;
  #failure: Error | undefined;

  constructor(ask: () => SecretList | Promise<SecretList>, clock: Clock) {
    this.#clock = clock;
    this.#ask = ask;
  }

  refresh(arrivedAt: number, deadlineAt: number): undefined | Promise<readonly SigningKey[]> {
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
    return this.#fresh(deadlineAt);
  }

  get #pauseMs(): number {
    return this.#failures === 0 ? 0 : exponential(this.#failures, firstPauseMs, refreshEveryMs);
  }

  async #fresh(deadlineAt: number): Promise<readonly SigningKey[]> {
    this.#call ??= this.#start();
    const call = this.#call;
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      const ms = Math.max(0, deadlineAt - this.#clock.now());
      timer = this.#clock.unrefTimeout(() => reject(new Error(`it returned nothing within ${Math.round(ms)} ms`)), ms);
    });
    try {
      return await Promise.race([call, late]);
    } catch (error) {
      if (this.#call === call) {
        this.#failures++;
        this.#failedAt = this.#clock.now();
        this.#failure = toError(error);
      }
      throw failed(error, this.#pauseMs);
    } finally {
      this.#clock.clear(timer);
      // After a failure it may be called again, even while this call hangs.
      if (this.#call === call) this.#call = undefined;
    }
  }

  #start(): Promise<readonly SigningKey[]> {
    const startedAt = this.#clock.now();
    const ask = async () => {
      const keys = signingKeys(await this.#ask());
      if (startedAt > this.#askedAt) {
        this.known = keys;
        this.#askedAt = startedAt;
        this.#failures = 0;
      }
      return keys;
    };
    return ask();
  }
}

function failed(error: unknown, retryAfterMs: number): WebhookError {
  const message = `the function for the secret failed: ${toError(error).message}`;
  return new WebhookError('secret_unavailable', message, { cause: error, retryAfterMs });
}
