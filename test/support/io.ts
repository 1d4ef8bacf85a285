import { PassThrough, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CliContext } from '../../src/cli/shared/context.js';

/** The context of a command in a test. */
export interface FakeIo extends CliContext {
  /** The output so far. */
  readonly out: string;
  readonly err: string;
  /** Ctrl-C. */
  interrupt(): void;
  /** Resolves with the match when standard output has one. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
}

export function fakeIo({ cwd, env = {} }: { cwd: string; env?: Record<string, string | undefined> }): FakeIo {
  const interruption = new AbortController();
  const texts = { out: '', err: '' };
  const into = (name: 'out' | 'err') =>
    new Writable({
      write(chunk, _encoding, done) {
        texts[name] += chunk;
        done();
      },
    });
  return {
    stdin: new PassThrough(),
    stdout: into('out'),
    stderr: into('err'),
    env,
    cwd,
    interrupted: interruption.signal,
    get out() {
      return texts.out;
    },
    get err() {
      return texts.err;
    },
    undisturbed: (work) => work(),
    interrupt: () => interruption.abort(),
    async printed(pattern) {
      for (;;) {
        const match = pattern.exec(texts.out);
        if (match) return match;
        await sleep(10);
      }
    },
  };
}
