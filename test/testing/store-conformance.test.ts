import { AssertionError } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { type ClaimResult, type IdempotencyStore, memoryStore } from '../../src/index.js';
import { storeConformance } from '../../src/testing/index.js';
import { type Entry, ReferenceStore } from './reference-store.js';

const names = storeConformance(memoryStore).map(({ name }) => name);

describe('storeConformance', () => {
  describe('is passed by memoryStore', () => {
    const store = memoryStore();
    for (const { name, run } of storeConformance(() => store)) test(name, run);
  });

  describe('is passed by another store, with all cases at once', () => {
    const store = new ReferenceStore();
    for (const { name, run } of storeConformance(async () => store)) test.concurrent(name, run);
  });

  it('makes a store for either side of each case', async () => {
    let made = 0;
    const store = memoryStore();
    const [first] = storeConformance(() => {
      made++;
      return store;
    });
    await first?.run();
    expect(made).toBe(2);
  });

  it('gives each case a name of its own', () => {
    expect(new Set(names).size).toBe(names.length);
  });
});

/** Wrong in one way each, and which rules it breaks by that at least. */
const brokenStores: readonly (readonly [what: string, store: IdempotencyStore, rules: readonly string[]])[] = [
  [
    'compares no token',
    new (class extends ReferenceStore {
      protected override isHeldBy(entry: Entry | undefined): entry is Entry {
        return entry?.state === 'held';
      }
    })(),
    ['a token that never claimed an event changes nothing', 'a token that lost its lease to another changes nothing'],
  ],
  [
    'compares no token on release',
    new (class extends ReferenceStore {
      override async release(key: string, _token: string, ttlMs: number): Promise<boolean> {
        return super.release(key, this.entries.get(key)?.token ?? '', ttlMs);
      }
    })(),
    ['a token that lost its lease to another changes nothing'],
  ],
  [
    'lets who held an event before go on when it is over',
    new (class extends ReferenceStore {
      protected override isHeldBy(entry: Entry | undefined, token: string): entry is Entry {
        return entry?.token === token;
      }
    })(),
    [
      'a token that completed an event changes nothing afterwards',
      'a token that released an event changes nothing afterwards',
    ],
  ],
  [
    'renews, records and completes what nobody holds',
    new (class extends ReferenceStore {
      protected override change(key: string, token: string, to: (entry: Entry) => Entry): boolean {
        if (!this.entries.has(key)) this.hold(key, token, 60_000, []);
        return super.change(key, token, to);
      }
    })(),
    ['a token that never claimed an event changes nothing'],
  ],
  [
    'completes again what the next holder completed',
    new (class extends ReferenceStore {
      override async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
        const entry = this.entries.get(key);
        if (entry?.state === 'completed') entry.until = this.after(ttlMs);
        return super.complete(key, token, ttlMs);
      }
    })(),
    [
      'a token that completed an event changes nothing afterwards',
      'a token that lost its lease to another, who completed, changes nothing',
    ],
  ],
  [
    'looks, waits, and only then takes',
    new (class extends ReferenceStore {
      override async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
        const answer = this.look(key, token);
        await sleep(1);
        if (answer.state === 'acquired') this.hold(key, token, leaseMs, answer.delivered);
        return answer;
      }
    })(),
    [
      'of 64 claims at once one gets a new event',
      'of 64 claims at once one gets a released event',
      'of 64 claims at once one gets an event whose lease ran out',
      'a late holder and the next claim agree on which of them came first',
    ],
  ],
  [
    'looks again for a late holder, waits, and only then writes',
    new (class extends ReferenceStore {
      override async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
        const isHeld = this.isHeldBy(this.entries.get(key), token);
        await sleep(1);
        return isHeld && super.complete(key, this.entries.get(key)?.token ?? '', ttlMs);
      }
    })(),
    ['a late holder and the next claim agree on which of them came first'],
  ],
  [
    'forgets progress on release',
    new (class extends ReferenceStore {
      override async release(key: string, token: string): Promise<boolean> {
        return this.change(key, token, (entry) => ({ ...entry, state: 'released', delivered: [] }));
      }
    })(),
    ['progress outlives a release, each sink once', 'of 64 claims at once one gets a released event'],
  ],
  [
    'forgets progress when a lease runs out',
    new (class extends ReferenceStore {
      protected override look(key: string, token: string): ClaimResult {
        const answer = super.look(key, token);
        const isCrashed = this.entries.get(key)?.state === 'held';
        return answer.state === 'acquired' && isCrashed ? { state: 'acquired', delivered: [] } : answer;
      }
    })(),
    [
      'progress outlives holders who crash, whether they added to it or not',
      'of 64 claims at once one gets an event whose lease ran out',
    ],
  ],
  [
    'keeps only the last holder’s progress',
    new (class extends ReferenceStore {
      protected override hold(key: string, token: string, leaseMs: number): void {
        super.hold(key, token, leaseMs, []);
      }
    })(),
    [
      'progress outlives holders who crash, whether they added to it or not',
      'progress outlives a holder who releases without adding to it',
    ],
  ],
  [
    'frees what its holder is late with',
    new (class extends ReferenceStore {
      protected override isHeldBy(entry: Entry | undefined, token: string): entry is Entry {
        return super.isHeldBy(entry, token) && entry.until > this.now();
      }
    })(),
    ['a lease that ran out but was not taken is still its holder’s'],
  ],
  [
    'remembers for ever what is completed',
    new (class extends ReferenceStore {
      override async complete(key: string, token: string): Promise<boolean> {
        return super.complete(key, token, Number.POSITIVE_INFINITY);
      }
    })(),
    ['a completed event is forgotten after its time, with its progress'],
  ],
  [
    'remembers what is completed for the rest of the lease only',
    new (class extends ReferenceStore {
      override async complete(key: string, token: string): Promise<boolean> {
        return this.change(key, token, (entry) => ({ ...entry, state: 'completed' }));
      }
    })(),
    ['a completed event is remembered for its time, however short its lease was'],
  ],
  [
    'forgets by a timer, which knows no month',
    new (class extends ReferenceStore {
      protected override after(durationMs: number): number {
        return super.after(durationMs > 0x7f_ff_ff_ff ? 1 : durationMs);
      }
    })(),
    ['a completed event is remembered for its time, however short its lease was'],
  ],
  [
    'refuses the holder itself',
    new (class extends ReferenceStore {
      protected override look(key: string): ClaimResult {
        return super.look(key, '');
      }
    })(),
    ['a claim by the token that holds the event is granted again, with a new lease and what was delivered'],
  ],
  [
    'takes completed for released',
    new (class extends ReferenceStore {
      override async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
        return super.release(key, token, ttlMs);
      }
    })(),
    ['of two completions by the holder at once one counts at least', 'durations may be fractions'],
  ],
  [
    'keeps progress beyond the end of what is completed',
    new (class extends ReferenceStore {
      override async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
        const until = this.after(ttlMs);
        return this.change(key, token, (entry) => ({ ...entry, state: 'completed', until }));
      }
      protected override look(key: string, token: string): ClaimResult {
        const answer = super.look(key, token);
        return answer.state === 'acquired' ? { ...answer, delivered: this.entries.get(key)?.delivered ?? [] } : answer;
      }
    })(),
    [
      'a completed event is forgotten after its time, with its progress',
      'progress is forgotten after the time that the release gave it',
    ],
  ],
  [
    'keeps a released event from others for a while',
    new (class extends ReferenceStore {
      override async release(key: string, token: string, ttlMs: number): Promise<boolean> {
        const until = this.after(ttlMs);
        return this.change(key, token, (entry) => ({ ...entry, token: '', until }));
      }
    })(),
    ['an event released without progress is free at once', 'of 64 claims at once one gets a released event'],
  ],
  [
    'lets a claim end with what was before it',
    new (class extends ReferenceStore {
      protected override hold(key: string, token: string, leaseMs: number, delivered: readonly string[]): void {
        const before = this.entries.get(key);
        super.hold(key, token, leaseMs, delivered);
        const entry = this.entries.get(key);
        if (before?.state === 'released' && entry) entry.until = before.until;
      }
    })(),
    ['a claim outlives the time that the release before it gave'],
  ],
  [
    'never shortens a lease',
    new (class extends ReferenceStore {
      override async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
        const until = this.after(leaseMs);
        return this.change(key, token, (entry) => ({ ...entry, until: Math.max(until, entry.until) }));
      }
    })(),
    ['renew makes the lease run from now: shorter'],
  ],
  [
    'does not renew',
    new (class extends ReferenceStore {
      override async renew(key: string, token: string): Promise<boolean> {
        return this.isHeldBy(this.entries.get(key), token);
      }
    })(),
    ['renew makes the lease run from now: longer', 'a renewed lease outlives its first end'],
  ],
  [
    'takes keys for equal that differ in case',
    new (class extends ReferenceStore {
      protected override keyOf(key: string): string {
        return key.toLowerCase();
      }
    })(),
    ['keys are distinguished to the last character, whatever it is'],
  ],
  ...Object.entries<(key: string) => string>({
    'a space at the end': (key) => key.trimEnd(),
    'Unicode normalisation': (key) => key.normalize(),
    'what comes after 255 characters': (key) => key.slice(0, 255),
    'what is escaped': (key) => decodeURIComponent(key.replace(/%(?![0-9a-f])/g, '%25')),
  }).map(
    ([what, keyOf]) =>
      [
        `takes keys for equal that differ in ${what}`,
        Object.assign(new ReferenceStore(), { keyOf }),
        ['keys are distinguished to the last character, whatever it is'],
      ] as const,
  ),
  [
    'has no place for a key that all objects have',
    new (class extends ReferenceStore {
      override async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
        const answer = await super.claim(key, token, leaseMs);
        if (key === '__proto__') this.entries.delete(key);
        return answer;
      }
    })(),
    ['the key __proto__ is like any other'],
  ],
  ...Object.entries<(delivered: readonly string[], sink: string) => string[]>({
    'separated by commas': (delivered, sink) => [...delivered, sink].join().split(','),
    'as the properties of an object': (delivered, sink) => {
      const names: Record<string, true> = {};
      for (const name of [...delivered, sink]) names[name] = true;
      return Object.keys(names);
    },
    'once for each call': (delivered, sink) => [...delivered, sink],
  }).map(
    ([how, record]) =>
      [
        `keeps sinks ${how}`,
        Object.assign(new ReferenceStore(), { with: record }),
        ['sinks are distinguished to the last character, whatever it is'],
      ] as const,
  ),
  [
    'reads what was delivered, waits, and only then writes',
    new (class extends ReferenceStore {
      override async delivered(key: string, token: string, sink: string): Promise<boolean> {
        const delivered = this.entries.get(key)?.delivered ?? [];
        await sleep(1);
        return this.change(key, token, (entry) => ({ ...entry, delivered: this.with(delivered, sink) }));
      }
    })(),
    ['nothing is lost of what is recorded and renewed at once'],
  ],
  [
    'loses on renewal what is recorded meanwhile',
    new (class extends ReferenceStore {
      override async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
        const delivered = this.entries.get(key)?.delivered ?? [];
        await sleep(1);
        return this.change(key, token, (entry) => ({ ...entry, until: this.after(leaseMs), delivered }));
      }
    })(),
    ['nothing is lost of what is recorded and renewed at once'],
  ],
  ...Object.entries<(leftMs: number) => object>({
    'that says nothing of the time left': () => ({ state: 'in_flight' }),
    'that says it in text': (leftMs) => ({ state: 'in_flight', retryAfterMs: String(leftMs) }),
    'that says it in seconds': (leftMs) => ({ state: 'in_flight', retryAfterMs: leftMs / 1000 }),
    'that says when instead': (leftMs) => ({ state: 'in_flight', retryAfterMs: Date.now() + leftMs }),
    'that says more': (retryAfterMs) => ({ state: 'in_flight', retryAfterMs, holder: 'a' }),
  }).map(
    ([how, refusal]) =>
      [
        `refuses with an answer ${how}`,
        new (class extends ReferenceStore {
          protected override look(key: string, token: string): ClaimResult {
            const answer = super.look(key, token);
            return answer.state === 'in_flight' ? (refusal(answer.retryAfterMs) as ClaimResult) : answer;
          }
        })(),
        ['a claim excludes others while its lease lasts, and they get the rest of it as retryAfterMs'],
      ] as const,
  ),
  [
    'answers 1 for true',
    new (class extends ReferenceStore {
      override async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
        return Number(await super.complete(key, token, ttlMs)) as unknown as boolean;
      }
    })(),
    ['of two completions by the holder at once one counts at least'],
  ],
  [
    'takes whole milliseconds only',
    new (class extends ReferenceStore {
      protected override after(durationMs: number): number {
        if (!Number.isInteger(durationMs)) throw new RangeError('invalid input syntax for type integer');
        return super.after(durationMs);
      }
    })(),
    ['durations may be fractions'],
  ],
];

describe('storeConformance of a store that', () => {
  /** Of each store, the rules that it breaks, and how. */
  const broken = new Map<string, Map<string, Error>>();

  beforeAll(async () => {
    const runs = brokenStores.flatMap(([what, store]) => {
      const errors = new Map<string, Error>();
      broken.set(what, errors);
      return storeConformance(() => store).map(({ name, run }) => run().catch((error) => errors.set(name, error)));
    });
    await Promise.all(runs);
  });

  it.each(brokenStores)('%s, finds that out', (what, _store, rules) => {
    const errors = broken.get(what) as Map<string, Error>;
    expect([...errors.keys()]).toEqual(expect.arrayContaining([...rules]));
    expect(errors.size, 'rules broken by one mistake').toBeLessThan((names.length * 2) / 3);
    for (const [name, error] of errors) {
      expect(error).toBeInstanceOf(AssertionError);
      expect(error.message).toContain(`breaks the rule "${name}"`);
    }
  });

  it('nothing in it is only for show: each rule is broken by one at least', () => {
    const found = new Set([...broken.values()].flatMap((errors) => [...errors.keys()]));
    expect(names.filter((name) => !found.has(name))).toEqual([]);
  });
});
