import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { entries, sourceOf, subpathOf } from './scripts/entries.mjs';

/** The command imports the package by its public names: tests of its sources get the package's sources. */
const alias = entries.map((entry) => ({
  find: new RegExp(`^${['vast-webhook', subpathOf(entry)].filter(Boolean).join('/')}$`),
  replacement: fileURLToPath(new URL(sourceOf(entry), import.meta.url)),
}));

/**
 * Folders whose tests change nothing that another file can see, so that their files share a process. There `vi.mock`
 * has no effect on a module that an earlier file has loaded.
 */
export const together: readonly string[] = [
  'adapters',
  'contracts',
  'forward',
  'metrics',
  'queue',
  'receive',
  'testing',
  'util',
].map((folder) => `test/${folder}/**/*.test.ts`);

/** What says nothing of a version of Node.js that the other tests do not: CI runs it on one. */
const once = ['fuzz', 'docs', 'simulation'].map((folder) => `test/${folder}/**/*.test.ts`);

/** Not in `npm test`. */
const soak = 'test/soak/**/*.test.ts';

/** They begin first, so that no worker is left with one of them when the others have ended. */
const long = /simulation|migration|bullmq|dev-page|oracle|mutants|services|storm|post\.test|delivering|examples\.test/;

class LongOnesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => long.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

const common = {
  setupFiles: 'test/support/patience.ts',
  // Only to end a test that hangs: how long one takes depends on what else the machine does.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 60_000 } },
  // Twice as many as there are cores, because half of the time tests wait for sockets, servers and processes.
  maxWorkers: 2 * Math.max(2, availableParallelism()),
};

function project(name: string, options: { include: string[]; exclude?: string[]; isolate?: boolean }) {
  return { resolve: { alias }, test: { ...common, ...options, name } };
}

export default defineConfig({
  resolve: { alias },
  test: {
    ...common,
    // Once, for all projects.
    globalSetup: 'test/support/global-setup.ts',
    sequence: { sequencer: LongOnesFirst },
    projects: [
      project('together', { include: [...together], isolate: false }),
      project('alone', {
        include: ['test/**/*.test.ts'],
        // The consumers are projects of their own, checked against the packed package.
        exclude: [...together, ...once, soak, 'test/consumers/**'],
      }),
      project('once', { include: once }),
      project('soak', { include: [soak] }),
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
