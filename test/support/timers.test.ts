import { expect, it } from 'vitest';
import { timersOfThisFile } from './timers.js';

const timers = timersOfThisFile();
let ran = 0;

it('what waits when a file ends never runs', async () => {
  const poll = () => {
    ran++;
    setTimeout(poll, 1);
  };
  poll();
  await expect.poll(() => ran).toBeGreaterThan(2);
  timers.clear();
  const until = ran;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(ran).toBe(until);
});

it('a timer gets its arguments, and can be started again', async () => {
  const args: unknown[] = [];
  const timer = setTimeout((...given: unknown[]) => args.push(...given), 1, 'a', 2);
  await expect.poll(() => args).toEqual(['a', 2]);
  timer.refresh();
  await expect.poll(() => args).toEqual(['a', 2, 'a', 2]);
});
