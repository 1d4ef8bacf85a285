// npm run fuzz -- [--minutes <n>] [--seed <n>] [--service <name>] [--path <path>]
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { bundle, makeWorkshop } from './bundle.mjs';

const usage = `Usage: npm run fuzz -- [options]

Sends hostile bytes to every adapter over raw sockets and checks what must hold whatever is sent. Ends with status 1
when it does not, with the smallest bytes that show it and the command that repeats it.
  --minutes <n>     for so long: 10
  --seed <n>        as an earlier run printed it
  --service <name>  only services whose names hold this, such as "Koa 3" or "handler"
  --path <path>     only the case that a failure named, with its seed and service
  --rounds <n>      ends after so many rounds
  --json            one line of JSON in place of the text`;

const { json, ...options } = optionsOf(process.argv.slice(2));
const workshop = await makeWorkshop();
try {
  const script = join(workshop.folder, 'server.mjs');
  const fuzzer = join(workshop.folder, 'fuzz.mjs');
  await Promise.all([bundle('server.ts', script), bundle('fuzz.ts', fuzzer)]);
  const { fuzz } = await import(pathToFileURL(fuzzer).href);
  if (!json) console.log(`Seed ${options.seed}`);
  const result = await fuzz({ ...options, script, onProgress: json ? undefined : progress });
  progress();
  if (json) console.log(JSON.stringify({ seed: options.seed, ...result }));
  else print(result);
  if (result.failures.length > 0) process.exitCode = 1;
} finally {
  await workshop.remove();
}

function print({ figures, failures, memory, latency }) {
  const { rounds, cases, connections, requests, outcomes, statuses } = figures;
  const ms = (name) => `${latency[name].toFixed(1)} ms`;
  const kB = ({ heapBytes }) => `${Math.round(heapBytes / 1_000)} kB`;
  console.log(
    `${rounds} rounds, ${cases} cases, ${connections} connections, ${requests} requests, ${outcomes} outcomes`,
  );
  console.log(
    `Outcomes by status: ${Object.entries(statuses)
      .map(([status, count]) => `${status}: ${count}`)
      .join(', ')}`,
  );
  console.log(`Heap: ${kB(memory.before)} before, ${kB(memory.after)} after`);
  console.log(
    `Another route: p50 ${ms('idleP50')}, p99 ${ms('idleP99')} idle; p50 ${ms('p50')}, p99 ${ms('p99')} under attack`,
  );
  for (const { service, seed, path, violations, bytes } of failures) {
    console.error(`\n${service}: NOT as it should be.`);
    for (const violation of violations) console.error(`  - ${violation}`);
    for (const text of bytes) console.error(`  sent: ${text}`);
    const only = path === undefined ? '' : ` --service ${JSON.stringify(service)} --path ${path}`;
    console.error(`  again: npm run fuzz -- --rounds 1 --seed ${seed}${only}`);
  }
}

/** One line that is written over, on a terminal only. */
function progress(figures) {
  if (!process.stderr.isTTY) return;
  const { cases, requests, outcomes } = figures ?? {};
  process.stderr.write(`\r\u001b[K${figures ? `${cases} cases, ${requests} requests, ${outcomes} outcomes` : ''}`);
}

function optionsOf(args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(randomInt(1, 2 ** 31)) },
        rounds: { type: 'string' },
        service: { type: 'string' },
        path: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean' },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const rounds = values.rounds ?? (values.path === undefined ? undefined : '1');
    return {
      ...values,
      minutes: numberOf(values.minutes),
      seed: Math.trunc(numberOf(values.seed)),
      rounds: rounds === undefined ? undefined : numberOf(rounds),
    };
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

function numberOf(text) {
  const number = Number(text);
  if (!(number > 0)) throw new TypeError(`not a number above 0: ${text}`);
  return number;
}
