import { candidates } from './candidates.mjs';
import { Child } from './child.mjs';
import { goals, heading, keep, median, pairedRatios, table } from './report.mjs';
import { inTurns, turns } from './turns.mjs';

const names = ['bare-hmac', 'express-hand', 'express-ours', 'koa-hand', 'koa-ours', 'front-ours'];

/** Requests a second over loopback sockets: each candidate serves in a child, and another child sends. */
export async function load(quick) {
  const { rounds, deliveries } = quick ? { rounds: 5, deliveries: 2000 } : { rounds: 20, deliveries: 8000 };
  const connections = 32;
  heading(
    `Requests a second over ${connections} loopback connections: ${rounds} rounds of ${deliveries.toLocaleString('en')} deliveries`,
  );
  const generator = new Child('load-generator.mjs');
  const servers = new Map();
  for (const name of names) servers.set(name, new Child('load-server.mjs', [name]));
  const results = [];
  const busy = Object.fromEntries(names.map((name) => [name, []]));
  // The first two rounds only warm up.
  for (let round = -2; round < rounds; round++) {
    const seconds = await inTurns(servers, async (server, name) => {
      const { port } = await server.ask({});
      const { ms } = await generator.ask({ port, connections, deliveries: deliveries / turns });
      const { cpuMs } = await server.ask({});
      if (round >= 0) busy[name].push(cpuMs / ms);
      return ms / 1000;
    });
    const result = Object.fromEntries(names.map((name) => [name, deliveries / turns / seconds[name]]));
    if (round >= 0) results.push(result);
  }
  generator.end();
  for (const server of servers.values()) server.end();

  const percent = (values) => `${(100 * median(values)).toFixed(0)} %`;
  table(
    [
      ['', 'requests/s', 'server busy', ''],
      ...names
        .map((name) => ({ name, value: median(results.map((result) => result[name])), about: candidates[name].about }))
        .map((figure) => keep({ ...figure, unit: 'requests/s' }))
        .map(({ name, value, about }) => [name, Math.round(value).toLocaleString('en'), percent(busy[name]), about]),
    ],
    ['left', 'right', 'right', 'left'],
  );
  console.log();
  goals([
    {
      name: 'front-ours / express-hand',
      values: pairedRatios(results, 'front-ours', 'express-hand'),
      atLeast: 4,
    },
  ]);
}
