import { describe, expect, it } from 'vitest';
import { ceiling, type Life, live, margin } from './rebid-life.js';

function expectPromises({ bids, toBeat, states, said, isFair, isRunning, price }: Life): void {
  // Never twice for one event.
  expect(bids.map(({ event }) => event)).toEqual([...new Set(bids.map(({ event }) => event))]);
  for (const bid of bids) {
    const beat = toBeat.get(bid.event) ?? Number.NaN;
    // Never over the ceiling.
    expect(bid.price).toBeLessThanOrEqual(ceiling);
    // Never lower than before.
    expect(bid.price).toBeGreaterThan(bid.before);
    // By the event's price, never by the own bid.
    expect(bid.price).toBeLessThanOrEqual(beat + margin + 0.001);
    expect(bid.price).toBeGreaterThanOrEqual(beat);
  }
  expect(states).toEqual([...toBeat.keys()].map(() => 'done'));
  expect(said.length).toBeGreaterThanOrEqual(toBeat.size);
  // Each outbid had its notification, so that the instance runs again where the ceiling allows it.
  if (isFair && price <= ceiling) expect(isRunning).toBe(true);
}

const { REBID_SEED, REBID_SEEDS = '300' } = process.env;
const seeds = REBID_SEED ? [Number(REBID_SEED)] : Array.from({ length: Number(REBID_SEEDS) }, (_, n) => n + 1);

describe('examples/rebid, in a market with a competitor', () => {
  it.each<[string, object]>([
    ['without faults', { crashRate: 0, faultRate: 0 }],
    ['with lost and late calls', { crashRate: 0, faultRate: 0.3 }],
    ['with crashes', { crashRate: 0.04, faultRate: 0 }],
    ['with both', { crashRate: 0.03, faultRate: 0.2 }],
  ])('%s bids once an event, under the ceiling, and gets the instance back', async (_, rates) => {
    const seen = { bids: 0, crashes: 0, starts: 0, outbids: 0, refused: 0, back: 0 };
    for (const seed of seeds) {
      const life = await live(seed, rates);
      try {
        expectPromises(life);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}\n${life.said.join('\n')}`, { cause: error });
      }
      seen.bids += life.bids.length;
      seen.crashes += life.crashes;
      seen.starts += life.starts;
      seen.outbids += life.toBeat.size;
      seen.refused += life.said.filter((text) => text.includes('over the ceiling')).length;
      seen.back += life.said.filter((text) => text.includes('running again')).length;
    }
    if (seeds.length > 1) {
      for (const [what, count] of Object.entries(seen)) {
        if (what !== 'crashes' || (rates as { crashRate: number }).crashRate > 0)
          expect([what, count > 0]).toEqual([what, true]);
      }
    }
    console.log(JSON.stringify(seen));
  });
});
