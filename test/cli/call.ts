import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PassThrough } from 'node:stream';
import { expect, onTestFinished } from 'vitest';
import { run } from '../../src/cli/program.js';
import { acquireLock } from '../../src/cli/secrets/file-lock.js';
import { type FakeIo, fakeIo } from '../support/io.js';
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
  /** Gets what the command has of the world before it runs. */
  readonly onStart?: (io: FakeIo) => unknown;
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
    async call(args, { env = {}, stdin, typed, onStart } = {}) {
      const io = fakeIo({ cwd: folder, env });
      onTestFinished(() => void io.interrupt());
      const input = io.stdin as PassThrough & { isTTY?: boolean };
      if (typed !== undefined) {
        input.isTTY = true;
        Object.assign(io.stderr, { isTTY: true });
        input.write(typed);
      } else input.end(stdin ?? '');
      onStart?.(io);
      const status = await run(args, io, '0.0.0');
      const { out, err } = io;
      for (const secret of secrets) expect(out + err).not.toContain(secret);
      return { status, out, err };
    },
  };
}

/** The lock of a process that has ended without a release. */
export async function leaveLock(path: string): Promise<void> {
  const release = await acquireLock(path);
  // Beyond what any kernel gives to a process.
  const content = readFileSync(path, 'utf8').replace(/^\d+/, '4194999');
  await release();
  writeFileSync(path, content);
}

/** The text of an `.env` file without the comments that say whose secrets it holds. */
export function unmarked(text: string): string {
  return text.replace(/^# Signing secret of Vast\.ai webhook \d+ \(sha256 [\da-f]{8}\)\r?\n/gm, '');
}
