import type { Delivery } from '../../src/contracts/delivery.js';
import { type QueuedDelivery, toQueued } from '../../src/queue/envelope.js';
import type { Running, World } from './world.js';

/** One event for one worker's sinks, as a queue keeps it. */
export interface Job {
  readonly id: string;
  readonly receiver: number;
  readonly sink: string;
  readonly data: QueuedDelivery;
  readonly since: number;
  doneAt: number | undefined;
  attempts: number;
  /** Whether a process had it that died or stood still. */
  wasStalled: boolean;
}

/** After how long a queue gives a job again whose worker says nothing. */
export const stalledMs = 30_000;

/** A queue on a server of its own, that loses nothing: each job goes to a worker until one has done it. */
export class Queue {
  readonly #world: World;
  readonly jobs = new Map<string, Job>();

  constructor(world: World) {
    this.#world = world;
  }

  has(id: string, sink: string): boolean {
    return this.jobs.has(`${id} ${sink}`);
  }

  get isDone(): boolean {
    for (const { doneAt } of this.jobs.values()) if (doneAt === undefined) return false;
    return true;
  }

  add(delivery: Delivery, receiver: number, sink: string): void {
    const key = `${delivery.id} ${sink}`;
    if (this.jobs.has(key)) return;
    const { machine, choices, plan } = this.#world;
    const data = JSON.parse(JSON.stringify(toQueued(delivery))) as QueuedDelivery;
    const since = machine.now;
    const job: Job = {
      id: delivery.id,
      receiver,
      sink,
      data,
      since,
      doneAt: undefined,
      attempts: 0,
      wasStalled: false,
    };
    this.jobs.set(key, job);
    this.#give(job, 1);
    // At least once.
    if (choices.chance(plan.senderTrouble / 2)) this.#give(job, 1 + choices.pick(5_000));
  }

  #give(job: Job, ms: number): void {
    this.#world.machine.in(ms, undefined, 'io', `job ${job.id} ${job.sink}`, () => this.#start(job));
  }

  #start(job: Job): void {
    const { machine, choices, slots } = this.#world;
    if (job.doneAt !== undefined) return;
    const able = slots.filter(({ life }) => life.isAlive && !life.isClosing);
    if (able.length === 0) {
      this.#give(job, 500);
      return;
    }
    const running = able[choices.pick(able.length)] as Running;
    const attempt = ++job.attempts;
    const worker = running.workers.get(job.sink);
    running.life.io(0.5, `job ${job.id} ${job.sink}`, () => {
      running.requests++;
      worker?.(job.data).then(
        () => {
          job.doneAt ??= machine.now;
        },
        (error: Error) => {
          machine.log(`  job ${job.id} at ${running.life.name}: ${error.message}`);
          if (job.attempts === attempt) this.#give(job, Math.min(1_000 * 2 ** Math.min(attempt - 1, 3), 5_000));
        },
      );
    });
    this.#watch(job, attempt, running);
  }

  /** A worker that is dead or stands still does not keep its job. */
  #watch(job: Job, attempt: number, running: Running): void {
    const { machine } = this.#world;
    machine.in(stalledMs, undefined, 'io', 'stalled?', () => {
      if (job.doneAt !== undefined || job.attempts !== attempt) return;
      const { life } = running;
      if (life.isAlive && life.standsStillUntil <= machine.now) this.#watch(job, attempt, running);
      else {
        job.wasStalled = true;
        this.#start(job);
      }
    });
  }
}
