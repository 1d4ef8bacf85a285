import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { CompletedKeys } from '../../../src/stores/memory/completed-keys.js';
import { hashOf } from '../../../src/util/key-map.js';

/** The expected behaviour, in the simplest code. */
class Model {
  readonly #max: number;
  #kept: { key: string; until: number }[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  has(key: string, now: number): boolean {
    const found = this.#kept.find((entry) => entry.key === key && entry.until > 0);
    if (found === undefined) return false;
    if (found.until > now) return true;
    // It keeps its turn to go.
    found.until = 0;
    return false;
  }

  add(key: string, until: number): void {
    this.#kept = [...this.#kept, { key, until }].slice(-this.#max);
  }
}

/** Few and similar keys, so that they collide. Some are the bytes of others, and some would be lost in UTF-8. */
const keys = fc.oneof(
  fc.constantFrom('', 'a', 'b', '\u0161', 'a\u0001', '\u0161a', '\ud800', '\udfff', '\ufffd', '\u00ff\u00ff', '\uffff'),
  fc.nat(40).map((n) => `receiver:vast:${n}`),
  // Long enough for the text to go round and to grow, and such as fill it to the last byte.
  fc.tuple(fc.nat(30), fc.constantFrom(48, 96, 144)).map(([n, bytes]) => `${n}`.padEnd(bytes, '.')),
  fc.string({ unit: 'binary', maxLength: 4 }),
);

describe('the keys of completed events', () => {
  it('are known as a plain list of the last of them knows them, whatever is added, asked and over', () => {
    const steps = fc.array(fc.tuple(keys, fc.nat(30)), { maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), steps, (max, room, list) => {
        const kept = new CompletedKeys(max, room);
        const model = new Model(max);
        list.forEach(([key, ttl], now) => {
          const known = kept.has(key, hashOf(key), now);
          expect(known).toBe(model.has(key, now));
          if (known) return;
          kept.add(key, hashOf(key), now + ttl + 1);
          model.add(key, now + ttl + 1);
        });
        for (const [key] of list) expect(kept.has(key, hashOf(key), list.length)).toBe(model.has(key, list.length));
      }),
      { numRuns: 150 },
    );
  });

  it('are known while the rings grow and wrap around, and while others expire', () => {
    const max = 2_000;
    const kept = new CompletedKeys(max, 100);
    const model = new Map<string, number>();
    // Longer and longer, so that the text grows when its ring has gone round.
    const keyOf = (n: number) => `${'x'.repeat(n / 100)}${n}${n % 5 === 0 ? '\u4e2d' : ''}`;
    for (let n = 0; n < 12_000; n++) {
      const until = n % 3 === 0 ? n + 50 : 1e9;
      kept.add(keyOf(n), hashOf(keyOf(n)), until);
      model.set(keyOf(n), until);
      const asked = Math.max(0, n - ((n * 7919) % (max + 100)));
      const isKept = asked > n - max && (model.get(keyOf(asked)) as number) > n;
      expect(kept.has(keyOf(asked), hashOf(keyOf(asked)), n)).toBe(isKept);
    }
  });

  it.each(['', '\u4e2d'])('are distinguished from other keys with the same hash (%j)', (end) => {
    const kept = new CompletedKeys(150_000, 1_000);
    const keyOf = (n: number) => (Math.imul(n, 0x9e3779b1) >>> 0).toString(36) + n.toString(36) + end;
    for (let n = 0; n < 150_000; n++) kept.add(keyOf(n), hashOf(keyOf(n)), 2);
    let mistaken = 0;
    for (let n = 150_000; n < 500_000; n++) if (kept.has(keyOf(n), hashOf(keyOf(n)), 1)) mistaken++;
    expect(mistaken).toBe(0);
  });

  it.each([1, 3])('take no more room than the most of them that are kept at once (%i)', (max) => {
    const alloc = vi.spyOn(Buffer, 'alloc');
    onTestFinished(() => alloc.mockRestore());
    const kept = new CompletedKeys(max, max);
    for (let n = 0; n < 1_000; n++) kept.add(`receiver:vast:${n}`, hashOf(`receiver:vast:${n}`), 1e9);
    const isKept = (n: number) => kept.has(`receiver:vast:${n}`, hashOf(`receiver:vast:${n}`), 1);
    expect([999, 1_000 - max, 999 - max].map(isKept)).toEqual([true, true, false]);
    expect(alloc).toHaveBeenCalledTimes(2);
  });
});
