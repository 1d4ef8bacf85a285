import { createHash } from 'node:crypto';
import { eventKey, eventType } from '../contracts/delivery.js';
import { type Sink, sinkName } from '../contracts/sink.js';
import { toQueued } from '../queue/envelope.js';
import { checkOptions } from '../util/check-options.js';

/** The part of a BullMQ 6 `Queue`, on Redis or Postgres, that is used here. */
export interface BullMqQueue {
  /** The queue's name, which its workers use, too. */
  readonly name: string;
  /** The queue's own settings for every job. They override the sink's attempts and backoff. */
  readonly defaultJobOptions?: object;
  /** Resolves when the job is in the queue. */
  add(name: string, data: never, options: object): Promise<unknown>;
}

/** Options of `bullmq`. */
export interface BullMqOptions {
  /** Names the sink in the store and in outcomes. Default: `bullmq:` and the queue's name. */
  readonly name?: string;
}

const completedTtlSeconds = 7 * 24 * 60 * 60;

/** Defaults that the queue's own options override. The last of 19 attempts is 1.5 to 3 days after the first. */
const jobOptions = {
  attempts: 19,
  backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
  // While the completed job is kept, a repeated event adds no second job.
  removeOnComplete: { age: completedTtlSeconds },
};

/**
 * A sink that adds events to a BullMQ queue. Its workers deliver them: `new Worker(name, (job) => forward(job.data))`.
 * An event makes one job, however often it is added, as long as BullMQ keeps the first one.
 * Throws a `TypeError` for an invalid queue or option.
 */
export function bullmq<Event extends object>(queue: BullMqQueue, options: BullMqOptions = {}): Sink<Event> {
  if (typeof queue?.add !== 'function' || typeof queue.name !== 'string') {
    throw new TypeError('bullmq: queue must be a Queue of BullMQ');
  }
  checkOptions(options, { name: sinkName }, 'bullmq');
  const { name = `bullmq:${queue.name}` } = options;
  return {
    name,
    async deliver(event, { delivery }) {
      const jobId = createHash('sha256').update(eventKey(delivery)).digest('hex');
      // Postgres refuses NUL characters.
      const type = eventType({ event, delivery })?.replaceAll('\0', '') ?? 'event';
      await queue.add(type, toQueued(delivery) as never, { ...jobOptions, ...queue.defaultJobOptions, jobId });
    },
  };
}
