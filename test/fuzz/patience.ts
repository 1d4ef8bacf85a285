import { setTimeout as sleep } from 'node:timers/promises';

const turnMs = 2;

/**
 * Waits until it is so, and resolves to whether it is. A turn of the loop that takes long counts like any other: on a
 * machine that is busy with something else, what is slow is no hang.
 */
export async function within(ms: number, isSo: () => boolean): Promise<boolean> {
  for (let turns = ms / turnMs; turns > 0; turns--) {
    if (isSo()) return true;
    await sleep(turnMs);
  }
  return isSo();
}
