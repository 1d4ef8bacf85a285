/** A project with the packed package and what was installed for it, in which every runtime of this file's tests works. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import type { TestProject } from 'vitest/node';
import { entries, sourceOf, subpathOf } from '../../scripts/entries.mjs';
import { installRuntimes } from './install.mjs';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The folder of the project. */
    runtimesProject: string;
    /** The programs that are there, by the names in `binaries`. */
    runtimes: Readonly<Record<string, string>>;
  }
}

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const hosts = fileURLToPath(new URL('host/', import.meta.url));
const isCi = !['', '0', 'false'].includes(process.env.CI ?? '');

/** Each one's file in `node_modules`. */
const binaries = {
  'Node.js 20.0.0': 'node20/bin/node',
  'Node.js 22': 'node22/bin/node',
  'Node.js 24': 'node24/bin/node',
  'Node.js 26': 'node26/bin/node',
  Bun: '@oven/bun-linux-x64-baseline/bin/bun',
  Deno: '@deno/linux-x64-glibc/deno',
  workerd: '@cloudflare/workerd-linux-64/bin/workerd',
} as const;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-runtimes-'));
  const missing: string[] = [];
  try {
    const installed = await installRuntimes();
    await makeProject(folder, installed);
    const found: Record<string, string> = {};
    for (const [name, file] of Object.entries(binaries)) {
      const path = join(installed, file);
      if (existsSync(path)) found[name] = path;
      else missing.push(`${name}: there is no ${file} for ${process.platform} ${process.arch}`);
    }
    if (isCi && missing.length > 0) throw new Error(missing.join('\n'));
    project.provide('runtimesProject', folder);
    project.provide('runtimes', found);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return async () => {
    await rm(folder, { recursive: true, force: true });
    for (const line of missing) console.warn(`SKIPPED the tests in ${line}`);
  };
}

async function makeProject(folder: string, installed: string): Promise<void> {
  const modules = join(folder, 'node_modules');
  const own = join(modules, 'vast-webhook');
  await mkdir(own, { recursive: true });
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, type: 'module', dependencies: { 'vast-webhook': '*' } }),
  );
  const packed = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root });
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  await run('tar', ['-xzf', join(folder, filename), '-C', own, '--strip-components=1']);
  await mkdir(join(modules, '.bin'));
  await symlink('../vast-webhook/dist/cli/main.js', join(modules, '.bin/vast-webhook'));
  for (const name of await readdir(installed)) {
    if (!name.startsWith('.')) await symlink(join(installed, name), join(modules, name), 'dir');
  }
  // Its addon is compiled where the project itself is installed.
  await symlink(join(root, 'node_modules/better-sqlite3'), join(modules, 'better-sqlite3'), 'dir');
  await Promise.all([
    bundle(folder, 'node', { packages: 'external' }),
    bundle(folder, 'bun', { packages: 'external' }),
    bundle(folder, 'deno', { packages: 'external' }),
    ...['worker', 'worker-with-postgres'].map((worker) =>
      bundle(folder, worker, {
        external: ['node:*', 'cloudflare:*'],
        conditions: ['workerd', 'worker'],
        nodePaths: [modules],
        // `pg` is CommonJS. The command of Workers does the same for it.
        ...(worker !== 'worker' && {
          banner: { js: `import { createRequire } from 'node:module'; const require = createRequire('/worker.mjs');` },
        }),
      }),
    ),
  ]);
  for (const file of ['miniflare.mjs', 'miniflare-example.mjs']) await cp(join(hosts, file), join(folder, file));
}

/** The program of a runtime, with the cases and with what the tests of every adapter use. */
async function bundle(folder: string, name: string, options: BuildOptions): Promise<void> {
  await build({
    entryPoints: [join(hosts, `${name}.ts`)],
    outfile: join(folder, `${name}.mjs`),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
    plugins: [packaged],
    ...options,
  });
}

/** Imports of the sources become imports of the package by its public names. */
const packaged: Plugin = {
  name: 'packaged',
  setup(build) {
    const names = new Map(
      entries.map((entry) => [
        join(root, sourceOf(entry)),
        ['vast-webhook', subpathOf(entry)].filter(Boolean).join('/'),
      ]),
    );
    build.onResolve({ filter: /\/src\/.*\.js$/ }, ({ path, resolveDir, kind, importer }) => {
      const name = names.get(join(resolveDir, path.replace(/\.js$/, '.ts')));
      if (name === undefined)
        return { errors: [{ text: `${importer} needs ${path}, which is no entry of the package` }] };
      return build.initialOptions.packages === 'external'
        ? { path: name, external: true }
        : build.resolve(name, { kind, resolveDir: hosts });
    });
    build.onResolve({ filter: /^vitest$/ }, () => ({ path: join(hosts, 'no-vitest.ts') }));
  },
};
