import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { devPagePlugin } from './scripts/dev-page.mjs';
import { entries, sourceOf, subpathOf } from './scripts/entries.mjs';

/** The command imports the package by its public names: tests of its sources get the package's sources. */
const alias = entries.map((entry) => ({
  find: new RegExp(`^${['vast-webhook', subpathOf(entry)].filter(Boolean).join('/')}$`),
  replacement: fileURLToPath(new URL(sourceOf(entry), import.meta.url)),
}));

/**
 * Files that mock a module, and so need a process in which no earlier file has loaded it. All others share processes, so
 * that a process is started, and the sources and libraries are loaded, once for many files.
 */
export const alone = ['api/retries', 'api/vast-instances', 'cli/replacement'].map((file) => `test/${file}.test.ts`);

// What starts processes, builds or browsers, or kills servers takes minutes of CPU: CI runs it, `npm test` does not.
const processes = [
  'cli/{dev-page*,newcomer,processes,rolling-restart,secrets-killed,workers}',
  '{demo,deploy,examples,release}/**/*',
  'forward/close-process',
  'outbox/processes',
  'providers/docs',
  'stores/{across-processes,linearizable,postgres-faults,redis-faults}',
  'support/servers',
].map((files) => `test/${files}.test.ts`);

/** The same, on one version of Node.js. */
const proof = ['docs/migration', 'fuzz/*'].map((files) => `test/${files}.test.ts`);

/** What says nothing of a version of Node.js that the other tests do not: CI runs it on one. */
const once = ['test/docs/**/*.test.ts', 'test/simulation/**/*.test.ts'];

/** By itself, because it takes ten minutes. */
const soak = 'test/soak/**/*.test.ts';
const runtimes = 'test/runtimes/**/*.test.ts';

/** They begin first, so that no worker is left with one of them when the others have ended. */
const long =
  /simulation|code-blocks|apps|mounting|redis|migration|bullmq|dev-page|oracle|mutants|services|storm|post\.test|delivering|examples\.test/;

/** A file with a process of its own ends the shared process of its worker, so that the two kinds do not alternate. */
const order = ['once', 'together', 'alone'];

class LongOnesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification) =>
      order.indexOf(project.name) + (long.test(moduleId) ? 0 : 0.5);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

const common = {
  setupFiles: ['test/support/patience.ts', 'test/support/clean-up.ts'],
  // Only to end a test that hangs: how long one takes depends on what else the machine does.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 60_000 } },
  // Twice as many as there are cores, because half of the time tests wait for sockets, servers and processes.
  maxWorkers: 2 * Math.max(2, availableParallelism()),
};

function project(
  name: string,
  options: { include: string[]; exclude?: string[]; isolate?: boolean; globalSetup?: string; testTimeout?: number },
) {
  return { resolve: { alias }, plugins: [devPagePlugin()], test: { ...common, ...options, name } };
}

export default defineConfig({
  resolve: { alias },
  test: {
    ...common,
    // Once, for all projects.
    globalSetup: 'test/support/global-setup.ts',
    sequence: { sequencer: LongOnesFirst },
    projects: [
      project('together', {
        include: ['test/**/*.test.ts'],
        // The consumers are projects of their own, checked against the packed package.
        exclude: [...alone, ...processes, ...proof, ...once, soak, runtimes, 'test/consumers/**'],
        isolate: false,
      }),
      project('alone', { include: alone }),
      project('once', { include: once, exclude: proof }),
      project('processes', { include: processes }),
      project('proof', { include: proof }),
      project('soak', { include: [soak] }),
      project('runtimes', { include: [runtimes], globalSetup: 'test/runtimes/project.ts', testTimeout: 120_000 }),
    ],
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
