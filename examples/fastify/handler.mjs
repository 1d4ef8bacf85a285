import middie from '@fastify/middie';
import Fastify from 'fastify';
import { vastWebhook } from 'vast-webhook';

const { VAST_WEBHOOK_SECRET, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

const webhook = vastWebhook(VAST_WEBHOOK_SECRET);

const app = Fastify();
await app.register(middie);
app.use('/vast/webhooks', webhook);
app.addHook('preClose', () => webhook.close()); // running handlers finish first
app.post('/orders', async ({ body }) => ({ ordered: body }));

// A separate scope, because Fastify's parsers would wait forever for a body that the middleware has read.
app.register(async (scope) => {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (request, _payload, done) => done(null, request.raw.body));

  // Runs for genuine, new events only. A 2xx completes an event; after a 5xx or an error the sender retries it.
  scope.post('/vast/webhooks', async (request, reply) => {
    const { event, delivery } = request.raw.vast;
    if (event.notif_type === 'outbid') await raiseBid(event);
    else console.log(`nothing to do for ${event.notif_type}`);
    console.log(`done with ${delivery.id}`);
    return reply.code(204).send();
  });
});

/** Your own work goes here. */
async function raiseBid(event) {
  console.log(`would raise the bid: ${event.subject}`);
}

await app.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`Listening on http://127.0.0.1:${app.server.address().port}/vast/webhooks`);

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close());
