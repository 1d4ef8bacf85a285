// npm run soak -- [--backend <name>]... [--events <n>] [--seed <text>] [--no-kills] [--no-faults] [--hours <n>]
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { backends } from './backends.mjs';
import { printHead, printProblems, printRow, progress } from './print.mjs';
import { soak } from './soak.mjs';
import { figuresOf, violationsOf } from './violations.mjs';
import { wrongServices } from './wrong-services.mjs';

const usage = `Usage: npm run soak -- [options]

Delivers events to a service in a process of its own, kills it, takes its store away and lets its sinks fail, and
prints what became of the events. Ends with status 1 when one was lost, told too often, or answered wrongly.
  --backend <name>  only this one; may be repeated: ${Object.keys(backends).join(', ')}
  --events <n>      distinct events for each: 2000
  --seed <text>     as an earlier run printed it, to try that again
  --hours <n>       again and again with other seeds, for so long
  --no-kills        kill no process
  --no-faults       leave store and sinks alone
  --wrong <name>    a service that is wrong on purpose: ${Object.keys(wrongServices).join(', ')}
  --json            one line of JSON a run in place of the table`;

const { chosen, events, hours, kills, faults, wrong, json, ...options } = optionsOf(process.argv.slice(2));
const until = performance.now() + hours * 60 * 60_000;
const seeds = [options.seed];
if (!json) console.log(`Seed ${options.seed}`);
if (!json) printHead();
do {
  const seed = seeds.at(-1);
  for (const backend of chosen) await run(backend, seed);
  seeds.push(`${options.seed}-${seeds.length}`);
} while (performance.now() < until);

async function run(backend, seed) {
  const report = await soak({
    backend,
    events,
    seed,
    kills: kills && backends[backend].isDurable,
    faults,
    ...(wrong && { service: './wrong-service.mjs', scriptOptions: { wrong } }),
    onProgress: json ? undefined : progress,
  });
  const violations = violationsOf(report);
  if (json) console.log(JSON.stringify({ seed, figures: figuresOf(report), violations }));
  else printRow(figuresOf(report));
  if (violations.length === 0) return;
  process.exitCode = 1;
  printProblems(report, violations);
}

function optionsOf(args) {
  try {
    const { values } = parseArgs({
      args,
      allowNegative: true,
      options: {
        backend: { type: 'string', multiple: true },
        events: { type: 'string', default: '2000' },
        seed: { type: 'string', default: randomBytes(4).toString('hex') },
        hours: { type: 'string', default: '0' },
        kills: { type: 'boolean', default: true },
        faults: { type: 'boolean', default: true },
        wrong: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean' },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const { backend: chosen = Object.keys(backends), wrong } = values;
    const unknown = chosen.find((name) => !Object.hasOwn(backends, name));
    if (unknown !== undefined) throw new TypeError(`no such backend: ${unknown}`);
    if (wrong !== undefined && !Object.hasOwn(wrongServices, wrong)) throw new TypeError(`no such service: ${wrong}`);
    return { ...values, chosen, events: numberOf(values.events, 1), hours: numberOf(values.hours, 0) };
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

function numberOf(text, least) {
  const number = Number(text);
  if (!(number >= least)) throw new TypeError(`not a number of at least ${least}: ${text}`);
  return number;
}
