import { defineConfig } from 'vitest/config';

/** For mutation tests: what says something about receive/, forward/ and the answers, is quick, and needs no server. */
export default defineConfig({
  test: {
    include: ['test/{receive,forward}/*.test.ts', 'test/front-doors/{answers,handoff,providers,raw-body}.test.ts'],
    env: { DOORS: 'Express 5,Koa 3,fetch on undici' },
    isolate: false,
    fileParallelism: false,
    testTimeout: 15_000,
  },
});
