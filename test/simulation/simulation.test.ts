import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bySeed, explore, search, shrink } from './simulate.js';

describe('what is promised', () => {
  it('holds in worlds 1 to 5,000, whatever fails, dies, freezes and hangs up there', {
    timeout: 3_600_000,
  }, async () => {
    const found = await search(1, 5_000);
    expect(found, 'npm run simulate -- --seed <seed> shows what happens').toBeUndefined();
  });

  it('holds in every history of the small world in the order of time', { timeout: 3_600_000 }, async () => {
    const { histories, violations, log } = await explore(0);
    expect({ violations, log: violations.length > 0 ? log : [] }).toEqual({ violations: [], log: [] });
    expect(histories).toBeGreaterThan(600);
  });

  it('holds in the first histories in which something comes before its time', { timeout: 3_600_000 }, async () => {
    const { histories, violations, log } = await explore(1, 500);
    expect({ violations, log: violations.length > 0 ? log : [] }).toEqual({ violations: [], log: [] });
    expect(histories).toBe(500);
  });
});

describe('a world', () => {
  it('comes to the same end each time', async () => {
    const [first, second] = [await bySeed(37, true), await bySeed(37, true)];
    expect(first.log.length).toBeGreaterThan(20);
    expect(second.log).toEqual(first.log);
  });

  it('is made smaller without becoming another', async () => {
    const { made } = await shrink(37, 10);
    expect(made.length).toBeGreaterThan(0);
  });
});

describe('docs/know-what-is-promised.md', () => {
  const page = readFileSync(new URL('../../docs/know-what-is-promised.md', import.meta.url), 'utf8').toLowerCase();

  it.each([
    'a sink that took the event and seemed to fail',
    'work of more than five minutes',
    'a process that stands still for longer than its lease',
    'a store that stays away',
    'a store that forgets',
    'a clock that was put forward',
    'an isolate that was cut off',
  ])('lists the reason for a repeat that is accepted here: %s', (reason) => expect(page).toContain(reason));
});
