import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A script of this folder in a process of its own, which answers each message with one message. */
export class Child {
  #process;
  #name;
  #stderr = '';
  #pending;

  constructor(script, args = [], execArgv = []) {
    this.#name = [script, ...args].join(' ');
    this.#process = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
      execArgv,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    // Kept for when the child fails: the candidates' own log lines would tear the tables apart.
    this.#process.stderr.on('data', (chunk) => {
      this.#stderr += chunk;
    });
    this.#process.on('message', (message) => this.#pending?.resolve(message));
    this.#process.on('close', (code) => {
      this.#pending?.reject(new Error(`${this.#name} ended with status ${code}: ${this.#stderr}`));
    });
  }

  ask(message) {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#process.send(message);
    });
  }

  end() {
    this.#pending = undefined;
    if (this.#process.connected) this.#process.disconnect();
  }
}

/** In the child: calls `answer` with each message, and sends its result. */
export function serve(answer) {
  process.on('message', async (message) => process.send(await answer(message)));
  process.on('disconnect', () => process.exit());
}
