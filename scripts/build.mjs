// Builds dist/: the ES modules with rollup, from each of them its CommonJS twin under the same name, the declarations
// with tsup, and the command. Nothing of ours is minified, because a stack trace must point at something.
// With --modules it builds the ES modules only, for tests that run them from a copy of the sources, and with
// --no-declarations all but the declarations, which take longer than everything else.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, posix, relative, resolve, sep } from 'node:path';
import { build as bundle, transform } from 'esbuild';
import { rollup } from 'rollup';
import { parseAst } from 'rollup/parseAst';
import { build as buildDeclarations } from 'tsup';
import { bundleDevPage, devPageModule } from './dev-page.mjs';
import { declarationsOf, entries, sourceOf, subpathOf } from './entries.mjs';

const target = 'node20';

/**
 * npm packs equal names side by side, and gzip looks back 32 kB: within that, a CommonJS twin is packed to little. So no
 * file is larger, and as few files as that allows, because to load a file costs more than most have in them.
 */
const maxChunkBytes = 31_000;

await rm('dist', { recursive: true, force: true });
await buildModules();
if (!process.argv.includes('--modules')) {
  for (const file of await readdir('dist/esm', { recursive: true })) {
    if (file.endsWith('.js')) await makeCommonJs(file);
  }
  if (!process.argv.includes('--no-declarations')) {
    await buildDeclarations({
      config: false,
      silent: true,
      entry: entries.map(sourceOf),
      format: 'esm',
      outDir: 'dist/esm',
      dts: { only: true, compilerOptions: { ignoreDeprecations: '6.0' } },
    });
    await shareDeclarations();
  }
  await write('dist/cjs/package.json', '{ "type": "commonjs" }\n');
  await bundleCommand();
}

/** Entries share one copy of their common code, so that a store or an error is the same class in all of them. */
async function buildModules() {
  let chunks;
  const bundle = await rollup({
    input: Object.fromEntries(entries.map((entry) => [entry, sourceOf(entry)])),
    external: (id) => !isAbsolute(id) && !id.startsWith('.') && !id.startsWith('src/'),
    plugins: [{ name: 'typescript', resolveId: sourceBeside, transform: toJavaScript }],
    // Such as one of chunks that import each other in a circle.
    onwarn(warning) {
      throw new Error(warning.message);
    },
  });
  await bundle.write({
    dir: 'dist/esm',
    format: 'esm',
    chunkFileNames: 'shared/[name].js',
    manualChunks: (id, { getModuleInfo }) => {
      chunks ??= chunksOf(getModuleInfo);
      return chunks.get(id);
    },
    hoistTransitiveImports: false,
    minifyInternalExports: false,
  });
}

/** Sources import each other by the names that their output has. */
function sourceBeside(imported, importer) {
  if (!importer || !imported.startsWith('.')) return undefined;
  return resolve(dirname(importer), imported.replace(/\.js$/, '.ts'));
}

async function toJavaScript(source, file) {
  const { code } = await transform(source, {
    loader: 'ts',
    target,
    tsconfigRaw: { compilerOptions: { target: 'ES2022', verbatimModuleSyntax: true } },
  });
  // In a file of many modules, it names the module of each line.
  return `// ${posixOf(relative('.', file))}\n${code}`;
}

/**
 * The chunk of each module that is no entry. What the root entry needs is `core`, and what of that needs `node:http`
 * is `node`, so that a worker does not load it. What only one other entry needs has that entry's name, and not its file,
 * because many files are named `index.js`: the twins would not lie side by side. What several entries need has the name
 * of its last module.
 */
function chunksOf(moduleOf) {
  const needs = new Map(entries.map((entry) => [entry, inOrder(resolve(sourceOf(entry)), moduleOf)]));
  const groups = new Map();
  for (const id of new Set([...needs.values()].flatMap((ids) => [...ids]))) {
    const { isEntry, isExternal } = moduleOf(id);
    if (isEntry || isExternal) continue;
    const users = entries.filter((entry) => needs.get(entry).has(id));
    const isNode = inOrder(id, moduleOf).has('raw-body');
    const group = users.includes('index') ? (isNode ? 'node' : 'core') : users.join();
    groups.set(group, [...(groups.get(group) ?? []), id]);
  }
  return new Map(
    [...groups].flatMap(([group, ids]) => {
      const pieces = piecesOf(ids, moduleOf);
      const name = entries.includes(group)
        ? group.replace(/\/index$/, '').replaceAll('/', '-')
        : group.includes(',')
          ? posix.basename(ids.at(-1), '.ts')
          : group;
      return pieces.flatMap((piece, i) => piece.map((id) => [id, pieces.length === 1 ? name : `${name}-${i + 1}`]));
    }),
  );
}

/** A module and all that it imports, each one after its imports. */
function inOrder(id, moduleOf, found = new Set(), path = new Set()) {
  if (found.has(id) || path.has(id)) return found;
  path.add(id);
  for (const imported of moduleOf(id)?.importedIds ?? []) inOrder(imported, moduleOf, found, path);
  return found.add(id);
}

/** Each piece imports only those before it. */
function piecesOf(ids, moduleOf) {
  const pieces = [[]];
  let bytes = 0;
  for (const id of ids) {
    const { length } = moduleOf(id).code;
    if (bytes + length > maxChunkBytes) {
      pieces.push([]);
      bytes = 0;
    }
    pieces.at(-1).push(id);
    bytes += length;
  }
  return pieces;
}

function posixOf(path) {
  return path.replaceAll(sep, '/');
}

/** The same text but for its imports and exports, so that packed beside the ES module it takes next to nothing. */
async function makeCommonJs(file) {
  const source = await readFile(join('dist/esm', file), 'utf8');
  const { body } = parseAst(source);
  let code = "'use strict';\nObject.defineProperty(exports, '__esModule', { value: true });\n";
  let end = 0;
  for (const node of body) {
    if (!/^(Import|Export)/.test(node.type)) continue;
    code += source.slice(end, node.start) + inCommonJs(node, variablesOf(body), file);
    end = node.end;
  }
  await write(join('dist/cjs', file), code + source.slice(end));
}

/** An import or an export. Values are copied: chunks import each other in no circle, and no exported one changes. */
function inCommonJs({ type, source, specifiers, declaration }, variables, file) {
  const from = source && `require(${source.raw})`;
  if (type === 'ImportDeclaration') return `${bindingOf(specifiers)}${from};`;
  if (type !== 'ExportNamedDeclaration' || declaration) throw new Error(`dist/esm/${file} has an unknown ${type}`);
  return specifiers
    .map(({ exported, local }) => {
      if (!from && variables.has(local.name)) throw new Error(`${local.name} in dist/esm/${file} must be a constant`);
      return `exports.${exported.name} = ${from ? `${from}.` : ''}${local.name};`;
    })
    .join('\n');
}

function bindingOf(specifiers) {
  if (specifiers.length === 0) return '';
  const [{ type, local }] = specifiers;
  // Of a library that is CommonJS: Node gives all of its exports as the default, too.
  if (type !== 'ImportSpecifier' && specifiers.length === 1) return `const ${local.name} = `;
  const names = specifiers.map((each) => {
    const { name } = each.imported;
    return name === each.local.name ? name : `${name}: ${each.local.name}`;
  });
  return `const { ${names.join(', ')} } = `;
}

function variablesOf(body) {
  const declarations = body.filter(({ type, kind }) => type === 'VariableDeclaration' && kind !== 'const');
  return new Set(declarations.flatMap((each) => each.declarations.map(({ id }) => id.name)));
}

/** CommonJS takes the declarations over, and the ES modules refer to them: packed once, and the same types in both. */
async function shareDeclarations() {
  for (const file of await readdir('dist/esm', { recursive: true })) {
    if (!file.endsWith('.d.ts')) continue;
    const types = await readFile(join('dist/esm', file), 'utf8');
    // Otherwise only @types/node has it, beside which not everybody compiles.
    const lib = types.includes('Symbol.asyncDispose') ? '/// <reference lib="esnext.disposable" />\n' : '';
    await write(join('dist/cjs', file), lib + types);
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
  const page = await bundleDevPage();
  const { metafile } = await bundle({
    entryPoints: ['src/cli/main.ts'],
    bundle: true,
    // The modules of one subcommand are loaded with it.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target,
    outdir: 'dist/cli',
    legalComments: 'none',
    loader: { '.txt': 'text' },
    // Installed by those who ask for them.
    external: ['better-sqlite3', 'ioredis', 'pg', 'redis'],
    // For the libraries in it that are CommonJS.
    banner: { js: "import{createRequire as $require}from'node:module';const require=$require(import.meta.url);" },
    plugins: [
      { name: 'entries', setup: (build) => build.onResolve({ filter: /^(\.\.\/|vast-webhook)/ }, toEntry) },
      { name: 'unused', setup: leaveOutUnused },
      { name: 'page', setup: (build) => addPage(build, page.html) },
      { name: 'libraries', setup: (build) => build.onLoad({ filter: /[\\/]node_modules[\\/].*\.[cm]?js$/ }, minified) },
    ],
    metafile: true,
    logLevel: 'warning',
  });
  await writeLicences([...Object.keys(metafile.inputs), ...page.inputs]);
}

/** A library's file. Only our own code stays as it is, because a stack trace through it must point at something. */
async function minified({ path }) {
  const { code } = await transform(await readFile(path, 'utf8'), { minify: true, platform: 'node', target });
  return { contents: code, loader: 'js' };
}

/** What prom-client loads for exemplars, summaries and gateways, of which `serve` has none: most of its size. */
function leaveOutUnused(build) {
  const filter = /^(@opentelemetry\/api|\.\/lib\/(summary|pushgateway|bucketGenerators))$/;
  build.onResolve({ filter }, ({ path, importer }) =>
    importer.includes('prom-client') ? { path, namespace: 'unused' } : undefined,
  );
  build.onLoad({ filter: /.*/, namespace: 'unused' }, () => ({ contents: 'module.exports = {};' }));
}

function addPage(build, html) {
  build.onResolve({ filter: new RegExp(`^${devPageModule}$`) }, ({ path }) => ({ path, namespace: 'page' }));
  build.onLoad({ filter: /.*/, namespace: 'page' }, () => ({ contents: html, loader: 'text' }));
}

/** An entry is imported from where it lies in the package, by whichever name the command's source has for it. */
function toEntry({ path, resolveDir }) {
  const bySubpath = new Map(entries.map((entry) => [posix.join('vast-webhook', subpathOf(entry)), `${entry}.js`]));
  const file = bySubpath.get(path) ?? posixOf(relative(resolve('src'), resolve(resolveDir, path)));
  return existsSync(join('dist/esm', file)) ? { path: `../esm/${file}`, external: true } : undefined;
}

/** Their licences allow to ship the libraries in the command with their texts only. */
async function writeLicences(inputs) {
  const folders = inputs.map((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(posixOf(input))?.[0]);
  const texts = [...new Set(folders.filter((folder) => folder !== undefined))].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined)
      throw new Error(`${name} has no licence text: leave it out of the command, or add the text`);
    return `${name} ${version} (${license})\n\n${(await readFile(join(folder, file), 'utf8')).trim()}\n`;
  });
  const separator = `\n${'-'.repeat(80)}\n\n`;
  await write('dist/cli/LICENSES.txt', (await Promise.all(texts)).join(separator));
}

async function write(file, text) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}
