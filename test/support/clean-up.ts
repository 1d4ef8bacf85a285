import { afterAll, expect, vi } from 'vitest';
import { timersOfThisFile } from './timers.js';

const timers = timersOfThisFile();

const replaceable = () => [
  ...[setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, Date, fetch],
  ...[performance.now, Math.random],
];
const before = replaceable();

// The next file may have the same process. What was replaced last must be restored first: a spy on a fake timer that is
// restored after the real timers brings the fake one back.
afterAll(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
  vi.useRealTimers();
  timers.clear();
  const isLeft = replaceable().some((each, i) => each !== before[i]);
  expect(isLeft, 'the file leaves a fake timer, clock, Math.random or fetch to the next file').toBe(false);
});
