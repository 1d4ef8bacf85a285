/** A runtime in a process of its own, and the services that it runs for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject, onTestFinished } from 'vitest';
import type { CaseService } from '../adapters/cases/case.js';
import { bytesOf, Connection } from '../support/requests.js';
import { type Asked, type CaseState, controlPath } from './protocol.js';

export class Runtime {
  readonly #process: ChildProcess;
  readonly #port: number;
  readonly #written: readonly string[];

  private constructor(process: ChildProcess, port: number, written: readonly string[]) {
    this.#process = process;
    this.#port = port;
    this.#written = written;
  }

  /** Starts a program that prints the port where it answers questions. */
  static async start(program: string, ...args: string[]): Promise<Runtime> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(program, args, {
      cwd: inject('runtimesProject'),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH,
        HOME,
        NODE_NO_WARNINGS: '1',
        RUN_NAME: inject('runName'),
        REDIS_URL: inject('redisUrl') ?? '',
        DATABASE_URL: inject('databaseUrl') ?? '',
      },
    });
    const written: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text) => written.push(text));
    const port = await new Promise<number>((resolve, reject) => {
      createInterface(child.stdout).on('line', (line) => {
        written.push(`${line}\n`);
        const [, port] = /^port (\d+)$/.exec(line) ?? [];
        if (port) resolve(Number(port));
      });
      child.once('error', reject);
      child.once('exit', (status) => reject(new Error(`${program} ended with ${status}:\n${written.join('')}`)));
    });
    return new Runtime(child, port, written);
  }

  /** What it has written so far. */
  get output(): string {
    return this.#written.join('');
  }

  async ask<Got>(question: Asked): Promise<Got> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${controlPath}`, {
      method: 'POST',
      body: JSON.stringify(question),
    }).catch((cause) => {
      throw new Error(`the runtime answers nothing. It wrote:\n${this.output}`, { cause });
    });
    const text = await response.text();
    let answer: { got?: Got; fault?: string };
    try {
      answer = JSON.parse(text, withErrors);
    } catch {
      throw new Error(`no answer to ${JSON.stringify(question)} but ${text}\n${this.output}`);
    }
    if (answer.fault !== undefined) throw new Error(answer.fault);
    return answer.got as Got;
  }

  /** The service of a case, until the running test is over. */
  async startCase(server: string, name: string, chatUrl: string, store?: string): Promise<CaseService> {
    const { id, endpoint, port } = await this.ask<{ id: number; endpoint: string; port?: number }>({
      what: 'start',
      server,
      name,
      chatUrl,
      store,
    });
    const own = port ?? this.#port;
    const connections: Connection[] = [];
    let state: CaseState = { outcomes: [], errors: [], handled: 0, arrivals: 0 };
    const look = async () => {
      state = await this.ask<CaseState>({ what: 'state', id });
    };
    const lookUntil = async (isThere: () => boolean) => {
      for (await look(); !isThere(); await look()) await sleep(5);
    };
    onTestFinished(async () => {
      for (const connection of connections) connection.destroy();
      await this.ask({ what: 'stop', id });
    });
    const service: CaseService = {
      endpoint,
      get outcomes() {
        return state.outcomes;
      },
      get handled() {
        return Array.from({ length: state.handled });
      },
      hook: { close: () => this.ask<void>({ what: 'close', id }) },
      async outcome(nth = 1) {
        await lookUntil(() => state.outcomes.length >= nth);
        return state.outcomes[nth - 1] as CaseState['outcomes'][number];
      },
      handling: (nth = 1) => lookUntil(() => state.handled >= nth),
      arrival() {
        const before = state.arrivals;
        return lookUntil(() => state.arrivals > before);
      },
      async connect() {
        const connection = await Connection.open(own);
        connections.push(connection);
        return connection;
      },
      async send(message) {
        const connection = await service.connect();
        connection.write(bytesOf({ target: endpoint, ...message }));
        const answer = await connection.answer(message.method);
        connection.destroy();
        await look();
        return answer;
      },
    };
    return service;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGTERM');
    await once(this.#process, 'exit');
  }
}

function withErrors(_: string, value: unknown): unknown {
  const message = (value as { $error?: string } | null)?.$error;
  return message === undefined ? value : new Error(message);
}
