import type { IdempotencyStore } from '../contracts/store.js';
import {
  apart,
  atOnce,
  Contest,
  completesTwice,
  hour,
  keysAreDistinct,
  leasesEnd,
  minute,
  month,
  oddNames,
  onKey,
  party,
  race,
  type Step,
  settlers,
  settlesAsAnotherClaims,
  short,
} from './store-steps.js';

/** A rule that a store must follow. */
export interface ConformanceCase {
  /** The rule. Unique in the suite. */
  readonly name: string;
  /** Rejects if the store breaks the rule. The error lists the calls and the store's answers. */
  run(): Promise<void>;
}

/**
 * The rules of an `IdempotencyStore`, as cases for any test runner.
 *
 * `makeStore` is called twice for each case, because the claims of one instance must be visible to the other. Return
 * two instances over the same data, in two processes if necessary. If the store lives in one process, return the same
 * instance twice. Keys are new in each run, so that cases can run in parallel and share a database. No case depends on
 * the speed of the machine. A case that waits for an expiry fails after 2 seconds. You must close
 * what `makeStore` opens.
 *
 * @example
 * import { storeConformance } from 'vast-webhook/testing';
 * import { describe, test } from 'vitest'; // or 'node:test'
 *
 * describe('my store', () => {
 *   for (const { name, run } of storeConformance(() => myStore(database))) test(name, run);
 * });
 */
export function storeConformance(makeStore: () => IdempotencyStore | PromiseLike<IdempotencyStore>): ConformanceCase[] {
  return Object.entries(rules).map(([name, steps]) => ({
    name,
    async run() {
      await new Contest(name, [await makeStore(), await makeStore()]).play(steps);
    },
  }));
}

/** Claimants of the event, alternately at one store and at the other. */
const [a, b, c, d] = [party('a', 0), party('b', 1), party('c', 0), party('d', 1)];
/** The same holder as `a`, at the other store. */
const alsoA = party('a', 1);

const sinks = Array.from({ length: 24 }, (_, i) => `sink ${i}`);

const rules: Readonly<Record<string, readonly Step[]>> = {
  'a claim excludes others while its lease lasts, and they get the rest of it as retryAfterMs': [
    a.claims([], hour),
    b.isRefused(hour, minute),
    c.isRefused(hour, minute),
  ],
  'of 64 claims at once one gets a new event': [race([])],
  'of 64 claims at once one gets a released event': [a.claims(), a.delivers('slack'), a.releases(), race(['slack'])],
  'of 64 claims at once one gets an event whose lease ran out': [
    a.claims([], short),
    a.delivers('slack'),
    leasesEnd,
    race(['slack']),
  ],
  'a claim by the token that holds the event is granted again, with a new lease and what was delivered': [
    a.claims([], minute),
    alsoA.claims([], hour),
    b.isRefused(hour, minute),
    a.delivers('slack'),
    a.claims(['slack'], minute),
    b.isRefused(),
    alsoA.delivers('audit'),
    a.releases(),
    b.claims(['slack', 'audit']),
    a.isRefused(),
    b.completes(),
    b.findsItCompleted(),
  ],
  'durations may be fractions': [
    a.claims([], (10 * minute) / 7),
    b.isRefused((10 * minute) / 7),
    a.renews((10 * hour) / 7),
    b.isRefused((10 * hour) / 7, hour),
    a.delivers('slack'),
    a.releases((10 * minute) / 7),
    b.claims(['slack']),
    b.completes((10 * minute) / 7),
    c.findsItCompleted(),
  ],

  'renew makes the lease run from now: longer': [a.claims(), a.renews(hour), b.isRefused(hour, minute)],
  'renew makes the lease run from now: shorter': [a.claims(), a.renews(short), b.takesOver()],
  'a renewed lease outlives its first end': [a.claims([], short), a.renews(), leasesEnd, b.isRefused()],
  'a lease that ran out but was not taken is still its holder’s': [
    apart(
      [a.claims([], short), leasesEnd, a.renews(), b.isRefused()],
      [a.claims([], short), leasesEnd, a.delivers('slack'), a.releases(), b.claims(['slack'])],
      [a.claims([], short), leasesEnd, a.completes(), b.findsItCompleted()],
      [a.claims([], short), leasesEnd, a.releases(), b.claims()],
    ),
  ],
  'a late holder and the next claim agree on which of them came first': [
    apart(...Array.from({ length: 24 }, (_, i) => [a.claims([], short), leasesEnd, settlesAsAnotherClaims(i)])),
  ],

  'a token that never claimed an event changes nothing': [
    apart(
      ...settlers.map((settler) => [a.cannot(settler), b.claims(), leasesEnd, c.isRefused()]),
      ...settlers.map((settler) => [
        a.claims(),
        a.delivers('slack'),
        b.cannot(settler),
        leasesEnd,
        c.isRefused(),
        a.releases(),
        c.claims(['slack']),
      ]),
    ),
  ],
  'a token that lost its lease to another changes nothing': [
    apart(
      ...settlers.map((settler) => [
        a.claims([], short),
        a.delivers('slack'),
        b.takesOver(['slack']),
        b.delivers('audit'),
        a.cannot(settler),
        leasesEnd,
        c.isRefused(),
        b.releases(),
        c.claims(['slack', 'audit']),
      ]),
    ),
  ],
  'a token that lost its lease to another, who completed, changes nothing': [
    apart(
      ...settlers.map((settler) => [
        a.claims([], short),
        b.takesOver(),
        b.completes(),
        a.cannot(settler),
        leasesEnd,
        c.findsItCompleted(),
      ]),
    ),
  ],
  'a token that completed an event changes nothing afterwards': [
    apart(
      ...settlers.map((settler) => [a.claims(), a.completes(), a.cannot(settler), leasesEnd, b.findsItCompleted()]),
    ),
  ],
  'a token that released an event changes nothing afterwards': [
    apart(
      ...settlers.map((settler) => [a.claims(), a.releases(), a.cannot(settler), b.claims()]),
      ...settlers.map((settler) => [
        a.claims(),
        a.delivers('slack'),
        a.releases(),
        a.cannot(settler),
        leasesEnd,
        b.claims(['slack']),
      ]),
    ),
  ],

  'a completed event is remembered for its time, however short its lease was': [
    a.claims([], short),
    a.delivers('slack'),
    a.completes(month),
    leasesEnd,
    b.findsItCompleted(),
    c.findsItCompleted(),
  ],
  'a completed event is forgotten after its time, with its progress': [
    a.claims(),
    a.delivers('slack'),
    a.completes(short),
    b.takesOver([]),
    b.delivers('audit'),
    b.releases(),
    c.claims(['audit']),
  ],
  'of two completions by the holder at once one counts at least': [a.claims(), completesTwice, b.findsItCompleted()],

  'an event released without progress is free at once': [a.claims(), a.releases(), b.claims(), c.isRefused()],
  'progress outlives a release, each sink once': [
    a.claims([], short),
    a.delivers('slack', 'audit', 'slack'),
    a.releases(month),
    leasesEnd,
    b.claims(['slack', 'audit']),
    b.delivers('audit', 'mail'),
    b.releases(),
    c.claims(['slack', 'audit', 'mail']),
  ],
  'progress outlives a holder who releases without adding to it': [
    a.claims(),
    a.delivers('slack'),
    a.releases(),
    b.claims(['slack']),
    b.releases(),
    c.claims(['slack']),
  ],
  'progress outlives holders who crash, whether they added to it or not': [
    a.claims([], short),
    a.delivers('slack'),
    b.takesOver(['slack'], short),
    c.takesOver(['slack']),
    c.delivers('audit'),
    c.renews(short),
    d.takesOver(['slack', 'audit']),
  ],
  'progress is forgotten after the time that the release gave it': [
    a.claims(),
    a.delivers('slack'),
    a.releases(short),
    leasesEnd,
    b.claims([]),
  ],
  'a claim outlives the time that the release before it gave': [
    a.claims(),
    a.delivers('slack'),
    a.releases(short),
    b.takesOver('anything'),
    leasesEnd,
    c.isRefused(),
    b.completes(),
  ],
  'nothing is lost of what is recorded and renewed at once': [
    a.claims(),
    atOnce(...sinks.flatMap((sink, i) => [a.renews(), (i % 2 === 0 ? a : alsoA).delivers(sink)])),
    a.releases(),
    b.claims(sinks),
  ],

  'keys are distinguished to the last character, whatever it is': [keysAreDistinct],
  // Not a new key, so other runs may use it at the same time.
  'the key __proto__ is like any other': [
    onKey('__proto__', [
      a.takesOver('anything'),
      a.delivers('slack'),
      a.releases(),
      b.takesOver(['slack']),
      b.releases(),
    ]),
  ],
  'sinks are distinguished to the last character, whatever it is': [
    a.claims(),
    a.delivers(...oddNames),
    atOnce(...oddNames.map((sink) => a.delivers(sink))),
    a.releases(),
    b.claims(oddNames),
    b.releases(),
    c.claims(oddNames),
  ],
};
