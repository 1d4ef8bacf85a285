import express from 'express';
import { vastWebhook, when } from 'vast-webhook';
import { slack } from 'vast-webhook/sinks';

const { VAST_WEBHOOK_SECRET, SLACK_WEBHOOK_URL, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET || !SLACK_WEBHOOK_URL) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook and SLACK_WEBHOOK_URL to the Slack one.');
  process.exit(1);
}

const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {
  sinks: [
    // Slack gets events that need action, the log gets every event.
    when(['outbid', 'instance_*', 'low_credit', 'billing_failed'], slack(SLACK_WEBHOOK_URL)),
    async function log(event) {
      console.log(`${event.notif_type}: ${event.subject}`);
    },
  ],
});

const app = express();
app.use(webhook); // before any body parser: signatures are over raw bytes
app.get('/health', (_req, res) => res.json({ ok: true }));

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close(); // delivers running events first; new deliveries get a 503, and the sender retries
  });
}
