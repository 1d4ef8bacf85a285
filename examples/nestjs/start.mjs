// Compiles and starts, as `nest start` does in a project of its own: `node start.mjs main.ts`.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const [main] = process.argv.slice(2);
const outfile = new URL(`dist/${main.replace(/ts$/, 'mjs')}`, import.meta.url);
await build({
  entryPoints: [fileURLToPath(new URL(main, import.meta.url))],
  outfile: fileURLToPath(outfile),
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
});
await import(outfile.href);
