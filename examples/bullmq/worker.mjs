import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createForwarder, when } from 'vast-webhook';
import { slack } from 'vast-webhook/sinks';
import { redisStore } from 'vast-webhook/stores';

const { REDIS_URL, SLACK_WEBHOOK_URL } = process.env;
if (!REDIS_URL || !SLACK_WEBHOOK_URL) {
  console.error('Set REDIS_URL to the Redis of the queue and SLACK_WEBHOOK_URL to the Slack webhook.');
  process.exit(1);
}

const redis = new Redis(REDIS_URL, { maxRetriesPerRequest: null }); // as BullMQ wants it
const queue = new Queue('vast-events', { connection: redis });

const forward = createForwarder({
  // Remembers delivered sinks, so that the next attempt, by any worker, calls only the others.
  store: redisStore(redis),
  sinks: [
    when(['outbid', 'instance_*', 'low_credit', 'billing_failed'], slack(SLACK_WEBHOOK_URL)),
    async function audit(event, { delivery }) {
      console.log(`audit: ${event.notif_type} ${delivery.id}`);
    },
  ],
  rateLimit: (ms) => queue.rateLimit(ms), // after a 429
});

const worker = new Worker(queue.name, (job) => forward(job.data), {
  connection: redis,
  // As much as Slack takes. Without a limiter, the others would go on after a 429, and a wait would end after 30 s.
  limiter: { max: 1, duration: 1_000 },
  // With BullMQ's 1, an event would be given up when its worker is killed for the second time.
  maxStalledCount: 20,
});
worker.on('ready', () => console.log('Working'));
queue.on('error', () => {}); // is one of the connection they share
for (const source of [redis, worker]) {
  source.on('error', (error) => console.error(`queue: ${error.message || error.code}`));
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    setTimeout(() => process.exit(1), 20_000).unref(); // while Redis is down, BullMQ waits for it
    await worker.close(); // takes no more jobs, and finishes those it has
    await forward.close();
    await queue.close();
    await redis.quit();
  });
}
