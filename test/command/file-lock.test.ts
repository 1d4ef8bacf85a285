import { utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { acquireLock } from '../../src/command/file-lock.js';
import { temporaryFile } from '../support/temporary-file.js';
import { leaveLock } from './call.js';

describe('acquireLock', () => {
  it('takes the lock of a process that has ended here', async () => {
    const path = temporaryFile('lock');
    await leaveLock(path);
    await (await acquireLock(path))();
  });

  it.each([
    ['another host', 'another-host'],
    ["another container with this host's name", `${hostname()}/pid:[1]`],
  ])('waits for a process of %s, which cannot be seen from here, until the lock is old', async (_, place) => {
    const path = temporaryFile('lock');
    writeFileSync(path, `4194999 ${place} x\n`);
    let isHeld = false;
    const acquiring = acquireLock(path).then((release) => {
      isHeld = true;
      return release;
    });
    // Several looks at it.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(isHeld).toBe(false);
    const longAgo = new Date(Date.now() - 6 * 60_000);
    utimesSync(path, longAgo, longAgo);
    await vi.waitUntil(() => isHeld, { timeout: 10_000 });
    await (await acquiring)();
  });
});
