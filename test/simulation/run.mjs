// npm run simulate -- [--seeds <n>] [--seed <n>] [--mutant <name>] [--small [--deviations <n>]]
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { bundle, makeWorkshop } from '../fuzz/bundle.mjs';
import { mutants } from './mutants.mjs';

const usage = `Usage: npm run simulate -- [options]

Runs the engine in worlds with a clock and a scheduler of their own, in which stores fail, processes die and senders
hang up, and checks what is promised. Ends with status 1 when it does not hold, with the seed that shows it.
  --seeds <n>       so many worlds: 10000
  --from <n>        the first seed: 1
  --seed <n>        only this one, made small, with all that happens in it
  --tally           goes on after a failure, and lists the first seed of each rule that does not hold
  --small           every history of the small world, in place of seeds
  --deviations <n>  how often in it something may come before what was due a moment earlier: 1
  --mutant <name>   the code with one thing wrong in it; "all" for each of them`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    small: { type: 'boolean', default: false },
    deviations: { type: 'string', default: '1' },
    tally: { type: 'boolean', default: false },
    mutant: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}

const workshop = await makeWorkshop();
try {
  if (values.mutant === 'all') await findAll();
  else await run(await load(values.mutant));
} finally {
  await workshop.remove();
}

async function load(name) {
  const outfile = join(workshop.folder, `simulate-${Math.random()}.mjs`);
  const changes = name === undefined ? [] : mutants[name];
  if (changes === undefined)
    throw new TypeError(`no mutant is named ${name}: there are ${Object.keys(mutants).join(', ')}`);
  await bundle('../simulation/simulate.ts', outfile, changes);
  return import(pathToFileURL(outfile).href);
}

async function run({ search, shrink, explore, tally }) {
  if (values.tally) {
    const rules = await tally(Number(values.from), Number(values.seeds));
    for (const [rule, { seed, count }] of rules) console.log(`${count} worlds, first by seed ${seed}: ${rule}`);
    if (rules.size > 0) process.exitCode = 1;
    else console.log(`${values.seeds} seeds, all as promised`);
    return;
  }
  if (values.small) {
    const { histories, violations, log } = await explore(Number(values.deviations), undefined, (done) => {
      if (done % 10_000 === 0) console.log(`${done} histories`);
    });
    for (const line of log) console.log(line);
    console.log(`${histories} histories${violations.length === 0 ? ', all as promised' : ''}`);
    report(violations);
    return;
  }
  if (values.seed === undefined) {
    const startedAt = performance.now();
    const seeds = Number(values.seeds);
    const found = await search(Number(values.from), seeds, (done) => {
      if (done % 10_000 === 0) console.log(`${done} seeds, ${Math.round((performance.now() - startedAt) / 1_000)} s`);
    });
    if (found === undefined) {
      console.log(`${seeds} seeds, all as promised, ${Math.round((performance.now() - startedAt) / 1_000)} s`);
    } else {
      report(found.violations);
      console.log(
        `again: npm run simulate -- --seed ${found.seed}${values.mutant ? ` --mutant ${values.mutant}` : ''}`,
      );
    }
    return;
  }
  const { log, violations } = await shrink(Number(values.seed));
  for (const line of log) console.log(line);
  report(violations);
}

function report(violations) {
  for (const { rule, what } of violations) console.log(`NOT: ${rule}: ${what}`);
  if (violations.length > 0) process.exitCode = 1;
}

async function findAll() {
  for (const name of Object.keys(mutants)) {
    const loaded = await load(name).catch(() => undefined);
    if (loaded === undefined) {
      console.log(`CANNOT BE MADE ${name}`);
      process.exitCode = 1;
      continue;
    }
    const { search } = loaded;
    const found = await search(Number(values.from), Number(values.seeds));
    console.log(
      `${found === undefined ? 'NOT FOUND' : `seed ${found.seed}`.padEnd(12)} ${name}${found ? `: ${found.violations[0].rule}` : ''}`,
    );
    if (found === undefined) process.exitCode = 1;
  }
}
