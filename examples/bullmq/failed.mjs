import { Queue } from 'bullmq';

const { REDIS_URL } = process.env;
if (!REDIS_URL) {
  console.error('Set REDIS_URL to the Redis of the queue.');
  process.exit(1);
}

const queue = new Queue('vast-events', { connection: { url: REDIS_URL } });
for (const job of await queue.getFailed()) {
  console.log(`${job.name} ${job.data.id}: ${job.failedReason} (attempts: ${job.attemptsMade})`);
  // With all its attempts again. queue.retryJobs() would leave a job that has used them up with one.
  if (process.argv[2] === '--retry') await job.retry('failed', { resetAttemptsMade: true });
}
await queue.close();
