/**
 * The entries of the package: the only list of them. The build, the API reports and the reference read it, and
 * `npm run entries` writes `exports` and `typesVersions` of package.json. A test fails while those differ from it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** Each one's file in `src`, without its extension. */
export const entries = [
  'index',
  'koa',
  'fetch',
  'shodai/index',
  'shodai/koa',
  'shodai/fetch',
  'v0/index',
  'v0/koa',
  'v0/fetch',
  'provider/index',
  'provider/koa',
  'provider/fetch',
  'stores/index',
  'sinks/index',
  'sinks/kit',
  'api/index',
  'catch-up/index',
  'metrics/index',
  'testing/index',
];

/** The subpath of an entry after the package's name: '' for the first one. */
export function subpathOf(entry) {
  return entry.replace(/\/?\bindex$/, '');
}

export function sourceOf(entry) {
  return `src/${entry}.ts`;
}

/** CommonJS has the declarations, and those of the ES modules refer to them. */
export function declarationsOf(entry) {
  return `dist/cjs/${entry}.d.ts`;
}

/** The two fields of package.json. Resolvers that know no `exports` need `typesVersions`. */
export function manifestFields() {
  const filesOf = (format, entry) => ({
    types: `./dist/${format}/${entry}.d.ts`,
    default: `./dist/${format}/${entry}.js`,
  });
  const targetsOf = (entry) => ({ import: filesOf('esm', entry), require: filesOf('cjs', entry) });
  const withSubpath = entries.filter((entry) => subpathOf(entry) !== '');
  return {
    exports: {
      ...Object.fromEntries(entries.map((entry) => [`./${subpathOf(entry)}`.replace(/\/$/, ''), targetsOf(entry)])),
      './package.json': './package.json',
    },
    typesVersions: {
      '*': Object.fromEntries(withSubpath.map((entry) => [subpathOf(entry), [`./${declarationsOf(entry)}`]])),
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
  writeFileSync('package.json', `${JSON.stringify({ ...manifest, ...manifestFields() }, null, 2)}\n`);
}
