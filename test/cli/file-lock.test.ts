import { existsSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { acquireLock } from '../../src/cli/secrets/file-lock.js';
import { temporaryFile } from '../support/temporary-file.js';
import { leaveLock } from './call.js';

describe('acquireLock', () => {
  it('takes the lock of a process that has ended here', async () => {
    const path = temporaryFile('lock');
    await leaveLock(path);
    await (await acquireLock(path))();
  });

  it('takes an empty lock, whose process was killed between making it and writing to it', async () => {
    const path = temporaryFile('lock');
    writeFileSync(path, '');
    await (await acquireLock(path))();
    expect(existsSync(path)).toBe(false);
  });

  it('gives an empty lock to one only', async () => {
    const path = temporaryFile('lock');
    writeFileSync(path, '');
    let holders = 0;
    const most: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const release = await acquireLock(path);
        most.push(++holders);
        await new Promise((resolve) => setTimeout(resolve, 5));
        holders--;
        await release();
      }),
    );
    expect(most).toEqual(Array(8).fill(1));
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
    await vi.waitUntil(() => isHeld);
    await (await acquiring)();
  });
});
