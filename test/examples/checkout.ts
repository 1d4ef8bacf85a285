import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyBuiltPackage } from '../support/built-package.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const parts = ['tsconfig.json', 'examples', 'test/fixtures'];

export interface Checkout {
  readonly folder: string;
  /** Starts a program in it, with only the given environment. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Program;
  remove(): Promise<void>;
}

/** The examples beside the package as it stands, in a folder of their own. */
export async function checkout(): Promise<Checkout> {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-'));
  for (const part of parts) await cp(join(root, part), join(folder, part), { recursive: true });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir');
  await copyBuiltPackage(folder);
  const programs: Program[] = [];
  return {
    folder,
    start(args, env = {}) {
      const program = new Program(args, folder, env);
      programs.push(program);
      return program;
    },
    async remove() {
      for (const program of programs) program.kill('SIGKILL');
      await Promise.all(programs.map(({ exited }) => exited));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A running `node` and its output. */
export class Program {
  stdout = '';
  stderr = '';
  /** The exit status, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #process: ChildProcess;
  #onOutput = () => {};

  constructor(args: readonly string[], folder: string, env: Readonly<Record<string, string>>) {
    const { PATH = '' } = process.env;
    this.#process = spawn(process.execPath, args, {
      cwd: folder,
      env: { PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#onOutput();
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exited = once(this.#process, 'close').then(([status, signal]) => status ?? signal);
  }

  /** Resolves when it has printed something that matches, with the match. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    const found = new Promise<RegExpExecArray>((resolve) => {
      this.#onOutput = () => {
        const match = pattern.exec(this.stdout);
        if (match) resolve(match);
      };
      this.#onOutput();
    });
    const over = this.exited.then((status) => {
      throw new Error(`ended with ${status} before it printed ${pattern}: ${this.stdout}${this.stderr}`);
    });
    return Promise.race([found, over]);
  }

  /** Closes the readers of its output. */
  stopReading(): void {
    this.#process.stdout?.destroy();
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}
