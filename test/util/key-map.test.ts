import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashOf, KeyMap } from '../../src/util/key-map.js';

const steps = fc.array(
  fc.record({
    key: fc.nat(60).map((n) => `receiver:vast:${n}`),
    value: fc.nat(),
    what: fc.constantFrom('set', 'set', 'delete'),
  }),
  { maxLength: 300, size: 'max' },
);

describe('a map of keys that come and go', () => {
  it.each([
    ['spread', hashOf],
    ['all alike', () => 7],
  ])('knows what a Map knows, its hashes being %s', (_, hash) => {
    fc.assert(
      fc.property(steps, (list) => {
        const map = new KeyMap<number>();
        const model = new Map<string, number>();
        for (const { what, key, value } of list) {
          if (what === 'set') {
            map.set(key, hash(key), value);
            model.set(key, value);
          } else {
            map.delete(key, hash(key));
            model.delete(key);
          }
          expect(map.get(key, hash(key))).toBe(model.get(key));
        }
        for (const { key } of list) expect(map.get(key, hash(key))).toBe(model.get(key));
      }),
      { numRuns: 100 },
    );
  });

  it('does not grow with what is over', () => {
    let turn = 0;
    const map = new KeyMap<number>((value) => value < turn);
    for (; turn < 10_000; turn++) map.set(`k${turn}`, hashOf(`k${turn}`), turn);
    expect(map.size).toBeLessThan(20);
    expect(map.get('k9999', hashOf('k9999'))).toBe(9_999);
  });
});
