import { createHash } from 'node:crypto';
import { type Sink, sinkName } from '../contracts/sink.js';
import { eventFormat } from '../providers/index.js';
import { typeOf } from '../providers/provider.js';
import { toQueued } from '../queue/envelope.js';
import { checkOptions } from '../util/check-options.js';

/** A queue of BullMQ 6, on Redis or Postgres, as far as it is used. */
export interface BullMqQueue {
  /** The name that its workers know it by. */
  readonly name: string;
  /** Its own settings for every job, which come before the sink's attempts and backoff. */
  readonly defaultJobOptions?: object;
  /** Resolves when the job is in the queue. */
  add(name: string, data: never, options: object): Promise<unknown>;
}

/** What `bullmq` takes beside the queue. */
export interface BullMqOptions {
  /** Names the sink in the store and in outcomes: `bullmq:` and the queue's name. */
  readonly name?: string;
}

const completedTtlSeconds = 7 * 24 * 60 * 60;

/** Unless the queue has options of its own. The last of 19 attempts is one and a half to three days after the first. */
const jobOptions = {
  attempts: 19,
  backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
  // An event that comes again meanwhile is not told again.
  removeOnComplete: { age: completedTtlSeconds },
};

/**
 * A sink that hands events to BullMQ, whose workers tell others: `new Worker(name, (job) => forward(job.data))`.
 * An event makes one job, however often it is added, as long as BullMQ keeps the first one.
 * Throws a `TypeError` for what is no queue.
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
      const { provider, id } = delivery;
      const jobId = createHash('sha256').update(`${provider}:${id}`).digest('hex');
      // Postgres takes no NUL.
      const type = typeOf(eventFormat(provider), event)?.replaceAll('\0', '') ?? 'event';
      await queue.add(type, toQueued(delivery) as never, { ...jobOptions, ...queue.defaultJobOptions, jobId });
    },
  };
}
