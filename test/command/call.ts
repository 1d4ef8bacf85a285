import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PassThrough } from 'node:stream';
import { expect, onTestFinished } from 'vitest';
import { run } from '../../src/command/run.js';
import { fakeIo } from '../support/io.js';
import { temporaryFile } from '../support/temporary-file.js';

export interface Called {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export interface Workplace {
  readonly folder: string;
  /** What must be in no output. */
  readonly secrets: string[];
  path(name: string): string;
  read(name: string): string;
  write(name: string, content: string | Uint8Array): void;
  /** Runs the command there. */
  call(args: readonly string[], world?: World): Promise<Called>;
}

export interface World {
  readonly env?: Record<string, string | undefined>;
  /** What is piped in. */
  readonly stdin?: string | Uint8Array;
  /** What is typed, on a terminal. */
  readonly typed?: string;
}

/** A folder in which the command is called. Every output is searched for what is secret. */
export function workplace(...secrets: string[]): Workplace {
  const folder = dirname(temporaryFile('x'));
  const path = (name: string) => join(folder, name);
  return {
    folder,
    secrets,
    path,
    read: (name) => readFileSync(path(name), 'utf8'),
    write: (name, content) => writeFileSync(path(name), content),
    async call(args, { env = {}, stdin, typed } = {}) {
      const io = fakeIo({ cwd: folder, env });
      onTestFinished(() => void io.interrupt());
      const input = io.stdin as PassThrough & { isTTY?: boolean };
      if (typed !== undefined) {
        input.isTTY = true;
        Object.assign(io.stderr, { isTTY: true });
        input.write(typed);
      } else input.end(stdin ?? '');
      const status = await run(args, io, '0.0.0');
      const { out, err } = io;
      for (const secret of secrets) expect(out + err).not.toContain(secret);
      return { status, out, err };
    },
  };
}
