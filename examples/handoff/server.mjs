import express from 'express';
import { vastWebhook } from 'vast-webhook';

const { VAST_WEBHOOK_SECRET, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

const webhook = vastWebhook(VAST_WEBHOOK_SECRET);

const app = express();
// Runs for genuine, new events only. A 2xx completes an event; after a 5xx or an error the sender retries it.
app.post('/vast/webhooks', webhook, async (req, res) => {
  const { event, delivery } = req.vast;
  try {
    if (event.notif_type === 'outbid') await raiseBid(event);
    else console.log(`nothing to do for ${event.notif_type}`);
    console.log(`done with ${delivery.id}`);
    res.sendStatus(204);
  } catch (error) {
    console.error(error);
    res.sendStatus(500); // Express 4 answers nothing by itself when an async handler throws
  }
});

/** Your own work goes here. */
async function raiseBid(event) {
  console.log(`would raise the bid: ${event.subject}`);
}

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close(); // running handlers finish first; new deliveries get a 503, and the sender retries
  });
}
