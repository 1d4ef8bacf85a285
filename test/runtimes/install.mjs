/**
 * Installs the runtimes, frameworks and compilers of `package.json` beside this into a folder of their own, which later
 * runs use again. No install script runs: each binary lies in a package of the npm registry.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const files = ['package.json', 'package-lock.json'];

/** Returns its `node_modules`. */
export async function installRuntimes() {
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(join(here, file)));
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'vast-webhook');
  const folder = join(cache, `runtimes-${hash.digest('hex').slice(0, 12)}`);
  if (!existsSync(folder)) {
    await mkdir(cache, { recursive: true });
    // Under another name until it is whole, so that an interrupted run leaves nothing that looks complete.
    const unfinished = await mkdtemp(`${folder}-`);
    try {
      for (const file of files) await cp(join(here, file), join(unfinished, file));
      const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
      await promisify(execFile)('npm', args, { cwd: unfinished });
      // Another run may have finished first.
      await rename(unfinished, folder).catch((error) => {
        if (!existsSync(folder)) throw error;
      });
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  }
  return join(folder, 'node_modules');
}
