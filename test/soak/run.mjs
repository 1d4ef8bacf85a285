// npm run soak -- [--backend <name>]... [--events <n>] [--seed <text>] [--no-kills] [--no-faults] [--hours <n>]
// npm run soak -- --hours <n> [--rate <n>] [--seed <text>]
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { backends } from './backends.mjs';
import { printHead, printProblems, printRow, progress } from './print.mjs';
import { soak } from './soak.mjs';
import { keep, steady, steadyWrongs, summaryOf } from './steady.mjs';
import { figuresOf, violationsOf } from './violations.mjs';
import { wrongServices } from './wrong-services.mjs';

const usage = `Usage: npm run soak -- [options]

Delivers events to a service in a process of its own, kills it, takes its store away and lets its sinks fail, and
prints what became of the events. Ends with status 1 when one was lost, delivered too often, or answered wrongly.
  --backend <name>  only this one; may be repeated: ${Object.keys(backends).join(', ')}
  --events <n>      distinct events for each: 2000
  --seed <text>     as an earlier run printed it, to try that again
  --hours <n>       with any option above or --no-...: again and again with other seeds, for so long
  --no-kills        kill no process
  --no-faults       leave store and sinks alone
  --wrong <name>    a service that is wrong on purpose: ${Object.keys(wrongServices).join(', ')}
  --json            one line of JSON a run in place of the table

       npm run soak -- --hours <n> [--rate <n>] [--seed <text>]

Delivers to one service at a rate, duplicates, forgeries and broken ones among them, while its sinks fail and hang, and
draws its memory, handles and latency. Ends with status 1 unless they stay flat and every answer is right.
  --hours <n>       for so long, also a part of one: 1
  --rate <n>        deliveries a second: 500
  --wrong <name>    a service that is wrong on purpose: ${steadyWrongs.join(', ')}`;

const { isSteady, chosen, events, rate, hours, kills, faults, wrong, json, ...options } = optionsOf(
  process.argv.slice(2),
);
if (!json) console.log(`Seed ${options.seed}`);
if (isSteady) await runSteadily();
else await runAgainAndAgain();

async function runSteadily() {
  const forMs = (hours || 1) * 60 * 60_000;
  const report = await steady({ rate, forMs, seed: options.seed, wrong, onProgress: json ? undefined : progress });
  progress('');
  if (json) console.log(JSON.stringify(report));
  else console.log(`${summaryOf(report)}\nAll of it: ${await keep(report)}`);
  if (report.violations.length === 0) return;
  process.exitCode = 1;
  console.error(['NOT as it should be.', ...report.violations.map((violation) => `  - ${violation}`)].join('\n'));
}

async function runAgainAndAgain() {
  const until = performance.now() + hours * 60 * 60_000;
  const seeds = [options.seed];
  if (!json) printHead();
  do {
    const seed = seeds.at(-1);
    for (const backend of chosen) await run(backend, seed);
    seeds.push(`${options.seed}-${seeds.length}`);
  } while (performance.now() < until);
}

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
        events: { type: 'string' },
        rate: { type: 'string' },
        seed: { type: 'string', default: randomBytes(4).toString('hex') },
        hours: { type: 'string', default: '0' },
        kills: { type: 'boolean' },
        faults: { type: 'boolean' },
        wrong: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean' },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const {
      backend: chosen = Object.keys(backends),
      events = '2000',
      rate,
      kills = true,
      faults = true,
      wrong,
    } = values;
    const hours = numberOf(values.hours, 0);
    const ofFaults = ['backend', 'events', 'kills', 'faults'].filter((name) => values[name] !== undefined);
    const isSteady = rate !== undefined || (hours > 0 && ofFaults.length === 0);
    if (rate !== undefined && ofFaults.length > 0)
      throw new TypeError(`--rate does not go with ${ofFaults.join(', ')}`);
    const unknown = chosen.find((name) => !Object.hasOwn(backends, name));
    if (unknown !== undefined) throw new TypeError(`no such backend: ${unknown}`);
    const wrongs = isSteady ? steadyWrongs : Object.keys(wrongServices);
    if (wrong !== undefined && !wrongs.includes(wrong)) throw new TypeError(`no such service: ${wrong}`);
    return {
      ...values,
      isSteady,
      chosen,
      kills,
      faults,
      hours,
      events: numberOf(events, 1),
      rate: numberOf(rate ?? '500', 1),
    };
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
