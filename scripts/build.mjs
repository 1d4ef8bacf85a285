// Builds dist/: the ES modules with tsup, and from each of them its CommonJS twin under the same name. npm packs equal
// names side by side, where what is nearly the same compresses to little: CommonJS costs a tenth of the package.
// With --modules it builds the ES modules only, for tests that run them from a copy of the sources.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, posix, relative, resolve, sep } from 'node:path';
import { build as bundle, transform } from 'esbuild';
import { rollup } from 'rollup';
import { build } from 'tsup';
import { declarationsOf, entries, sourceOf } from './entries.mjs';

const onlyModules = process.argv.includes('--modules');

await rm('dist', { recursive: true, force: true });
await buildModules();
if (!onlyModules) {
  await mergeChunks();
  for (const file of await readdir('dist/esm', { recursive: true })) {
    if (file.endsWith('.js')) await makeCommonJs(file);
  }
  await shareDeclarations();
  await write('dist/cjs/package.json', '{ "type": "commonjs" }\n');
  await bundleCommand();
}

/** tsup's own CommonJS with shared chunks compiles `??` and `?.` down to function calls, also on the hot path. */
function buildModules() {
  return build({
    config: false,
    silent: true,
    entry: entries.map(sourceOf),
    format: 'esm',
    outDir: 'dist/esm',
    target: 'node20',
    removeNodeProtocol: false,
    // Entries share one copy of their common code, so that a store or an error is the same class in all of them.
    splitting: true,
    dts: !onlyModules && { compilerOptions: { ignoreDeprecations: '6.0' } },
    // Names stay, so that a stack trace still reads well.
    esbuildOptions(options) {
      options.minifyWhitespace = true;
      options.minifySyntax = true;
    },
  });
}

/**
 * The chunks of the root entry in four files: the engine, what it stands on, what stands on it, and what of that is for
 * `node:http`. To load a file costs more than most have in them. One file for all would be too large for its CommonJS
 * twin to be packed to little: gzip looks back 32 kB.
 */
async function mergeChunks() {
  const files = (await readdir('dist/esm', { recursive: true })).filter((file) => file.endsWith('.js')).map(posixOf);
  const [chunks, entries] = [files.filter(isChunk), files.filter((file) => !isChunk(file))];
  const merged = await rollup({
    input: Object.fromEntries(entries.map((file) => [file.replace(/\.js$/, ''), join('dist/esm', file)])),
    external: (id) => !isAbsolute(id) && !id.startsWith('.') && !id.startsWith('dist'),
    treeshake: false,
  });
  for (const file of chunks) await rm(join('dist/esm', file));
  await merged.write({
    dir: 'dist/esm',
    format: 'esm',
    chunkFileNames: ({ name }) => (isChunk(name) ? '[name].js' : 'chunk-[name].js'),
    manualChunks: (id, { getModuleInfo }) => groupOf(id, getModuleInfo),
    hoistTransitiveImports: false,
    minifyInternalExports: false,
  });
}

/** What a chunk of the root entry becomes a part of. */
function groupOf(id, moduleOf) {
  const importsOf = (importer, found = new Set()) => {
    for (const imported of moduleOf(importer)?.importedIds ?? []) {
      if (!found.has(imported)) importsOf(imported, found.add(imported));
    }
    return found;
  };
  const ofRoot = [...importsOf(resolve('dist/esm/index.js'))].filter((path) => isChunk(posix.basename(posixOf(path))));
  if (!ofRoot.includes(id)) return undefined;
  const sizeOf = (path) => moduleOf(path).code.length;
  const engine = ofRoot.reduce((one, other) => (sizeOf(other) > sizeOf(one) ? other : one));
  if (id === engine) return 'engine';
  if (importsOf(engine).has(id)) return 'core';
  return importsOf(id).has('raw-body') ? 'node' : 'endpoint';
}

function isChunk(file) {
  return file.startsWith('chunk-');
}

function posixOf(path) {
  return path.replaceAll(sep, '/');
}

async function makeCommonJs(file) {
  const source = await readFile(join('dist/esm', file), 'utf8');
  const { code } = await transform(source, {
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    minifyWhitespace: true,
  });
  await write(join('dist/cjs', file), code);
}

/** CommonJS takes the declarations over, and the ES modules refer to them: packed once, and the same types in both. */
async function shareDeclarations() {
  for (const file of await readdir('dist/esm', { recursive: true })) {
    if (!file.endsWith('.d.ts')) continue;
    await write(join('dist/cjs', file), await readFile(join('dist/esm', file), 'utf8'));
    await rm(join('dist/esm', file));
  }
  for (const entry of entries) {
    const types = `dist/esm/${entry}.d.ts`;
    const shared = declarationsOf(entry).replace(/\.d\.ts$/, '.js');
    // Modules are named with slashes everywhere.
    await write(types, `export * from '${posix.relative(posix.dirname(types), shared)}';\n`);
  }
}

/** The command with the libraries it is made of, and without the package's own entries, which lie beside it. */
async function bundleCommand() {
  await bundle({
    entryPoints: ['src/command/main.ts'],
    bundle: true,
    // What one subcommand needs is loaded with it.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    outdir: 'dist/command',
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    loader: { '.html': 'text', '.txt': 'text' },
    // Installed by those who ask for them.
    external: ['better-sqlite3', 'ioredis', 'pg', 'redis'],
    // For the libraries in it that are CommonJS.
    banner: { js: "import{createRequire as $require}from'node:module';const require=$require(import.meta.url);" },
    plugins: [{ name: 'entries', setup: (build) => build.onResolve({ filter: /^\.\.\// }, toEntry) }],
    logLevel: 'warning',
  });
}

function toEntry({ path, resolveDir }) {
  const file = relative(resolve('src'), resolve(resolveDir, path));
  return existsSync(join('dist/esm', file))
    ? { path: `../esm/${file.replaceAll(sep, '/')}`, external: true }
    : undefined;
}

async function write(file, text) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}
