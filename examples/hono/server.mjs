import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { vastWebhook } from 'vast-webhook/fetch';

const { VAST_WEBHOOK_SECRET, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

// Runs for genuine, new events only. A 2xx completes an event; after a 5xx or an error the sender retries it.
const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {}, async ({ event, delivery }) => {
  if (event.notif_type === 'outbid') await raiseBid(event);
  else console.log(`nothing to do for ${event.notif_type}`);
  console.log(`done with ${delivery.id}`);
  return new Response(null, { status: 204 });
});

/** Your own work goes here. */
async function raiseBid(event) {
  console.log(`would raise the bid: ${event.subject}`);
}

const app = new Hono();
app.post('/vast/webhooks', (c) => webhook(c.req.raw)); // unread: signatures are over raw bytes
app.post('/orders', async (c) => c.json({ ordered: await c.req.json() }));

const server = serve({ fetch: app.fetch, port: Number(PORT), hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`Listening on http://127.0.0.1:${port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close(); // running handlers finish first; new deliveries get a 503, and the sender retries
  });
}
