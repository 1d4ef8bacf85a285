import { describe, expect, it } from 'vitest';
import { attack, foundBy } from './attack.js';
import { mutants } from './mutants.js';

const short = { cases: 0, prefixStep: 500, crowdSize: 5, rounds: 1, shrink: false } as const;

describe.concurrent('a middleware that is wrong is found out', () => {
  it.each(Object.entries(mutants))('when it %s', { retry: 1 }, async (_, { changes, finds, service }) => {
    const result = await attack(changes, { ...short, seed: 1, service: service ?? 'Express 5, handler' });
    expect(foundBy(result)).toMatch(finds);
  });
});
