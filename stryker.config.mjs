/** @type {import('@stryker-mutator/api/core').PartialStrykerOptions} */
export default {
  mutate: ['src/receive/**/*.ts', 'src/forward/**/*.ts', 'src/answer.ts'],
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  coverageAnalysis: 'perTest',
  // A mutant that is only run while a module loads takes all the tests.
  ignoreStatic: true,
  incremental: true,
  incrementalFile: 'reports/mutation/incremental.json',
  reporters: ['clear-text', 'progress', 'html', 'json'],
  htmlReporter: { fileName: 'reports/mutation/index.html' },
  jsonReporter: { fileName: 'reports/mutation/mutation.json' },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  concurrency: 2,
  // What a busy machine makes slow must not pass for a mutant that was noticed.
  timeoutMS: 60_000,
  timeoutFactor: 4,
  thresholds: { high: 95, low: 90, break: 85 },
  ignorePatterns: ['/*', '!/src', '!/test', '!/package.json', '!/tsconfig.json', '!/vitest.mutation.config.ts'],
  // node_modules is found above the sandbox.
  symlinkNodeModules: false,
  disableTypeChecks: false,
};
