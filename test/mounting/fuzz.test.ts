import { expect, it } from 'vitest';
import { fuzz } from './fuzz.js';

const requests = Number(process.env.MOUNTING_REQUESTS ?? 4_000);
const seed = Number(process.env.MOUNTING_SEED ?? 1);

it(`nothing unverified reaches a handler, however it is mounted: ${requests} requests from seed ${seed}`, async () => {
  const report = await fuzz(seed, requests, { stopAt: 10 });
  expect(report.findings).toEqual([]);
  console.info(`${report.requests} requests to ${report.mountings} mountings`);
}, 3_600_000);
