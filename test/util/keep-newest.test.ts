import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { bundle, makeWorkshop } from '../fuzz/bundle.mjs';

const workers = `Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Cloudflare-Workers' } })`;
/** Of the package, on the way of each delivery. V8 has not compiled all of them by then. */
const own = /^(Dispatch|Core|Pipeline|#?forward|claimed|stored|#settle|#verify|outcomeOf|checkHead|findKey)$/;

it('keeps the machine code of a delivery over full collections on Workers', async () => {
  const workshop = await makeWorkshop();
  onTestFinished(workshop.remove);
  const script = join(workshop.folder, 'optimized.mjs');
  await bundle('../util/optimized.ts', script);
  const discarded = (...options: string[]) => {
    // Compiled in turn, so that it is the same on a busy machine.
    const args = ['--expose-gc', '--trace-deopt', '--no-concurrent-recompilation', ...options, script];
    const out = execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1e9 });
    const names = [...out.matchAll(/dependent code .*SharedFunctionInfo ([^>]+)>.*weak/g)].map(([, name]) => name);
    return names.filter((name) => own.test(String(name)));
  };
  // So that the test would see it.
  expect(discarded()).toContain('claimed');
  expect(discarded('--import', `data:text/javascript,${encodeURIComponent(workers)}`)).toEqual([]);
});
