import { defineConfig } from 'vitest/config';
import { part } from './parts.mjs';

const { tests, adapters = 'Express 5', testTimeout = 5_000 } = part();

export default defineConfig({
  test: {
    include: [...tests],
    env: { ADAPTERS: adapters },
    // One thread for all files of a mutant: a thread for each would load the frameworks again.
    isolate: false,
    fileParallelism: false,
    testTimeout,
  },
});
