/** Mutation tests: `npm run mutation` for all parts, `npm run mutation -- answer forward-run` for some of them. */
import { spawnSync } from 'node:child_process';
import { parts } from './parts.mjs';

const names = process.argv.slice(2);
const failed = (names.length > 0 ? names : Object.keys(parts)).filter((name) => {
  console.log(`\n=== ${name}`);
  const env = { ...process.env, MUTATION_PART: name };
  const args = ['run', 'scripts/mutation/stryker.config.mjs'];
  return spawnSync('stryker', args, { env, stdio: 'inherit', shell: process.platform === 'win32' }).status !== 0;
});
if (failed.length > 0) {
  console.error(`\nNot enough of the mutants were noticed, or there was none to test: ${failed.join(', ')}`);
  process.exitCode = 1;
}
