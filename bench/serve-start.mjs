import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { main, portOf } from './command.mjs';
import { goals, heading, keep, median, pairedRatios, table } from './report.mjs';

const sinks = [
  { url: 'slack://T0/B0/bench', name: 'chat' },
  { url: 'discord://1/bench', name: 'ops', types: ['outbid'] },
  { url: 'tgram://1:bench/2', name: 'phone', digest: { everyMs: 60_000 } },
];
const files = {
  'vast.json': JSON.stringify({ sinks }),
  'vast.config.mjs': `import { slack } from 'vast-webhook/sinks';
export default { sinks: [slack('https://hooks.slack.com/services/T0/B0/bench')] };`,
};

/** Ways to start `serve`, by their arguments. */
const ways = {
  'serve --log-events': ['--log-events'],
  'with three sinks of a JSON config': ['--config', 'vast.json'],
  'with a sink of a module': ['--config', 'vast.config.mjs'],
  'with --metrics': ['--log-events', '--metrics'],
  'with --outbox': ['--log-events', '--outbox', 'outbox.db'],
};

/** The time from the start of the process to the first answer, of `serve` as a user runs it. */
export async function serveStart(quick) {
  const rounds = quick ? 10 : 40;
  heading(`serve: from its start to the first answer, ${rounds} rounds`);
  const folder = await mkdtemp(fileURLToPath(new URL('serve-start-', import.meta.url)));
  const results = [];
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    for (let round = 0; round < rounds; round++) {
      const result = { empty: await emptyMs() };
      for (const [name, args] of Object.entries(ways)) result[name] = await startMs(args, folder);
      results.push(result);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const rows = ['empty', ...Object.keys(ways)].map((name) => {
    const value = median(results.map((result) => result[name]));
    keep({ name, value, unit: 'ms' });
    return [name, `${value.toFixed(0)} ms`, `${median(pairedRatios(results, name, 'empty')).toFixed(2)} x empty`];
  });
  table(rows, ['left', 'right', 'right']);
  console.log();
  goals(
    Object.keys(ways).flatMap((name) => [
      { name, unit: ' ms', values: results.map((result) => result[name]), digits: 0, atMost: 300 },
      // The same goal on a machine of any speed: it was set where an empty process takes 40 ms.
      { name: 'that / an empty process', values: pairedRatios(results, name, 'empty'), atMost: 7.5 },
    ]),
  );
}

async function startMs(args, cwd) {
  const port = await portOf();
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, 'serve', '--port', String(port), ...args], {
    cwd,
    env: { PATH: process.env.PATH, VAST_WEBHOOK_SECRET: 'a-secret-of-the-bench' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`serve ${args.join(' ')} has ended`);
    await sleep(1);
  }
  const ms = performance.now() - startedAt;
  child.kill('SIGTERM');
  await ended;
  return ms;
}

/** The time that Node.js itself needs. */
async function emptyMs() {
  const startedAt = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - startedAt;
}

function answers(port) {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path: '/health', agent: false }, (res) => {
      res.resume();
      resolve(res.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}
