import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRedis } from '../test/support/servers.mjs';
import { Child } from './child.mjs';
import { main, portOf } from './command.mjs';
import { secret } from './deliveries.mjs';
import { goals, heading, keep, median, pairedRatios, table } from './report.mjs';
import { inTurns, turns } from './turns.mjs';

const counts = [1, 2];

/** Requests a second of `serve`, which writes its log to a file, with one worker and with two. */
export async function serveWorkers(quick) {
  const { rounds, deliveries } = quick ? { rounds: 5, deliveries: 2_000 } : { rounds: 15, deliveries: 8_000 };
  const connections = 32;
  heading(
    `serve with workers, over ${connections} loopback connections: ${rounds} rounds of ${deliveries.toLocaleString('en')} deliveries`,
  );
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-workers-'));
  const redis = await startRedis({ appendfsync: 'everysec' });
  const stores = { Redis: redis.url, SQLite: `sqlite:${join(folder, 'events.db')}` };
  const generator = new Child('load-generator.mjs');
  const servers = new Map();
  const results = [];
  try {
    for (const [name, store] of Object.entries(stores)) {
      for (const count of counts) servers.set(`${name}, ${count}`, await serve(count, store, folder));
    }
    // The first two rounds only warm up.
    for (let round = -2; round < rounds; round++) {
      const seconds = await inTurns(servers, async ({ port }) => {
        const { ms } = await generator.ask({ port, connections, deliveries: deliveries / turns });
        return ms / 1_000;
      });
      const rates = Object.entries(seconds).map(([name, each]) => [name, deliveries / turns / each]);
      if (round >= 0) results.push(Object.fromEntries(rates));
    }
  } finally {
    generator.end();
    for (const { end } of servers.values()) await end();
    await redis.stop();
    await rm(folder, { recursive: true });
  }
  table(
    [...servers.keys()].map((name) => {
      const value = median(results.map((result) => result[name]));
      keep({ name, value, unit: 'requests/s' });
      return [name, `${Math.round(value).toLocaleString('en')} requests/s`];
    }),
    ['left', 'right'],
  );
  console.log();
  goals(
    Object.keys(stores).map((name) => ({
      name: `${name}: two workers / one`,
      values: pairedRatios(results, `${name}, 2`, `${name}, 1`),
      atLeast: 1.3,
    })),
  );
}

/** Started, with all workers listening. */
async function serve(count, store, folder) {
  const port = await portOf();
  const path = join(folder, `log-${port}`);
  const log = await open(path, 'w');
  const args = ['--log-events', '--log', 'json', '--store', store, '--port', `${port}`, '--workers', `${count}`];
  const child = spawn(process.execPath, [main, 'serve', ...args], {
    env: { PATH: process.env.PATH, VAST_WEBHOOK_SECRET: secret },
    stdio: ['ignore', log.fd, 'inherit'],
  });
  await log.close();
  while ((await readFile(path, 'utf8')).split('listening on').length <= count) {
    if (child.exitCode !== null) throw new Error(`serve ${args.join(' ')} has ended`);
    await sleep(20);
  }
  const end = () => {
    child.kill('SIGTERM');
    return child.exitCode ?? once(child, 'exit');
  };
  return { port, end };
}
