import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { main } from './command.mjs';
import { goals, heading, table } from './report.mjs';

const rate = 2_000;
const env = { PATH: process.env.PATH, VAST_WEBHOOK_SECRET: 'a-secret-of-the-bench' };

/** How well `trigger --rate 2000` holds its rate against `serve`, and how much of a core it takes. */
export async function triggerRate(quick) {
  const seconds = quick ? 2 : 10;
  const rounds = quick ? 2 : 5;
  heading(`trigger --rate ${rate} for ${seconds} s, ${rounds} rounds`);
  const { url, end } = await serve();
  const results = [];
  for (let round = 0; round < rounds; round++) results.push(await trigger(url, seconds));
  await end();
  table(
    results.map(({ rate, latency_ms: { p50, p99, max }, core }) => [
      `${rate} a second`,
      `p50 ${p50} ms`,
      `p99 ${p99} ms`,
      `max ${max} ms`,
      `${(core * 100).toFixed(0)} % of a core`,
    ]),
    ['right', 'right', 'right', 'right', 'right'],
  );
  console.log();
  const off = results.map((result) => (Math.abs(result.rate - rate) / rate) * 100);
  goals([{ name: 'off the rate', unit: ' %', values: off, atMost: 5 }]);
}

async function serve() {
  const child = spawn(process.execPath, [main, 'serve', '--log-events', '--log', 'json', '--port', '0'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  child.stdout.resume();
  const end = () => {
    child.kill('SIGTERM');
    return once(child, 'exit');
  };
  return { url: JSON.parse(line).url, end };
}

async function trigger(url, seconds) {
  const args = ['trigger', 'outbid', '--url', url, '--rate', `${rate}`, '--duration', `${seconds}`, '--json'];
  const child = spawn('sh', ['-c', '"$@"; status=$?; times >&2; exit $status', 'sh', process.execPath, main, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  if (status !== 0) throw new Error(`trigger ended with ${status}: ${err}`);
  const result = JSON.parse(out);
  return { ...result, core: cpuSeconds(err) / result.seconds };
}

/** Reads the second line of the shell's `times`, the CPU time of its children: `0m2.500s 0m0.470s`. */
function cpuSeconds(times) {
  const [, children] = times.trim().split('\n');
  return [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0);
}
