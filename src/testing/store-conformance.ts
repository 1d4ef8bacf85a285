import type { IdempotencyStore } from '../contracts/store.js';
import {
  apart,
  atOnce,
  Contest,
  completesTwice,
  hour,
  keysAreToldApart,
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

/** A rule that a store must keep. */
export interface ConformanceCase {
  /** The rule: unique in the suite. */
  readonly name: string;
  /** Rejects when the store breaks the rule, with an error that tells what was asked and what it answered. */
  run(): Promise<void>;
}

/**
 * What an `IdempotencyStore` must do, as cases for any test runner.
 *
 * `makeStore` is called twice for each case, since what one holder does must hold for another: give two instances
 * over the same data, in two processes if need be, or the same instance again if the store lives in one process.
 * The keys are new in each run, so that cases may run at the same time and share a database. No case depends on how
 * fast the machine is; one that waits in vain gives up after 2 seconds. What `makeStore` opens is yours to close.
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

/** Who wants the event, by turns at the one store and at the other. */
const [a, b, c, d] = [party('a', 0), party('b', 1), party('c', 0), party('d', 1)];
/** The same holder as `a`, at the other store. */
const alsoA = party('a', 1);

const sinks = Array.from({ length: 24 }, (_, i) => `sink ${i}`);

const rules: Readonly<Record<string, readonly Step[]>> = {
  'a claim excludes others while its lease lasts, and they are told what is left of it': [
    a.claims([], hour),
    b.isRefused(hour, minute),
    c.isRefused(hour, minute),
  ],
  'of 64 claims at once one gets a new event': [race([])],
  'of 64 claims at once one gets a released event': [a.claims(), a.tells('slack'), a.releases(), race(['slack'])],
  'of 64 claims at once one gets an event whose lease ran out': [
    a.claims([], short),
    a.tells('slack'),
    leasesEnd,
    race(['slack']),
  ],
  'a claim by the token that holds the event is granted again, with a new lease and what was delivered': [
    a.claims([], minute),
    alsoA.claims([], hour),
    b.isRefused(hour, minute),
    a.tells('slack'),
    a.claims(['slack'], minute),
    b.isRefused(),
    alsoA.tells('audit'),
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
    a.tells('slack'),
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
      [a.claims([], short), leasesEnd, a.tells('slack'), a.releases(), b.claims(['slack'])],
      [a.claims([], short), leasesEnd, a.completes(), b.findsItCompleted()],
      [a.claims([], short), leasesEnd, a.releases(), b.claims()],
    ),
  ],
  'a late holder and the next claim agree on which of them came first': [
    apart(...Array.from({ length: 24 }, (_, i) => [a.claims([], short), leasesEnd, settlesAsAnotherClaims(i)])),
  ],

  'who never held an event changes nothing': [
    apart(
      ...settlers.map((settler) => [a.cannot(settler), b.claims(), leasesEnd, c.isRefused()]),
      ...settlers.map((settler) => [
        a.claims(),
        a.tells('slack'),
        b.cannot(settler),
        leasesEnd,
        c.isRefused(),
        a.releases(),
        c.claims(['slack']),
      ]),
    ),
  ],
  'who lost an event to another changes nothing': [
    apart(
      ...settlers.map((settler) => [
        a.claims([], short),
        a.tells('slack'),
        b.takesOver(['slack']),
        b.tells('audit'),
        a.cannot(settler),
        leasesEnd,
        c.isRefused(),
        b.releases(),
        c.claims(['slack', 'audit']),
      ]),
    ),
  ],
  'who lost an event that another completed changes nothing': [
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
  'who completed an event changes nothing any more': [
    apart(
      ...settlers.map((settler) => [a.claims(), a.completes(), a.cannot(settler), leasesEnd, b.findsItCompleted()]),
    ),
  ],
  'who released an event changes nothing any more': [
    apart(
      ...settlers.map((settler) => [a.claims(), a.releases(), a.cannot(settler), b.claims()]),
      ...settlers.map((settler) => [
        a.claims(),
        a.tells('slack'),
        a.releases(),
        a.cannot(settler),
        leasesEnd,
        b.claims(['slack']),
      ]),
    ),
  ],

  'a completed event is remembered for its time, however short its lease was': [
    a.claims([], short),
    a.tells('slack'),
    a.completes(month),
    leasesEnd,
    b.findsItCompleted(),
    c.findsItCompleted(),
  ],
  'a completed event is forgotten after its time, with its progress': [
    a.claims(),
    a.tells('slack'),
    a.completes(short),
    b.takesOver([]),
    b.tells('audit'),
    b.releases(),
    c.claims(['audit']),
  ],
  'of two completions by the holder at once one counts at least': [a.claims(), completesTwice, b.findsItCompleted()],

  'an event released without progress is free at once': [a.claims(), a.releases(), b.claims(), c.isRefused()],
  'progress outlives a release, each sink once': [
    a.claims([], short),
    a.tells('slack', 'audit', 'slack'),
    a.releases(month),
    leasesEnd,
    b.claims(['slack', 'audit']),
    b.tells('audit', 'mail'),
    b.releases(),
    c.claims(['slack', 'audit', 'mail']),
  ],
  'progress outlives a holder who releases without adding to it': [
    a.claims(),
    a.tells('slack'),
    a.releases(),
    b.claims(['slack']),
    b.releases(),
    c.claims(['slack']),
  ],
  'progress outlives holders who crash, whether they added to it or not': [
    a.claims([], short),
    a.tells('slack'),
    b.takesOver(['slack'], short),
    c.takesOver(['slack']),
    c.tells('audit'),
    c.renews(short),
    d.takesOver(['slack', 'audit']),
  ],
  'progress is forgotten after the time that the release gave it': [
    a.claims(),
    a.tells('slack'),
    a.releases(short),
    leasesEnd,
    b.claims([]),
  ],
  'a claim outlives the time that the release before it gave': [
    a.claims(),
    a.tells('slack'),
    a.releases(short),
    b.takesOver('anything'),
    leasesEnd,
    c.isRefused(),
    b.completes(),
  ],
  'nothing is lost of what is recorded and renewed at once': [
    a.claims(),
    atOnce(...sinks.flatMap((sink, i) => [a.renews(), (i % 2 === 0 ? a : alsoA).tells(sink)])),
    a.releases(),
    b.claims(sinks),
  ],

  'keys are told apart to the last character, whatever it is': [keysAreToldApart],
  // No new key, so that other runs may be at it.
  'the key __proto__ is like any other': [
    onKey('__proto__', [a.takesOver('anything'), a.tells('slack'), a.releases(), b.takesOver(['slack']), b.releases()]),
  ],
  'sinks are told apart to the last character, whatever it is': [
    a.claims(),
    a.tells(...oddNames),
    atOnce(...oddNames.map((sink) => a.tells(sink))),
    a.releases(),
    b.claims(oddNames),
    b.releases(),
    c.claims(oddNames),
  ],
};
