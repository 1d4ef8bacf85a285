// npm run bench -- [--quick] [cpu] [load] [flood] [memory] [import] [stores] [runtimes] [store-memory]
//   [serve-start] [serve-workers] [trigger-rate] [together] [together-http]
//   [growth] [delivering] [storm [--count N]] [--only name]...
// Results go into results.json. Parts that were not run keep their results.
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { cpu } from './cpu.mjs';
import { delivering } from './delivering.mjs';
import { flood } from './flood.mjs';
import { growth } from './growth.mjs';
import { importCost } from './import.mjs';
import { load } from './load.mjs';
import { memory } from './memory.mjs';
import { beginPart, measured } from './report.mjs';
import { onRuntimes } from './runtimes.mjs';
import { serveStart } from './serve-start.mjs';
import { serveWorkers } from './serve-workers.mjs';
import { storeMemory } from './store-memory.mjs';
import { stores } from './stores.mjs';
import { storm } from './storm.mjs';
import { together } from './together.mjs';
import { togetherHttp } from './together-http.mjs';
import { triggerRate } from './trigger-rate.mjs';

const parts = {
  cpu,
  load,
  flood,
  memory,
  import: importCost,
  stores,
  runtimes: onRuntimes,
  'store-memory': storeMemory,
  'serve-start': serveStart,
  'serve-workers': serveWorkers,
  'trigger-rate': triggerRate,
  together,
  'together-http': togetherHttp,
  growth,
  delivering,
  storm,
};
const { values, positionals: asked } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    count: { type: 'string' },
    only: { type: 'string', multiple: true },
  },
});
const { quick, only } = values;
const count = values.count === undefined ? undefined : Number(values.count);
const unknown = asked.filter((arg) => !Object.hasOwn(parts, arg));

if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(' ')}. Usage: npm run bench -- [--quick] [${Object.keys(parts).join('] [')}]`);
  process.exit(2);
}

const processors = cpus();
const machine = `Node ${process.versions.node}, ${processors.length} x ${processors[0]?.model.trim()}`;
console.log(machine);
console.log('Figures are medians; in brackets the middle half of the rounds.');
for (const name of asked.length > 0 ? asked : Object.keys(parts)) {
  beginPart(name, { machine, quick });
  await parts[name](quick, { count, only });
}
// A part of which only some was measured would take the place of the whole.
if (only !== undefined) process.exit();
const file = new URL('results.json', import.meta.url);
const before = await readFile(file, 'utf8').catch(() => '{}');
await writeFile(file, `${JSON.stringify({ ...JSON.parse(before), ...measured }, null, 2)}\n`);
