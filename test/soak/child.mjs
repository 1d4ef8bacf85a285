import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { now } from './clock.mjs';

const logLines = 3_000;

/**
 * A script of this folder in a process that is killed and started again. Each time is a life with a name of its own.
 * The script gets its configuration in `SOAK`, and sends a message when it is ready.
 */
export class Child {
  #script;
  #name;
  #configOf;
  #process;
  #isExpected = true;
  #restarting = Promise.resolve();
  /** `{ life, at }` */
  kills = [];
  /** Ends that nobody asked for. */
  crashes = [];
  /** `{ life, readyAt?, overAt? }` */
  lives = [];
  /** What it printed last: `{ life, line }`. */
  log = [];
  /** Waited for when it was killed, before it is started again. */
  onKilled = async () => {};

  /** `configOf` is asked at each start, with the life's name. */
  constructor(script, configOf) {
    this.#script = fileURLToPath(new URL(script, import.meta.url));
    this.#name = script.replace(/^\.\/|\.mjs$/g, '');
    this.#configOf = configOf;
  }

  /** Resolves with its message when it is ready. */
  start() {
    const life = `${this.#name}-${this.lives.length + 1}`;
    const record = { life, readyAt: undefined, overAt: undefined };
    this.lives.push(record);
    const child = fork(this.#script, {
      env: { PATH: process.env.PATH, SOAK: JSON.stringify({ ...this.#configOf(life), life }) },
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#process = child;
    this.#isExpected = false;
    for (const stream of [child.stdout, child.stderr]) this.#keep(stream, life);
    const ready = new Promise((resolve, reject) => {
      child.once('message', resolve);
      // 'close', so that all it has to say is there.
      child.once('close', () => {
        const said = this.log.filter((entry) => entry.life === life).map(({ line }) => `\n  ${line}`);
        reject(new Error(`${life} ended before it was ready:${said.slice(-20).join('')}`));
      });
    });
    child.once('exit', (status, signal) => {
      record.overAt ??= now();
      this.#ended(child, life, status ?? signal);
    });
    return ready.then((message) => {
      record.readyAt = now();
      return message;
    });
  }

  /** SIGKILL, and started again after a pause, which is also what would happen after a crash. */
  async kill(pauseMs) {
    const child = this.#process;
    const exit = new Promise((resolve) => child.once('exit', resolve));
    const record = this.lives.at(-1);
    this.#isExpected = true;
    if (!child.kill('SIGKILL')) return;
    record.overAt = now();
    this.kills.push({ life: record.life, at: record.overAt });
    await exit;
    await this.onKilled(record.life, record.overAt);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    // That it ended again at once has been noted.
    await this.start().catch(() => {});
  }

  /** SIGTERM. True when it ended by itself in time. */
  async end(withinMs) {
    await this.#restarting;
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return true;
    this.#isExpected = true;
    const exit = new Promise((resolve) => child.once('exit', (status) => resolve(status === 0)));
    const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
    child.kill('SIGTERM');
    const isGood = await exit;
    clearTimeout(timer);
    return isGood;
  }

  #ended(child, life, status) {
    if (this.#isExpected || child !== this.#process) return;
    this.crashes.push(`${life} ended by itself with ${status}`);
    // Without end it would be a loop.
    if (this.crashes.length <= 5) this.#restarting = this.start().catch(() => {});
  }

  #keep(stream, life) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) this.log.push({ life, line });
      if (this.log.length > 2 * logLines) this.log.splice(0, logLines);
    });
  }
}
