import { expect } from 'vitest';
import type { IdempotencyStore } from '../../src/index.js';

const minute = 60_000;

/** Makes events in each state that a claim may find: done, held and partly delivered. */
export async function makeEvents(store: IdempotencyStore): Promise<void> {
  await store.claim('done', 'a', minute);
  await store.complete('done', 'a', minute);
  await store.claim('held', 'a', minute);
  await store.claim('partly', 'a', minute);
  await store.delivered('partly', 'a', 'slack');
  await store.release('partly', 'a', minute);
}

/** Claims them and two new ones in one turn. Each gets an answer of its own. */
export async function claimTogether(store: IdempotencyStore): Promise<void> {
  const keys = ['x', 'new', 'done', 'held', 'partly'];
  const [, ...answers] = await Promise.all(keys.map((key) => store.claim(key, 'b', minute)));
  expect(answers).toEqual([
    { state: 'acquired', delivered: [] },
    { state: 'completed' },
    { state: 'in_flight', retryAfterMs: expect.any(Number) },
    { state: 'acquired', delivered: ['slack'] },
  ]);
}
