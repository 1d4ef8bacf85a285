import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, makeWorkshop } from './bundle.mjs';
import { type FuzzOptions, fuzz, type Result } from './fuzz.js';
import { type Mutant, mutants } from './mutants.js';

/** A night's run is `npm run fuzz`. Here each service gets a few cases, the same at every run. */
const short = { cases: 5, prefixStep: 100, crowdSize: 30, rounds: 1, oneOfEach: true } as const;

let workshop: Awaited<ReturnType<typeof makeWorkshop>>;
beforeAll(async () => {
  workshop = await makeWorkshop();
});
afterAll(() => workshop.remove());

async function attack(name: string, changes: Mutant['changes'], options: Omit<FuzzOptions, 'script'>): Promise<Result> {
  const script = join(workshop.folder, `${name.replaceAll(' ', '-')}.mjs`);
  await bundle('server.ts', script, changes);
  return fuzz({ ...options, script });
}

function textOf({ failures }: Result): string {
  return failures
    .flatMap(({ service, violations, bytes }) => [...violations.map((text) => `${service}: ${text}`), ...bytes])
    .join('\n');
}

describe('whatever is sent to it over raw sockets', () => {
  it.each([20260])('every front door does what must hold, seed %i', { timeout: 150_000 }, async (seed) => {
    const result = await attack('the middleware', [], { ...short, seed });
    expect(textOf(result)).toBe('');
    expect(result.figures.outcomes).toBeGreaterThan(300);
    const { statuses } = result.figures;
    expect(Object.keys(statuses)).toEqual(
      expect.arrayContaining(['0', '204', '401', '405', '408', '413', '502', '503']),
    );
  });
});

describe('a middleware that is wrong is found out', () => {
  it.each(Object.entries(mutants))('when it %s', { timeout: 150_000 }, async (name, { changes, finds, service }) => {
    const options = { cases: 0, prefixStep: 500, crowdSize: 5, rounds: 1 };
    const result = await attack(name, changes, { ...options, seed: 1, service: service ?? 'Express 5, hands on' });
    expect(textOf(result)).toMatch(finds);
  });
});
