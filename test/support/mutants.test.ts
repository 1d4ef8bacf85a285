import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { mutants as ofFuzzing } from '../fuzz/mutants.js';
import { mutants as ofSimulation } from '../simulation/mutants.mjs';

const changes = [
  ...Object.entries(ofFuzzing).flatMap(([name, { changes: list }]) => list.map((change) => ({ name, ...change }))),
  ...Object.entries(ofSimulation).flatMap(([name, list]) => list.map((change) => ({ name, ...change }))),
];

// To run them takes minutes: test/fuzz/mutants.test.ts, and `npm run simulate -- --mutant all`.
it.each(changes)('the mutant "$name" fits the code', ({ file, from, to }) => {
  const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  expect(source.split(from)).toHaveLength(2);
  expect(to).not.toBe(from);
});
