import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CliContext, Snapshot } from '../shared/context.js';
import { CliError, ReportedElsewhere, toError, UsageError } from '../shared/errors.js';
import type { ReceiverLog } from './log.js';
import { workerVariable } from './parent.js';
import type { ToPrimary, ToWorker } from './worker.js';

/** How long a worker may take to end. By itself it takes 11 s at most. */
const endWithinMs = 12_000;
/** The pause before a worker that ended is replaced. It doubles with each failure in a row. */
const minBackoffMs = 100;
const maxBackoffMs = 30_000;
/** The end of a worker that has listened for so long begins no row of failures, and continues none. */
const healthyAfterMs = 10_000;
/** How long workers may take to measure. What the others have last sent counts. */
const measureWithinMs = 1_000;
/** How long the last output of a worker is awaited: a process that it started may keep the pipe open. */
const outputWithinMs = 500;

/** Throws a `UsageError` where this process cannot have workers. */
export function checkCanHaveWorkers(): void {
  const { bun, deno } = process.versions;
  if (bun !== undefined || deno !== undefined) {
    throw new UsageError('--workers needs Node.js: leave it out, or start serve with Node.js');
  }
  if (!cluster.isPrimary) {
    throw new UsageError(
      '--workers cannot be used in a process that node:cluster has started: leave it out, or use the fork mode of PM2',
    );
  }
}

/**
 * Runs `count` processes of the same command, which share a port, until it is interrupted. SIGHUP replaces them one by
 * one. `env` is the environment that the command was started with. Throws when the first of them does not come to listen.
 */
export async function superviseWorkers(
  count: number,
  log: ReceiverLog,
  io: CliContext,
  env: CliContext['env'],
): Promise<void> {
  for (const name of Object.keys(process.env)) if (!env[name]) delete process.env[name];
  // Long lines from several processes could mix in a pipe, so this one writes them all. A terminal has colours.
  const stdout = io.stdout.isTTY ? 'inherit' : 'pipe';
  cluster.setupPrimary({ stdio: ['ignore', stdout, 'inherit', 'ipc'] });
  const workers = new Workers(count, log, io.stdout);
  const replaceAll = () => void workers.replaceAll();
  const killAll = () => workers.killAll();
  process.on('SIGHUP', replaceAll);
  // At a second Ctrl-C, or an error of this process.
  process.on('exit', killAll);
  try {
    await workers.run(io.interrupted);
  } finally {
    killAll();
    process.off('SIGHUP', replaceAll);
    process.off('exit', killAll);
  }
}

/** How a process ended: its status, the signal that ended it, or why it could not be started. */
type End = number | string | Error;

interface Member {
  readonly worker: Worker;
  readonly name: string;
  /** How many failures in a row came before it. */
  readonly failuresBefore: number;
  /** Resolves with whether it listens, or has ended without. */
  readonly isUp: Promise<boolean>;
  readonly ended: Promise<End>;
  listeningSince?: number;
  /** Whether it has been asked to end. */
  isLeaving: boolean;
  deadline?: NodeJS.Timeout;
  snapshot?: Snapshot;
  onSnapshot?: () => void;
}

class Workers {
  readonly #count: number;
  readonly #log: ReceiverLog;
  readonly #stdout: Writable;
  readonly #members = new Set<Member>();
  /** The one that does what one process must do alone. */
  #leader: Member | undefined;
  #hasStarted = false;
  #isClosing = false;
  #endedBadly = false;
  #isReplacing = false;
  /** Whether SIGHUP came while all were being started or replaced. */
  #replaceAgain = false;
  #failures = 0;
  #backoff: NodeJS.Timeout | undefined;
  /** What ended workers have counted. */
  readonly #left: Snapshot[] = [];
  #measuring: Promise<string> | undefined;

  constructor(count: number, log: ReceiverLog, stdout: Writable) {
    this.#count = count;
    this.#log = log;
    this.#stdout = stdout;
  }

  async run(interrupted: AbortSignal): Promise<void> {
    if (interrupted.aborted) return;
    const interruption = once(interrupted, 'abort').then(() => this.#close());
    // Alone, so that an error of the settings is reported once.
    const first = this.#start();
    if (first === undefined) throw new CliError('no worker could be started: give this machine more memory');
    if (!(await first.isUp) && !this.#isClosing) {
      const end = await first.ended;
      if (typeof end === 'number' && end !== 0) throw new ReportedElsewhere(end);
      throw new CliError(`${first.name} did not start: it ended ${wordsOf(end)}`);
    }
    this.#hasStarted = true;
    if (!this.#isClosing) this.#fill();
    if (this.#replaceAgain) void this.replaceAll();
    await interruption;
    while (this.#members.size > 0) await Promise.all([...this.#members].map(({ ended }) => ended));
    if (this.#endedBadly) throw new CliError('a worker did not end as it should, so a delivery may have been cut off');
  }

  /** For each worker, another one first starts to listen, and then takes its place. */
  async replaceAll(): Promise<void> {
    this.#replaceAgain = true;
    if (this.#isReplacing || !this.#hasStarted) return;
    this.#isReplacing = true;
    while (this.#replaceAgain && !this.#isClosing) {
      this.#replaceAgain = false;
      this.#log.note('info', 'replacing the workers, one by one');
      const old = [...this.#members].filter(({ isLeaving }) => !isLeaving);
      // The new settings may be what they need.
      this.#failures = 0;
      this.#fill();
      for (const member of old) {
        if (this.#isClosing) break;
        if (!this.#members.has(member)) continue;
        if (!(await this.#start()?.isUp)) {
          if (!this.#isClosing) this.#log.note('error', 'a new worker did not start: the others go on as they are');
          break;
        }
        if (this.#members.has(member) && !this.#isClosing) this.#dismiss(member, 'retire');
        await member.ended;
      }
    }
    this.#isReplacing = false;
  }

  killAll(): void {
    for (const { worker } of this.#members) worker.process.kill('SIGKILL');
  }

  #close(): void {
    this.#isClosing = true;
    clearTimeout(this.#backoff);
    for (const member of this.#members) this.#dismiss(member, 'close');
  }

  #dismiss(member: Member, how: 'close' | 'retire'): void {
    member.isLeaving = true;
    if (this.#leader === member) this.#leader = undefined;
    this.#chooseLeader();
    send(member, how);
    member.deadline ??= setTimeout(() => {
      this.#log.note('error', `${member.name} did not end within ${endWithinMs / 1_000} s, so it is killed`);
      member.worker.process.kill('SIGKILL');
    }, endWithinMs);
  }

  #fill(): void {
    clearTimeout(this.#backoff);
    this.#backoff = undefined;
    for (let missing = this.#missing(); missing > 0; missing--) this.#start();
  }

  #missing(): number {
    const staying = [...this.#members].filter(({ isLeaving }) => !isLeaving);
    return this.#isClosing ? 0 : Math.max(0, this.#count - staying.length);
  }

  /** Undefined if the system has no room for another process. */
  #start(): Member | undefined {
    let worker: Worker;
    try {
      worker = cluster.fork({ [workerVariable]: 'yes' });
    } catch (error) {
      this.#failures++;
      this.#log.note('error', `a worker could not be started: ${toError(error).message}`);
      this.#fillLater();
      return undefined;
    }
    const ended = new Promise<End>((resolve) => {
      worker.process.once('exit', (status, signal) => resolve(signal ?? status ?? 1));
      // Also of a message that could not be sent, because the worker is ending.
      worker.on('error', (error) => worker.process.pid === undefined && resolve(error));
    });
    const isUp = new Promise<boolean>((resolve) => {
      worker.once('listening', () => {
        member.listeningSince = performance.now();
        this.#log.note('info', `${member.name} has started`, fieldsOf(member));
        this.#chooseLeader();
        resolve(true);
      });
      ended.then(() => resolve(false));
    });
    const { stdout } = worker.process;
    const output = stdout ? linesTo(this.#stdout, stdout) : undefined;
    const member: Member = {
      worker,
      name: `worker ${worker.id}`,
      failuresBefore: this.#failures,
      isUp,
      ended: ended.then(async (end) => {
        await Promise.race([output, sleep(outputWithinMs, undefined, { ref: false })]);
        this.#hasEnded(member, end);
        return end;
      }),
      isLeaving: false,
    };
    this.#members.add(member);
    worker.on('message', (message: ToPrimary) => this.#received(member, message));
    return member;
  }

  #hasEnded(member: Member, end: End): void {
    this.#members.delete(member);
    clearTimeout(member.deadline);
    if (member.snapshot !== undefined) this.#left.push(countsOf(member.snapshot));
    if (this.#leader === member) this.#leader = undefined;
    this.#chooseLeader();
    // Whoever closes all may have sent the signal to each process.
    const isWell = end === 0 || (this.#isClosing && (end === 'SIGTERM' || end === 'SIGINT'));
    // One that did not listen yet had nothing to deliver.
    if (this.#isClosing && member.listeningSince !== undefined) this.#endedBadly ||= !isWell;
    if (!this.#hasStarted || (member.isLeaving && isWell)) return;
    const { listeningSince = Number.POSITIVE_INFINITY, failuresBefore } = member;
    const wasHealthy = performance.now() - listeningSince >= healthyAfterMs;
    this.#failures = wasHealthy ? 0 : Math.max(this.#failures, failuresBefore + 1);
    this.#log.note('error', `${member.name} ended ${wordsOf(end)}`, fieldsOf(member));
    this.#fillLater();
  }

  #fillLater(): void {
    if (this.#missing() === 0 || this.#backoff !== undefined) return;
    const backoffMs = Math.min(maxBackoffMs, minBackoffMs * 2 ** this.#failures);
    this.#log.note('info', `starting another worker in ${backoffMs / 1_000} s`);
    this.#backoff = setTimeout(() => this.#fill(), backoffMs);
  }

  /** The youngest one, because the others may soon be replaced. */
  #chooseLeader(): void {
    if (this.#leader !== undefined || this.#isClosing) return;
    const able = [...this.#members].filter(
      ({ isLeaving, listeningSince }) => !isLeaving && listeningSince !== undefined,
    );
    this.#leader = able.at(-1);
    if (this.#leader !== undefined) send(this.#leader, 'lead');
  }

  #received(member: Member, message: ToPrimary): void {
    if (message === 'bye') send(member, 'bye');
    else if (message === 'askMetrics') {
      this.#measuring ??= this.#measure().finally(() => {
        this.#measuring = undefined;
      });
      this.#measuring.then(
        (metrics) => send(member, { metrics }),
        (error) => this.#log.note('error', `the metrics: ${toError(error).message}`),
      );
    } else {
      member.snapshot = message.measured;
      member.onSnapshot?.();
    }
  }

  /** The sums over all workers. No counter falls when a worker ends, because what it counted is kept. */
  async #measure(): Promise<string> {
    const { merged, sumsOf } = await import('./metrics.js');
    const asked = [...this.#members].map((member) => {
      const answered = new Promise<void>((resolve) => {
        member.onSnapshot = resolve;
      });
      send(member, 'measure');
      return Promise.race([answered, member.ended]);
    });
    await Promise.race([Promise.all(asked), sleep(measureWithinMs, undefined, { ref: false })]);
    this.#left.unshift(await merged(this.#left.splice(0)));
    return sumsOf([...this.#left, ...[...this.#members].flatMap(({ snapshot }) => (snapshot ? [snapshot] : []))]);
  }
}

/** A worker that is ending hears nothing more. */
function send({ worker }: Member, message: ToWorker): void {
  worker.process.send?.(message, () => {});
}

function fieldsOf({ worker }: Member) {
  return { worker: worker.id, pid: worker.process.pid };
}

function wordsOf(end: End): string {
  if (end instanceof Error) return `because it could not be started (${end.message})`;
  return typeof end === 'string' ? `by ${end}` : `with status ${end}`;
}

/** Without gauges, which say what is now. */
function countsOf(snapshot: Snapshot): Snapshot {
  return snapshot.filter((metric) => (metric as { type?: unknown }).type !== 'gauge');
}

/** Writes whole lines only. Resolves when there are no more. */
async function linesTo(to: Writable, from: Readable): Promise<void> {
  let rest = '';
  from.setEncoding('utf8').on('data', (text: string) => {
    const end = text.lastIndexOf('\n') + 1;
    if (end > 0) to.write(rest + text.slice(0, end));
    rest = end > 0 ? text.slice(end) : rest + text;
  });
  await once(from, 'close').catch(() => {});
  if (rest !== '') to.write(`${rest}\n`);
}
