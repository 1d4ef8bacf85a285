// What shared statements give over HTTP: the middleware in front, with a store of each kind, in turns.
import { startPostgres } from '../test/support/servers.mjs';
import { Child } from './child.mjs';
import { goals, heading, keep, median, pairedRatios, quantile, table } from './report.mjs';

const names = ['memory', 'Postgres, together', 'Postgres, one by one'];
const atATime = [1, 64];

export async function togetherHttp(quick) {
  const { rounds, ms } = quick ? { rounds: 5, ms: 1_000 } : { rounds: 15, ms: 2_000 };
  heading(`Stores over HTTP, in front: ${rounds} rounds of ${ms} ms`);
  const postgres = await startPostgres();
  const sender = new Child('flood-generator.mjs');
  const servers = new Map(names.map((name) => [name, new Child('store-server.mjs', [name, postgres.url])]));
  const ratios = [];
  for (const connections of atATime) {
    const results = { perSecond: [], p99: [], cpu: [] };
    // The first round makes connections, tables and machine code.
    for (let round = -1; round < rounds; round++) {
      const [perSecond, p99, cpu] = [{}, {}, {}];
      for (const name of round % 2 ? names : names.toReversed()) {
        const { port } = await servers.get(name).ask({});
        const { latencies } = await sender.ask({ port, connections, kind: 'genuine', ms });
        const { cpuMs } = await servers.get(name).ask({});
        perSecond[name] = latencies.length / (ms / 1000);
        p99[name] = quantile(latencies, 0.99);
        cpu[name] = (1000 * cpuMs) / latencies.length;
      }
      if (round < 0) continue;
      results.perSecond.push(perSecond);
      results.p99.push(p99);
      results.cpu.push(cpu);
    }
    table(
      names.map((name) => {
        const of = (figure) => median(results[figure].map((result) => result[name]));
        keep({ name: `${name}, ${connections} at a time`, value: of('perSecond'), unit: 'a second' });
        return [
          `${name}, ${connections} at a time`,
          `${Math.round(of('perSecond')).toLocaleString('en')} a second`,
          `p99 ${of('p99').toFixed(1)} ms`,
          `CPU ${of('cpu').toFixed(0)} µs`,
        ];
      }),
      ['left', 'right', 'right', 'right'],
    );
    console.log();
    ratios.push({
      name: `Postgres, ${connections}: together / one by one`,
      values: pairedRatios(results.perSecond, names[1], names[2]),
      atLeast: connections === 1 ? 0.97 : 3,
    });
    ratios.push({
      name: `Postgres, ${connections}: CPU, together / one by one`,
      values: pairedRatios(results.cpu, names[1], names[2]),
      atMost: connections === 1 ? 1.03 : 1,
    });
    const most = median(pairedRatios(results.perSecond, names[0], names[2]));
    console.log(`  ${connections} at a time: the memory store takes ${most.toFixed(2)} times as many as one by one\n`);
  }
  goals(ratios);
  for (const child of [sender, ...servers.values()]) child.end();
  await postgres.close();
}
