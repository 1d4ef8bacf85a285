import { candidates } from './candidates.mjs';
import { Child } from './child.mjs';
import { goals, heading, keep, median, pairedRatios, quantile, table } from './report.mjs';

const names = ['express-hand', 'express-front', 'express-ours', 'express-route'];
const floods = ['unsigned', 'forged', 'unsigned, 64 kB', 'forged, 64 kB'];
const connections = 256;

/** How long genuine deliveries wait, while others send what must be refused, as fast as it is answered. */
export async function flood(quick) {
  const { rounds, ms } = quick ? { rounds: 5, ms: 1500 } : { rounds: 15, ms: 3000 };
  heading(`Genuine deliveries in a flood over ${connections} connections: ${rounds} rounds of ${ms} ms`);
  const attacker = new Child('flood-generator.mjs');
  const sender = new Child('flood-generator.mjs');
  const servers = new Map(names.map((name) => [name, new Child('load-server.mjs', [name])]));
  for (const kind of floods) {
    const results = [];
    const costs = [];
    // The first round warms up.
    for (let round = -1; round < rounds; round++) {
      const result = {};
      const cost = {};
      for (const name of round % 2 ? names : names.toReversed()) {
        const { port } = await servers.get(name).ask({});
        // The flood begins before the genuine deliveries and ends behind them.
        const flooding = attacker.ask({ port, connections, kind, ms: ms + 400 });
        await new Promise((resolve) => setTimeout(resolve, 200));
        const genuine = await sender.ask({ port, connections: 8, kind: 'genuine', ms });
        const { latencies } = await flooding;
        const { cpuMs } = await servers.get(name).ask({});
        result[name] = quantile(genuine.latencies, 0.99);
        cost[name] = (1000 * cpuMs) / (latencies.length + genuine.latencies.length);
      }
      if (round >= 0) results.push(result);
      if (round >= 0) costs.push(cost);
    }
    table(
      names.map((name) => {
        const p99 = median(results.map((result) => result[name]));
        keep({ name: `${name}, ${kind}`, value: p99, unit: 'ms', about: candidates[name].about });
        const micros = median(costs.map((cost) => cost[name]));
        keep({ name: `${name}, ${kind}, CPU`, value: micros, unit: 'µs' });
        return [`${kind}: ${name}`, `p99 ${p99.toFixed(0)} ms`, `CPU ${micros.toFixed(0)} µs a request`];
      }),
      ['left', 'right', 'right'],
    );
    console.log();
    goals(
      names.slice(1).flatMap((name) => [
        {
          name: `${kind}: p99, ${name} / express-hand`,
          values: pairedRatios(results, name, 'express-hand'),
          atMost: 1,
        },
        { name: `${kind}: CPU, ${name} / express-hand`, values: pairedRatios(costs, name, 'express-hand'), atMost: 1 },
      ]),
    );
    console.log();
  }
  for (const child of [attacker, sender, ...servers.values()]) child.end();
}
