import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { onTestFinished } from 'vitest';
import type { Task } from './child.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const entry = fileURLToPath(new URL('child.ts', import.meta.url));
let code: Promise<string> | undefined;

/** A process on the file, which ends with the test at the latest. */
export interface Running {
  readonly process: ChildProcess;
  /** Resolves when its first task is done. Rejects when it ends before that. */
  readonly ready: Promise<void>;
  /** The exit status, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
}

export async function start(task: Task): Promise<Running> {
  code ??= bundle();
  const source = await code;
  const child = spawn(process.execPath, ['--enable-source-maps', '--input-type=module'], {
    cwd: root,
    env: { ...process.env, NODE_NO_WARNINGS: '1', TASK: JSON.stringify(task) },
    stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit').then(([status, signal]) => status ?? signal);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const early = exited.then((end) => {
    throw new Error(`the process ended with ${end}`);
  });
  const ready = Promise.race([once(child, 'message').then(() => {}), early]);
  ready.catch(() => {});
  child.stdin?.end(source);
  return { process: child, ready, exited };
}

export interface Step {
  readonly what: 'begin' | 'end';
  readonly id: string;
  readonly pid: string;
}

/** The calls of the sinks of all processes, in the order of time. */
export function stepsIn(log: string): Step[] {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const [what, id, pid] = line.split(' ') as [Step['what'], string, string];
    return { what, id, pid };
  });
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    write: false,
  });
  return outputFiles[0]?.text ?? '';
}
