import middie from '@fastify/middie';
import Fastify from 'fastify';
import { vastWebhook } from 'vast-webhook';

const { VAST_WEBHOOK_SECRET, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

// With sinks the middleware answers by itself, and Fastify never asks for the body.
const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {
  sinks: [
    async function log(event) {
      console.log(`${event.notif_type}: ${event.subject}`);
    },
  ],
});

const app = Fastify();
await app.register(middie); // its hook is onRequest, which runs ahead of Fastify's parsers
app.use('/vast/webhooks', webhook);
app.addHook('preClose', () => webhook.close()); // delivers running events first
app.post('/orders', async ({ body }) => ({ ordered: body }));

await app.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`Listening on http://127.0.0.1:${app.server.address().port}/vast/webhooks`);

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close());
