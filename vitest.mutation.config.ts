import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What needs no framework first: most mutants are caught there, before those are even loaded. */
class CheapestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const folders = ['forward', 'receive', 'front-doors'];
    const rank = ({ moduleId }: TestSpecification) =>
      folders.findIndex((folder) => moduleId.includes(`/test/${folder}/`));
    return files.toSorted((a, b) => rank(a) - rank(b));
  }
}

/** For mutation tests: what says something about receive/, forward/ and the answers, is quick, and needs no server. */
export default defineConfig({
  test: {
    include: process.env.TF?.split(',') ?? [
      'test/{receive,forward}/*.test.ts',
      'test/front-doors/{answers,handoff,providers,raw-body}.test.ts',
    ],
    env: { DOORS: process.env.DOORS ?? 'Express 5,Koa 3,fetch on undici' },
    sequence: { sequencer: CheapestFirst },
    // One thread for all files of a mutant: a thread for each would load the frameworks again.
    isolate: false,
    fileParallelism: false,
    testTimeout: Number(process.env.TT ?? 5_000),
  },
});
