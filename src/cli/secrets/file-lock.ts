import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than a service may take to answer, because the lock is held during the call. */
const patienceMs = 60_000;
/** After which a lock of another host, or one that cannot be read, is taken to be abandoned. */
const abandonedAfterMs = 5 * 60_000;
/** After which an empty lock is abandoned: its process was killed between making it and writing to it. */
const emptyForMs = 1_000;
const pollMs = 20;

/**
 * Makes a lock file, and waits for it while another process has it. A lock of a process that has ended is taken away.
 * Gives what releases it. Throws when there is none to be had.
 */
export async function acquireLock(path: string, waitMs = patienceMs): Promise<() => Promise<void>> {
  const own = `${process.pid} ${place()} ${randomBytes(6).toString('hex')}\n`;
  const giveUpAt = performance.now() + waitMs;
  let emptySince: number | undefined;
  for (; ; await sleep(pollMs)) {
    try {
      await writeFile(path, own, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const found = await readFile(path, 'utf8').catch(() => undefined);
    // Also after a successful write: if this process stood still before it, another one has taken the lock away.
    if (found === own) return () => rm(path, { force: true });
    emptySince = found === '' ? (emptySince ?? performance.now()) : undefined;
    const isEmptyForLong = emptySince !== undefined && performance.now() - emptySince > emptyForMs;
    if (found !== undefined && (isEmptyForLong || (await isAbandoned(path, found)))) await takeAway(path, found);
    else if (performance.now() > giveUpAt) {
      throw new Error(`another vast-webhook is writing it; if there is none, remove ${path}`);
    }
  }
}

/** Where process ids mean the same: containers may share a host's name and a folder, and each has its own. */
function place(): string {
  try {
    return `${hostname()}/${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

async function isAbandoned(path: string, content: string): Promise<boolean> {
  const [pid, host] = content.trim().split(' ');
  if (host === place()) return !isAlive(Number(pid));
  const made = await stat(path).catch(() => undefined);
  return made !== undefined && Date.now() - made.mtimeMs > abandonedAfterMs;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Another process may have done so meanwhile, and made a lock of its own, which is put back. */
async function takeAway(path: string, abandoned: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== abandoned) await link(aside, path);
  } catch {
    // It is gone, or there is another one: both are looked at again.
  } finally {
    await rm(aside, { force: true });
  }
}
