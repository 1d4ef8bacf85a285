import { candidates } from './candidates.mjs';
import { Child } from './child.mjs';
import { goals, heading, keep, median, pairedRatios, table } from './report.mjs';
import { inTurns, turns } from './turns.mjs';

/** CPU time a delivery, in-process: each candidate in a child. `only` are the candidates to measure, all by default. */
export async function cpu(quick, { only = Object.keys(candidates) } = {}) {
  const { rounds, deliveries } = quick ? { rounds: 7, deliveries: 2000 } : { rounds: 30, deliveries: 4000 };
  heading(
    `CPU time a delivery, without the network: ${rounds} rounds of ${deliveries.toLocaleString('en')} deliveries`,
  );
  const names = Object.keys(candidates).filter((name) => only.includes(name));
  const children = new Map(names.map((name) => [name, new Child('cpu-candidate.mjs', [name])]));
  for (const child of children.values()) await child.ask({ warmUp: quick ? 10_000 : 20_000 });
  const results = [];
  // The first round warms up again what went cold while the others warmed up.
  for (let round = -1; round < rounds; round++) {
    const result = await inTurns(children, async (child) => child.ask({ deliveries: deliveries / turns }));
    if (round >= 0) results.push(result);
  }
  for (const child of children.values()) child.end();

  table(
    names
      .map((name) => ({ name, value: median(results.map((result) => result[name])), about: candidates[name].about }))
      .map((figure) => keep({ ...figure, unit: 'µs' }))
      .map(({ name, value, about }) => [name, `${value.toFixed(1)} µs`, about]),
    ['left', 'right', 'left'],
  );
  console.log();
  goals(
    [
      ['express-ours', 'express-unchecked', 1.15],
      ['express-ours', 'express-hand', 0.95],
      ['express-front', 'express-hand', 0.95],
      ['koa-ours', 'koa-hand', 1.05],
      ['koa-ours', 'koa-hand-whole', 1.05],
      ['fetch-ours', 'fetch-hand', 1.25],
      ['fetch-ours', 'fetch-hand-whole', 1.25],
      ['front-ours', 'bare-hmac', 1.8],
    ]
      .filter((pair) => pair.slice(0, 2).every((name) => names.includes(name)))
      .map(([ours, other, atMost]) => ({
        name: `${ours} / ${other}`,
        values: pairedRatios(results, ours, other),
        atMost,
      })),
  );
  if (!names.includes('front-ours') || !names.includes('bare-hmac')) return;
  // Its own share: all that is done beside reading, one HMAC and one JSON.parse.
  goals([
    {
      name: 'front-ours less bare-hmac',
      unit: ' µs',
      values: results.map((result) => result['front-ours'] - result['bare-hmac']),
      digits: 1,
      atMost: 12,
    },
  ]);
}
