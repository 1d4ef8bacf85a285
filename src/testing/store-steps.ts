import { AssertionError } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect, isDeepStrictEqual } from 'node:util';
import type { IdempotencyStore } from '../contracts/store.js';

// A lease that must last is long enough for the slowest machine. A lease that must end is waited for.
export const short = 50;
export const minute = 60_000;
export const hour = 60 * minute;
/** More milliseconds than a timer or 32 bits can hold. */
export const month = 31 * 24 * hour;
const patience = 2_000;

type Side = 0 | 1;
type Stores = readonly [IdempotencyStore, IdempotencyStore];

/** One or more calls for an event, and the answers that the store must give. */
export type Step = (contest: Contest) => Promise<unknown>;

/** An event that several tokens claim, with a log of the calls. */
export class Contest {
  readonly #rule: string;
  readonly #stores: Stores;
  readonly #key: string;
  readonly #id = randomUUID();
  readonly #log: string[] = [];

  constructor(rule: string, stores: Stores, key: string = randomUUID()) {
    this.#rule = rule;
    this.#stores = stores;
    this.#key = key;
  }

  another(key?: string): Contest {
    return new Contest(this.#rule, this.#stores, key);
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await step(this);
  }

  /** Calls the store at that side with the token of `who`. */
  async ask(who: string, side: Side, operation: keyof IdempotencyStore, argument: number | string): Promise<unknown> {
    const call = `${who}.${operation}(${inspect(argument)})`;
    try {
      const answer = await this.#stores[side][operation](this.#key, `${who}-${this.#id}`, argument as never);
      this.#record(call, inspect(answer));
      return answer;
    } catch (error) {
      this.#record(call, `threw ${error}`);
      throw Object.assign(this.#broken(`${call} was not answered`), { cause: error });
    }
  }

  expect(answer: unknown, { wanted, fits }: Expectation): void {
    if (!fits(answer)) throw this.#broken(`it answered ${inspect(answer)} and not ${wanted}`);
  }

  /** A repeated call is logged once, with the last answer. */
  #record(call: string, answer: string): void {
    if (this.#log.at(-1)?.startsWith(`${call}: `)) this.#log.pop();
    this.#log.push(`${call}: ${answer}`);
  }

  #broken(how: string): AssertionError {
    const log = this.#log.slice(-20).map((line) => `\n  ${line}`);
    return new AssertionError({
      message: `the store breaks the rule "${this.#rule}": ${how}. Calls for the key ${inspect(this.#key)}:${log.join('')}`,
    });
  }
}

interface Expectation {
  readonly wanted: string;
  fits(answer: unknown): boolean;
}

const exactly = (value: unknown): Expectation => ({
  wanted: inspect(value),
  fits: (answer) => isDeepStrictEqual(sorted(answer), value),
});
const acquired = (delivered: readonly string[]) => exactly(sorted({ state: 'acquired', delivered }));
const completed = exactly({ state: 'completed' });
const inFlight = (atMost: number, moreThan = 0): Expectation => ({
  wanted: `{ state: 'in_flight', retryAfterMs: more than ${moreThan} and at most ${atMost} }`,
  fits(answer) {
    const { retryAfterMs } = (answer ?? {}) as { retryAfterMs?: unknown };
    if (typeof retryAfterMs !== 'number' || !exactly({ state: 'in_flight', retryAfterMs }).fits(answer)) return false;
    return retryAfterMs > moreThan && retryAfterMs <= Math.ceil(atMost);
  },
});

const either = (one: Expectation, other: Expectation): Expectation => ({
  wanted: `${one.wanted} or ${other.wanted}`,
  fits: (answer) => one.fits(answer) || other.fits(answer),
});

/** Sorts the sinks and drops the answer's class, because both are free. */
function sorted(answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null) return answer;
  const { delivered } = answer as { delivered?: unknown };
  return Array.isArray(delivered) ? { ...answer, delivered: delivered.toSorted() } : { ...answer };
}

const isAcquired = (answer: unknown) => (answer as { state?: unknown } | undefined)?.state === 'acquired';

/** A claimant with its own token. */
export function party(who: string, side: Side) {
  const asks =
    (operation: keyof IdempotencyStore, argument: number | string, expected: Expectation): Step =>
    async (contest) =>
      contest.expect(await contest.ask(who, side, operation, argument), expected);
  return {
    claims: (delivered: readonly string[] = [], leaseMs = minute) => asks('claim', leaseMs, acquired(delivered)),
    isRefused: (atMost = minute, moreThan = 0) => asks('claim', minute, inFlight(atMost, moreThan)),
    findsItCompleted: () => asks('claim', minute, completed),
    /** Claims until it succeeds. An attempt that begins after `patience` must succeed, even on a slow machine. */
    takesOver:
      (delivered: readonly string[] | 'anything' = [], leaseMs = minute): Step =>
      async (contest) => {
        for (const start = performance.now(); ; await sleep(10)) {
          const isLast = performance.now() - start > patience;
          const answer = await contest.ask(who, side, 'claim', leaseMs);
          if (!isAcquired(answer) && !isLast) continue;
          const expected = acquired(delivered === 'anything' ? [] : delivered);
          if (!isAcquired(answer))
            contest.expect(answer, { ...expected, wanted: `${expected.wanted} within ${patience} ms` });
          else if (delivered !== 'anything') contest.expect(answer, expected);
          return;
        }
      },
    renews: (leaseMs = minute) => asks('renew', leaseMs, exactly(true)),
    delivers:
      (...sinks: readonly string[]): Step =>
      (contest) =>
        contest.play(sinks.map((sink) => asks('delivered', sink, exactly(true)))),
    completes: (ttlMs = hour) => asks('complete', ttlMs, exactly(true)),
    releases: (ttlMs = hour) => asks('release', ttlMs, exactly(true)),
    cannot: (settler: (typeof settlers)[number]) =>
      asks(settler, settler === 'delivered' ? 'mail' : short, exactly(false)),
  };
}

export const settlers = ['renew', 'delivered', 'complete', 'release'] as const;

/** Plays each story on its own event, all at once. */
export function apart(...stories: readonly (readonly Step[])[]): Step {
  return (contest) => Promise.all(stories.map((steps) => contest.another().play(steps)));
}

export function atOnce(...steps: readonly Step[]): Step {
  return (contest) => Promise.all(steps.map((step) => step(contest)));
}

/** Plays the story on the event of that key, which the store may know already. */
export function onKey(key: string, steps: readonly Step[]): Step {
  return (contest) => contest.another(key).play(steps);
}

/** Waits, by the store's own clock, until all `short` leases from before have ended. 20 ms allow for rounding. */
export const leasesEnd: Step = apart([party('first', 0).claims([], short + 20), party('second', 1).takesOver()]);

/** 64 claims at once. Exactly one must get the event, with the delivered sinks. */
export function race(delivered: readonly string[]): Step {
  return async (contest) => {
    const claims = Array.from({ length: 64 }, (_, i) => contest.ask(`racer ${i}`, (i % 2) as Side, 'claim', minute));
    const answers = await Promise.all(claims);
    const winners = answers.filter(isAcquired);
    contest.expect({ winners: winners.length }, exactly({ winners: 1 }));
    for (const answer of answers) contest.expect(answer, isAcquired(answer) ? acquired(delivered) : inFlight(minute));
  };
}

/**
 * `a` settles the event while `b` claims it. The store may run either call first, but both must not succeed as if they
 * were first. `b` may always get `in_flight` while `a` holds the lease.
 */
export function settlesAsAnotherClaims(turn: number): Step {
  const settlements = [
    { operation: 'renew', argument: minute, outcome: inFlight(minute) },
    { operation: 'delivered', argument: 'slack', outcome: acquired(['slack']) },
    { operation: 'complete', argument: minute, outcome: completed },
  ] as const;
  return async (contest) => {
    const { operation, argument, outcome } = settlements[turn % 3] as (typeof settlements)[number];
    const settle = () => contest.ask('a', 0, operation, argument);
    const claim = () => contest.ask('b', 1, 'claim', minute);
    const isClaimFirst = turn % 2 === 0;
    const answers = await Promise.all(isClaimFirst ? [claim(), settle()] : [settle(), claim()]);
    const [claimed, isSettled] = isClaimFirst ? answers : answers.reverse();
    contest.expect(isSettled, exactly(isSettled === true));
    contest.expect(claimed, isSettled ? either(outcome, inFlight(minute)) : acquired([]));
  };
}

export const completesTwice: Step = async (contest) => {
  const answers = await Promise.all([0, 1].map((side) => contest.ask('a', side as Side, 'complete', hour)));
  if (!answers.includes(true)) contest.expect(answers, { wanted: 'true at least once', fits: () => false });
};

// Names that some databases treat as equal, or that encodings, patterns and quotes can change.
export const oddNames: readonly string[] = [
  ...[
    'k',
    'K',
    'k ',
    ' k',
    'kk',
    '\u00e9',
    'e\u0301',
    'e',
    '\u00df',
    'ss',
    '\ufb01',
    'fi',
    '\u03a9',
    '\u2126',
    '名',
    '🚀',
    '🚁',
  ],
  ...[
    "'",
    "''",
    '"',
    '`',
    '\\',
    '\\\\',
    '[]',
    '{}',
    '["k"]',
    ',',
    'k,K',
    ':',
    '::',
    '/',
    '../',
    '%',
    '%25',
    '_',
    '*',
    '?',
  ],
  ...['#', '$1', '&', '+', '--', ';', '0', '00', '1', '1.0', 'null', 'true', 'undefined', '__proto__', 'constructor'],
  ...['1', '2'].map((end) => end.padStart(255, 'x')),
];

/** The deliveries that were recorded for a key must be returned for that key only. */
export const keysAreDistinct: Step = async (contest) => {
  const id = randomUUID();
  const long = ['1', '2'].map((end) => id + end.padStart(1_000, 'x'));
  const keys = [...oddNames.map((name) => id + name), id, ` ${id}`, `__proto__${id}`, ...long];
  const contests = keys.map((key) => contest.another(key));
  const [a, b] = [party('a', 0), party('b', 1)];
  await Promise.all(contests.map((each) => each.play([a.claims()])));
  const story = (sink: string) => [a.delivers(sink), a.releases(), b.claims([sink]), b.completes()];
  await Promise.all(contests.map((each, i) => each.play(story(`sink ${i}`))));
};
