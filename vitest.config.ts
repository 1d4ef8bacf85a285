import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { entries, sourceOf, subpathOf } from './scripts/entries.mjs';

/** The command imports the package by its public names: tests of its sources get the package's sources. */
const alias = entries.map((entry) => ({
  find: new RegExp(`^${['vast-webhook', subpathOf(entry)].filter(Boolean).join('/')}$`),
  replacement: fileURLToPath(new URL(sourceOf(entry), import.meta.url)),
}));

export default defineConfig({
  resolve: { alias },
  test: {
    include: ['test/**/*.test.ts'],
    // Projects of their own, checked against the packed package.
    exclude: ['test/consumers/**'],
    globalSetup: 'test/support/global-setup.ts',
    setupFiles: 'test/support/patience.ts',
    // Only to end a test that hangs: how long one takes depends on what else the machine does.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    // Many tests wait for sockets, servers and processes. Vitest itself would leave a core free.
    maxWorkers: Math.max(2, availableParallelism()),
    coverage: {
      provider: 'v8',
      include: ['src/receive/**', 'src/forward/**', 'src/contracts/answer.ts'],
      thresholds: {
        'src/receive/**': { branches: 95 },
        'src/forward/**': { branches: 95 },
        'src/contracts/answer.ts': { branches: 95 },
      },
    },
  },
});
