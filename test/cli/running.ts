/** Commands that run in the test's process. */

import { dirname } from 'node:path';
import type { PassThrough } from 'node:stream';
import { onTestFinished } from 'vitest';
import { run } from '../../src/cli/program.js';
import { type FakeIo, fakeIo } from '../support/io.js';
import { temporaryFile } from '../support/temporary-file.js';

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A folder of its own unless given. */
  readonly cwd?: string;
  readonly stdin?: string;
  /** Whether stdout and stderr are terminals. */
  readonly isTTY?: boolean;
}

/** A command that is running, and ends with the test at the latest. */
export interface RunningCommand {
  readonly io: FakeIo;
  readonly status: Promise<number>;
  /** Interrupts it. Gives its exit status. */
  stop(): Promise<number>;
}

/** Goes with the running test. */
export function temporaryFolder(): string {
  return dirname(temporaryFile('any'));
}

export function startCommand(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const { env = {}, cwd = temporaryFolder(), stdin = '', isTTY = false } = options;
  const io = fakeIo({ cwd, env });
  (io.stdin as PassThrough).end(stdin);
  for (const stream of [io.stdout, io.stderr]) Object.assign(stream, { isTTY });
  const status = run(args, io, '0.0.0');
  const stop = () => {
    io.interrupt();
    return status;
  };
  onTestFinished(async () => {
    await stop();
  });
  return { io, status, stop };
}

/** Runs a command to its end. */
export async function runCommand(args: readonly string[], options: CommandOptions = {}) {
  const { io, status } = startCommand(args, options);
  return { status: await status, out: io.out, err: io.err };
}
