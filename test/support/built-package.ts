import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject, vi } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const sources = ['package.json', 'tsconfig.json', 'scripts', 'src'];

/**
 * Copies `package.json` and `dist` into a folder. The first test file that asks builds them for all files of the run,
 * from the sources as they stand, because the project's own `dist` may be older. There are no declarations, because
 * nothing that runs reads them.
 */
export async function copyBuiltPackage(to: string): Promise<void> {
  const folder = inject('buildFolder');
  const report = join(folder, 'report');
  // One process can make it, and no other.
  const isFirst = await mkdir(join(folder, 'build')).then(
    () => true,
    () => false,
  );
  if (isFirst) await writeFile(report, await build(join(folder, 'build')));
  const fault = await vi.waitFor(() => readFile(report, 'utf8'), 300_000);
  if (fault !== '') throw new Error(`the build failed: ${fault}`);
  for (const part of ['package.json', 'dist']) {
    await cp(join(folder, 'build', part), join(to, part), { recursive: true });
  }
}

/** Returns what went wrong. */
async function build(folder: string): Promise<string> {
  for (const source of sources) await cp(join(root, source), join(folder, source), { recursive: true });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir');
  const { PATH } = process.env;
  const options = { cwd: folder, env: { PATH } };
  return promisify(execFile)(process.execPath, ['scripts/build.mjs', '--no-declarations'], options).then(
    () => '',
    (error: Error) => error.message,
  );
}
