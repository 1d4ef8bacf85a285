/** Finds files, exports and dependencies that nothing uses: `npm run knip`. */
import { entries, sourceOf } from './entries.mjs';

export default {
  entry: [
    ...entries.map(sourceOf),
    'src/cli/main.ts',
    'src/cli/dev/page/main.tsx',
    'bench/*.mjs',
    'examples/*/*.{js,mjs,ts}',
    'examples/nextjs/{app,pages}/**/*.js',
    'test/soak/*.mjs',
    'test/forward/close-child.ts',
    'test/fuzz/server.ts',
    'test/runtimes/host/*.{ts,mjs}',
    'test/simulation/simulate.ts',
    'test/util/optimized.ts',
  ],
  stryker: { config: ['scripts/mutation/stryker.config.mjs'] },
  typedoc: { config: ['scripts/docs/typedoc.config.mjs'] },
  vitest: { config: ['vitest.config.ts', 'scripts/mutation/vitest.config.ts'] },
  ignore: ['test/consumers/**'],
  ignoreDependencies: ['@arethetypeswrong/cli', 'kubernetes-models', 'miniflare', 'publint'],
  ignoreBinaries: ['nginx', 'openssl', 'systemd-analyze'],
  ignoreFiles: ['test/docs/prelude.ts'],
};
