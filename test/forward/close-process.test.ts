import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundle, makeWorkshop } from '../fuzz/bundle.mjs';

let workshop: Awaited<ReturnType<typeof makeWorkshop>>;
beforeAll(async () => {
  workshop = await makeWorkshop();
  await bundle('../forward/close-child.ts', join(workshop.folder, 'child.mjs'));
});
afterAll(() => workshop.remove());

it.each(['digest', 'record'])('a process lives until its close() has resolved: %s', (what) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(workshop.folder, 'child.mjs'), what], {
    encoding: 'utf8',
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'delivered\nclosed\n', stderr: '' });
});
