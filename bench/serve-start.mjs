import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { main, portOf } from './command.mjs';
import { goals, heading, median, table } from './report.mjs';

/** The time from the start of the process to the first answer, of `serve` as a user runs it. */
export async function serveStart(quick) {
  const rounds = quick ? 10 : 40;
  heading(`serve: from its start to the first answer, ${rounds} rounds`);
  const results = [];
  for (let round = 0; round < rounds; round++) results.push({ serve: await startMs(), empty: await emptyMs() });
  table(
    [['an empty process, to its end', `${median(results.map(({ empty }) => empty)).toFixed(0)} ms`]],
    ['left', 'right'],
  );
  goals([{ name: 'serve answers', unit: ' ms', values: results.map(({ serve }) => serve), digits: 0, atMost: 300 }]);
}

async function startMs() {
  const port = await portOf();
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, 'serve', '--log-events', '--port', String(port)], {
    env: { PATH: process.env.PATH, VAST_WEBHOOK_SECRET: 'a-secret-of-the-bench' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  while (!(await answers(port))) await sleep(1);
  const ms = performance.now() - startedAt;
  child.kill('SIGTERM');
  await once(child, 'exit');
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
