import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll } from 'vitest';
import { blocksOf, pageAt, root } from './markdown.js';
import { modulesOf, sourcesOfExports } from './type-check.js';

const aliases = Object.fromEntries(
  Object.entries(sourcesOfExports()).map(([name, [source = '']]) => [name, join(root, source)]),
);

interface Changes {
  /** Modules in place of others, by name. */
  readonly alias?: Readonly<Record<string, string>>;
  readonly edit?: (text: string) => string;
}

/**
 * The blocks of a page as files in a folder of their own, with the sources in place of the package. Gives a function
 * that runs one of them and gives what it exports; tests in it are tests of the suite it is called in.
 */
export async function runnable(
  path: string,
  { alias = {}, edit = (text) => text }: Changes = {},
): Promise<(file: string) => Promise<Record<string, unknown>>> {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-docs-'));
  afterAll(() => rm(folder, { recursive: true }));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir');
  for (const { file, text } of modulesOf(blocksOf(pageAt(path)))) {
    await writeFile(join(folder, basename(file)), edit(text));
  }
  return async (file) => {
    const outfile = join(folder, `${file}.mjs`);
    await build({
      entryPoints: [join(folder, file)],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
      alias: { ...aliases, ...alias },
    });
    return import(pathToFileURL(outfile).href);
  };
}
