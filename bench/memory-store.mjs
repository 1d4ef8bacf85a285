// The default store, in its own process: claims and completes events in thousands and watches what that takes.
import { randomFillSync } from 'node:crypto';
import { memoryStore } from 'vast-webhook/stores';
import { serve } from './child.mjs';

const leaseMs = 30_000;
const ttlMs = 7 * 24 * 60 * 60_000;
const perBlock = 1000;

/** The baseline without a store, which remembers only running events. */
const forgetful = () => {
  const held = new Map();
  return {
    claim(key, token) {
      held.set(key, { token });
      return { state: 'acquired' };
    },
    complete: (key) => held.delete(key),
  };
};

serve(({ events, sampleEvery, remembers }) => {
  const store = remembers ? memoryStore() : forgetful();
  const samples = [];
  let claimsMs = 0;
  let completesMs = 0;
  let worstClaimsMs = 0;
  let worstCompletesMs = 0;
  // Memory for the garbage of the keys is allocated before the store is measured.
  for (let block = 0; block < 300; block++) newKeys();
  globalThis.gc?.();
  const rssBefore = process.memoryUsage.rss();
  for (let done = perBlock; done <= events; done += perBlock) {
    const keys = newKeys();
    const startedAt = performance.now();
    for (const key of keys) claim(store, key);
    const claimedAt = performance.now();
    for (const key of keys) complete(store, key);
    const completedAt = performance.now();
    claimsMs += claimedAt - startedAt;
    completesMs += completedAt - claimedAt;
    worstClaimsMs = Math.max(worstClaimsMs, claimedAt - startedAt);
    worstCompletesMs = Math.max(worstCompletesMs, completedAt - claimedAt);
    if (sampleEvery !== undefined && done % sampleEvery === 0) {
      globalThis.gc();
      const { heapUsed, rss } = process.memoryUsage();
      samples.push({ events: done, heapUsed, rss: rss - rssBefore });
    }
  }
  return {
    samples,
    claimMicros: (claimsMs * 1000) / events,
    completeMicros: (completesMs * 1000) / events,
    worstClaimsMs,
    worstCompletesMs,
  };
});

const bytes = Buffer.alloc(16 * perBlock);

/** Put together as the middleware does it. That is its cost and not the store's, and so outside the timed part. */
function newKeys() {
  randomFillSync(bytes);
  return Array.from({ length: perBlock }, (_, i) => `receiver:vast:${bytes.toString('hex', 16 * i, 16 * (i + 1))}`);
}

function claim(store, key) {
  if (store.claim(key, 'token', leaseMs).state !== 'acquired') throw new Error(`no claim on the new event ${key}`);
}

function complete(store, key) {
  if (store.complete(key, 'token', ttlMs) !== true) throw new Error(`the claim on ${key} was lost`);
}
