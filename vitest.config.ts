import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Projects of their own, checked against the packed package.
    exclude: ['test/consumers/**'],
    globalSetup: 'test/support/global-setup.ts',
    // Real sockets and deadlines on a busy machine.
    testTimeout: 15_000,
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
