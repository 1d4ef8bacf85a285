import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { mutants } from './mutants.mjs';

const changes = Object.entries(mutants).flatMap(([name, list]) => list.map((change) => ({ name, ...change })));

// `npm run simulate -- --mutant all` runs them, which takes minutes.
it.each(changes)('the mutant "$name" fits the code', ({ file, from, to }) => {
  const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  expect(source.split(from)).toHaveLength(2);
  expect(to).not.toBe(from);
});
