import { defineConfig } from 'vitest/config';
import { part } from './scripts/mutation-parts.mjs';

const { tests, doors = 'Express 5' } = part();

export default defineConfig({
  test: {
    include: [...tests],
    env: { DOORS: doors },
    // One thread for all files of a mutant: a thread for each would load the frameworks again.
    isolate: false,
    fileParallelism: false,
    // What a mutant never settles costs this each time.
    testTimeout: 5_000,
  },
});
