// @ts-check
/** One server process and its children: started, frozen, ended, and never left behind. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * @typedef {import('./server-binaries.mjs').Program} Program
 * @typedef {Awaited<ReturnType<typeof watchFolder>>} Watchdog
 *
 * @typedef {object} Launch
 * @property {Program} program
 * @property {string[]} args
 * @property {string} folder
 * @property {Watchdog} watchdog
 * @property {Partial<Record<NodeJS.Signals, NodeJS.Signals>>} [signals] What the server calls them
 * @property {(pid: number) => Promise<boolean>} answers Whether it is this process that answers
 */

/** @param {Launch} launch */
export function serverProcess({ program, args, folder, watchdog, signals = {}, answers }) {
  const log = join(folder, 'log');
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let child;

  const runningPid = () => (child && child.exitCode === null && child.signalCode === null ? child.pid : undefined);

  async function start() {
    if (runningPid() !== undefined) throw new Error('The server is running.');
    child = await launched();
    const { pid } = child;
    try {
      await until('the server answers', () => {
        if (runningPid() !== pid) throw new Error(`The server ended:\n${readFileSync(log, 'utf8').slice(-2000)}`);
        return answers(/** @type {number} */ (pid));
      });
    } catch (error) {
      await stop('SIGKILL');
      throw error;
    }
  }

  async function launched() {
    const { file, ...options } = program;
    const output = openSync(log, 'a');
    // Out of the terminal's reach, whose Ctrl-C would end it before its clients.
    const started = spawn(file, args, { ...options, cwd: folder, detached: true, stdio: ['ignore', output, output] });
    closeSync(output);
    watchdog.guard(started);
    await once(started, 'spawn');
    return started;
  }

  async function freeze() {
    const pid = runningPid();
    if (pid === undefined) throw new Error('The server is not running.');
    // First itself: from then on it starts no children that would be missed.
    signal([pid], 'SIGSTOP');
    await until('the server has stopped', () => areAll([pid], 'stopped'));
    const all = family(pid);
    signal(all, 'SIGSTOP');
    await until('its children have stopped', () => areAll(all, 'stopped'));
    return all;
  }

  function thaw() {
    const pid = runningPid();
    if (pid !== undefined) signal(family(pid), 'SIGCONT');
  }

  /** @param {NodeJS.Signals} name */
  async function stop(name) {
    const pid = runningPid();
    if (pid === undefined) return;
    let all = family(pid);
    if (name === 'SIGKILL') {
      all = await freeze();
      signal(all, 'SIGKILL');
    } else {
      thaw();
      signal([pid], signals[name] ?? name);
    }
    await until('the server ends', () => runningPid() === undefined && areAll(all, 'gone'));
  }

  async function close() {
    await stop('SIGKILL');
    await watchdog.release();
  }

  return { runningPid, start, freeze, thaw, stop, close };
}

/**
 * Ends the server and removes the folder when this process lets go of them, in whichever way: a process that is killed
 * runs no exit handlers.
 *
 * @param {string} folder
 * @param {'TERM' | 'QUIT'} end The signal that ends the server at once with all its children
 */
export async function watchFolder(folder, end) {
  const script = `
    while read -r line; do pid=$line; done
    # One that has ended counts until the system has taken note of it.
    runs() { kill -0 "$pid" && ! grep -q 'State:.Z' "/proc/$pid/status"; }
    if [ -n "$pid" ]; then
      kill -CONT "$pid"; kill -${end} "$pid"
      tries=0
      while runs && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
      kill -KILL "$pid"
    fi
    # A Postgres that was killed leaves its lock: a System V segment, of which a machine has only so many.
    segment=$(sed -n '7s/.* //p' "$1/data/postmaster.pid") && [ -n "$segment" ] && ipcrm -m "$segment"
    # A second time, because a program that prepared the folder may still have been running.
    rm -rf "$1" || { sleep 2; rm -rf "$1"; }`;
  const shell = spawn('sh', ['-c', script, 'sh', folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  await once(shell, 'spawn');
  shell.unref();
  // A child's stdin is a socket.
  const line = /** @type {import('node:net').Socket} */ (shell.stdin);
  line.unref();
  line.on('error', () => {});

  return {
    /** @param {import('node:child_process').ChildProcess} server */
    guard(server) {
      line.write(`${server.pid ?? ''}\n`);
      // Its number may soon be another's.
      server.once('exit', () => line.write('\n'));
      server.unref();
    },
    async release() {
      if (shell.exitCode !== null || shell.signalCode !== null) return;
      shell.ref();
      line.end();
      await once(shell, 'exit');
    },
  };
}

/**
 * @param {string} what
 * @param {() => boolean | Promise<boolean>} condition
 */
async function until(what, condition) {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited 30 s until ${what}.`);
    await delay(10);
  }
}

/**
 * @param {number[]} pids
 * @param {NodeJS.Signals} name
 */
function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error;
    }
  }
}

/**
 * A process that has ended also counts as stopped.
 *
 * @param {number[]} pids
 * @param {'stopped' | 'gone'} what
 */
function areAll(pids, what) {
  const over = what === 'gone' ? 'Z' : 'ZT';
  const table = processes();
  return pids.every((pid) => over.includes(table.get(pid)?.state ?? 'Z'));
}

/**
 * The process and its children.
 *
 * @param {number} pid
 */
function family(pid) {
  const children = [...processes()].filter(([, { parent }]) => parent === pid).map(([child]) => child);
  return [pid, ...children];
}

/** @returns {Map<number, { parent: number, state: string }>} */
function processes() {
  const rows = process.platform === 'linux' ? processesOfLinux() : processesOfPs();
  return new Map(
    rows.map(([pid, parent, state]) => [Number(pid), { parent: Number(parent), state: `${state}`[0] ?? '' }]),
  );
}

// Small images of Linux come without `ps`.
function processesOfLinux() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // "pid (name) state parent", and the name may hold anything.
        const [state, parent] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
        return [[pid, parent, state]];
      } catch {
        return []; // It has ended meanwhile.
      }
    });
}

function processesOfPs() {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => line.trim().split(/\s+/));
}
