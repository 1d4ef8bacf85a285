// The service: the middleware in front of a server with one other route.
import { createServer } from 'node:http';
import { vastWebhook } from 'vast-webhook';
import { openQueueSink, openStore } from './backends-in-service.mjs';
import { chatSinks, config, logError, logOutcome, ready, whenAsked } from './in-child.mjs';

const { backend, secret, port, leaseMs, storeTimeoutMs } = config;
const queueSink = await openQueueSink(backend, chatSinks());
// A queue knows by itself what it has: the default store in front of it will do.
const store = queueSink === undefined ? await openStore(backend) : undefined;
const hook = vastWebhook(secret, {
  path: '/vast/webhooks',
  sinks: queueSink === undefined ? chatSinks() : [queueSink.sink],
  ...(store !== undefined && { store }),
  leaseMs,
  storeTimeoutMs,
  onOutcome: logOutcome,
  onError: logError,
});

const server = createServer((req, res) => {
  hook(req, res, () => res.writeHead(req.url === '/ping' ? 200 : 404).end());
});
server.listen(port, '127.0.0.1', () => ready(server.address().port));

whenAsked(async () => {
  server.close();
  await hook.close(3_000);
  await queueSink?.close();
});
