/** The server's process, from the attacker's side. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Operations } from './server.js';

export class Target {
  readonly #process: ChildProcess;
  readonly #calls = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #count = 0;
  /** The port of each service, by its name. */
  ports: Readonly<Record<string, number>> = {};
  #said = '';

  private constructor(script: string) {
    this.#process = fork(script, {
      execArgv: ['--expose-gc', '--enable-source-maps'],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said = (this.#said + text).slice(-4_000);
      });
    }
    this.#process.on('message', ([call, value, error]: [number, never, string | undefined]) => {
      const waiting = this.#calls.get(call);
      this.#calls.delete(call);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(error));
    });
    this.#process.once('exit', (status, signal) => {
      const over = new Error(`the server's process ended with ${status ?? signal}: ${this.#said}`);
      for (const { reject } of this.#calls.values()) reject(over);
    });
  }

  static async start(script: string): Promise<Target> {
    const target = new Target(script);
    target.ports = await target.#answerTo(0);
    return target;
  }

  /** The last output of its process. */
  get said(): string {
    return this.#said;
  }

  call<Name extends keyof Operations>(
    name: Name,
    ...args: Parameters<Operations[Name]>
  ): Promise<Awaited<ReturnType<Operations[Name]>>> {
    const call = ++this.#count;
    const answer = this.#answerTo<Awaited<ReturnType<Operations[Name]>>>(call);
    this.#process.send([call, name, ...args], (error) => {
      if (error) this.#calls.get(call)?.reject(error);
    });
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exit;
  }

  #answerTo<T>(call: number): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
    });
  }
}
