import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A folder in which bundled scripts find the project's libraries. */
export async function makeWorkshop() {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-fuzz-'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir');
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** @typedef {{ readonly file: string, readonly from: string, readonly to: string }} Change a text in a source file and its replacement */

/**
 * Makes one file of a script in this folder with the package's source in it, so that what is tested is what stands
 * there and not what was built last. Changes to the source make a mutant of it.
 *
 * @param {string} script
 * @param {string} outfile
 * @param {readonly Change[]} changes
 */
export async function bundle(script, outfile, changes = []) {
  const made = new Set();
  await build({
    entryPoints: [fileURLToPath(new URL(script, import.meta.url))],
    outfile,
    bundle: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
    plugins: [
      {
        name: 'outside of a test',
        setup(build) {
          // The adapters' own tests have them closed when a test is over.
          build.onResolve({ filter: /^vitest$/ }, () => ({ path: 'vitest', namespace: 'none' }));
          build.onLoad({ filter: /.*/, namespace: 'none' }, () => ({
            contents: 'export const onTestFinished = () => {};',
          }));
        },
      },
      {
        name: 'mutant',
        setup(build) {
          for (const file of new Set(changes.map((change) => change.file))) {
            const filter = new RegExp(`/${file.replaceAll('.', '\\.')}$`);
            build.onLoad({ filter }, async ({ path }) => {
              made.add(file);
              return { contents: mutated(await readFile(path, 'utf8'), changes, file), loader: 'ts' };
            });
          }
        },
      },
    ],
  });
  for (const { file } of changes) if (!made.has(file)) throw new Error(`${file} is no part of ${script}`);
}

function mutated(source, changes, file) {
  let text = source;
  for (const { from, to } of changes.filter((change) => change.file === file)) {
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times, and not once: ${from}`);
    text = parts.join(to);
  }
  return text;
}
