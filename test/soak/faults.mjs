import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.mjs';
import { Random } from './random.mjs';

/** How long before the sender is done with beginning new deliveries the last fault may begin. */
const calmMs = 500;

/**
 * Kills processes so often within a time. A third of the kills are at any moment, a third when the sender has just had
 * a 2xx, and a third when a sink has just got an event, because a crash costs most then.
 */
export async function kill({ children, sender, sinks, seed, times, withinMs, isOver }) {
  const random = new Random(seed, 'kills');
  const occasions = [
    async () => {},
    () =>
      next((happened) => {
        sender.onAnswered = happened;
      }),
    () =>
      next((happened) => {
        for (const sink of sinks) sink.onReceipt = happened;
      }),
  ];
  for (const dueAt of moments(random, times, withinMs)) {
    await sleep(Math.max(0, dueAt - now()));
    if (isOver()) return;
    await random.pick(occasions)();
    await random.pick(children).kill(random.between(0, 300));
  }
}

/** Resolves when it happens, or at the latest after a second. */
function next(listen) {
  return new Promise((resolve) => {
    const done = () => {
      listen(() => {});
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, 1_000);
    listen(done);
  });
}

/** Takes the store away and gives it back, so often within a time. Notes what was done: `{ kind, from, to }`. */
export async function disturb({ outages, record, seed, storeTimeoutMs, times, withinMs, isOver }) {
  const random = new Random(seed, 'outages');
  const kinds = Object.keys(outages);
  if (kinds.length === 0) return;
  // In turn from a random one on, so that a short run has seen them all.
  let turn = Math.floor(random.next() * kinds.length);
  for (const dueAt of moments(random, times, withinMs)) {
    await sleep(Math.max(0, dueAt - now()));
    if (isOver()) return;
    const kind = kinds[turn++ % kinds.length];
    const outage = { kind, from: now(), to: Number.POSITIVE_INFINITY };
    record.push(outage);
    await outages[kind](storeTimeoutMs + random.between(200, 2_000));
    outage.to = now();
  }
}

/** Spread over the time from now on, each somewhere in its share of it. */
function moments(random, times, withinMs) {
  const from = now() + calmMs;
  const share = (withinMs - 2 * calmMs) / times;
  return Array.from({ length: times }, (_, i) => from + (i + random.next()) * share);
}
