import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Clock, systemClock } from '../../src/util/clock.js';
import { SharedWork } from '../../src/util/shared-work.js';
import { type Deferred, deferred } from '../support/deferred.js';
import { type Isolate, isolate, pass } from '../support/isolate.js';

const seconds = 1_000;

let worker: Isolate;
beforeEach(() => {
  worker = isolate();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Work that is due at once, and again a second after each step. */
function setUp(clock: Clock = systemClock) {
  const steps: Deferred[] = [];
  const work = new SharedWork(clock, async () => {
    const step = deferred();
    steps.push(step);
    await step.promise;
    work.schedule(clock.now() + 1 * seconds);
  });
  work.schedule(clock.now());
  const attend = () => worker.handle(async ({ waitUntil }) => work.attend(waitUntil));
  return { work, steps, attend };
}

it('a request that was taken for ended does not end the step of another', async () => {
  const { steps, attend } = setUp();
  const [first] = [attend(), attend(), attend()];
  await pass(100);
  first?.end();
  await pass(8 * seconds);
  expect(steps).toHaveLength(2);
  steps[0]?.resolve();
  await pass(4 * seconds);
  expect(steps).toHaveLength(2);
  steps[1]?.resolve();
  await pass(2 * seconds);
  expect(steps).toHaveLength(3);
});

it('a request whose signs of life are late keeps its step', async () => {
  let lateMs = 0;
  const clock: Clock = {
    ...systemClock,
    unrefTimeout(run, ms) {
      const ownMs = lateMs;
      const late = () => {
        lateMs = ownMs;
        run();
        lateMs = 0;
      };
      return systemClock.unrefTimeout(late, ms + ownMs);
    },
  };
  const { steps, attend } = setUp(clock);
  lateMs = 3 * seconds;
  attend();
  lateMs = 0;
  attend();
  await pass(20 * seconds);
  expect(steps).toHaveLength(1);
});

it('a request is let go before the platform ends it, while no step runs', async () => {
  const { work, attend } = setUp();
  work.schedule(performance.now() + 60 * seconds);
  const request = attend();
  await pass(24 * seconds);
  expect(request.isAlive()).toBe(true);
  await pass(2 * seconds);
  expect(request.isAlive()).toBe(false);
});
