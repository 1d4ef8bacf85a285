import { Queue } from 'bullmq';
import express from 'express';
import { vastWebhook } from 'vast-webhook';
import { bullmq } from 'vast-webhook/sinks';

const { VAST_WEBHOOK_SECRET, REDIS_URL, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET || !REDIS_URL) {
  console.error(
    'Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook and REDIS_URL to the Redis of the queue.',
  );
  process.exit(1);
}

const queue = new Queue('vast-events', { connection: { url: REDIS_URL } });
queue.on('error', (error) => console.error(`queue: ${error.message || error.code}`));

const webhook = vastWebhook(VAST_WEBHOOK_SECRET, { sinks: [bullmq(queue)] }); // 204 as soon as Redis has the event
const app = express();
app.use(webhook);

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    setTimeout(() => process.exit(1), 20_000).unref(); // while Redis is down, BullMQ waits for it
    server.close();
    await webhook.close(10_000); // what is in flight is queued and answered
    await queue.close();
  });
}
