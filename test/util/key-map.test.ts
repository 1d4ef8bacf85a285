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
});
