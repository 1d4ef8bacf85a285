import { describe, expect, it } from 'vitest';
import { attack, foundBy } from './attack.js';

/** A night's run is `npm run fuzz`. Here each service gets a few cases, the same at every run. */
const short = { cases: 5, prefixStep: 100, crowdSize: 30, rounds: 1, oneOfEach: true } as const;

describe('whatever is sent to it over raw sockets', () => {
  it.each([20260])('every adapter does what must hold, seed %i', { retry: 1 }, async (seed) => {
    const result = await attack([], { ...short, seed });
    expect(foundBy(result)).toBe('');
    expect(result.figures.outcomes).toBeGreaterThan(300);
    const { statuses } = result.figures;
    expect(Object.keys(statuses)).toEqual(
      expect.arrayContaining(['0', '204', '401', '405', '408', '413', '502', '503']),
    );
  });
});
