import { part } from './parts.mjs';

const { name, mutate } = part();
const reports = `reports/mutation/${name}`;

export default {
  mutate: [...mutate],
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'scripts/mutation/vitest.config.ts', related: false },
  coverageAnalysis: 'perTest',
  // A mutant that runs only while its module loads would take a new process.
  ignoreStatic: true,
  incremental: true,
  incrementalFile: `${reports}/incremental.json`,
  reporters: ['clear-text', 'progress', 'html', 'json'],
  htmlReporter: { fileName: `${reports}/index.html` },
  jsonReporter: { fileName: `${reports}/mutation.json` },
  clearTextReporter: { logTests: false, reportTests: false },
  concurrency: 2,
  // Generous, so that it takes an endless loop to time out, and not a busy machine: that would count as noticed.
  timeoutMS: 20_000,
  timeoutFactor: 4,
  thresholds: { high: 95, low: 90, break: 85 },
  // The sandbox lies in this folder, so that node_modules is found above it.
  symlinkNodeModules: false,
  ignorePatterns: ['/*', '!/src', '!/test', '!/scripts', '!/package.json', '!/tsconfig.json'],
  disableTypeChecks: false,
};
