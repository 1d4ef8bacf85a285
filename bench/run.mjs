// npm run bench -- [--quick] [cpu] [load] [memory] [import] [stores] [store-memory] [serve-start]
//   [trigger-rate]
// Results go into results.json. Parts that were not run keep their results.
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { cpu } from './cpu.mjs';
import { importCost } from './import.mjs';
import { load } from './load.mjs';
import { memory } from './memory.mjs';
import { beginPart, measured } from './report.mjs';
import { serveStart } from './serve-start.mjs';
import { storeMemory } from './store-memory.mjs';
import { stores } from './stores.mjs';
import { triggerRate } from './trigger-rate.mjs';

const parts = {
  cpu,
  load,
  memory,
  import: importCost,
  stores,
  'store-memory': storeMemory,
  'serve-start': serveStart,
  'trigger-rate': triggerRate,
};
const args = process.argv.slice(2);
const quick = args.includes('--quick');
const asked = args.filter((arg) => arg !== '--quick');
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
  await parts[name](quick);
}
const file = new URL('results.json', import.meta.url);
const before = await readFile(file, 'utf8').catch(() => '{}');
await writeFile(file, `${JSON.stringify({ ...JSON.parse(before), ...measured }, null, 2)}\n`);
