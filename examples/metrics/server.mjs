import express from 'express';
import { collectDefaultMetrics, register } from 'prom-client';
import { vastWebhook } from 'vast-webhook';
import { outcomeMetrics } from 'vast-webhook/metrics';

const { VAST_WEBHOOK_SECRET, PORT = '8787', METRICS_PORT = '9464' } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

outcomeMetrics(register); // all middlewares of the process
collectDefaultMetrics({ register });

const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {
  sinks: [
    async function log(event) {
      console.log(`${event.notif_type}: ${event.subject}`);
    },
  ],
});

const app = express();
app.use(webhook);

const metrics = express();
metrics.get('/metrics', async (_req, res) => {
  res.type(register.contentType).send(await register.metrics());
});

const servers = [
  listen(app, PORT, (url) => `Listening on ${url}/vast/webhooks`),
  listen(metrics, METRICS_PORT, (url) => `Metrics on ${url}/metrics`),
];

function listen(app, port, line) {
  const server = app.listen(Number(port), '127.0.0.1', (error) => {
    if (error) throw error;
    console.log(line(`http://127.0.0.1:${server.address().port}`));
  });
  return server;
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    for (const server of servers) server.close();
    await webhook.close();
  });
}
