import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as root from 'vast-webhook';
import * as api from 'vast-webhook/api';
import * as koa from 'vast-webhook/koa';
import packageJson from 'vast-webhook/package.json' with { type: 'json' };
import * as sinks from 'vast-webhook/sinks';
import * as stores from 'vast-webhook/stores';
import * as testing from 'vast-webhook/testing';

const names = (entry) => Object.keys(entry).sort();
assert.deepEqual(names(root), [
  'SinkError',
  'WebhookError',
  'createForwarder',
  'keepRawBody',
  'memoryStore',
  'sign',
  'vastTypes',
  'vastWebhook',
  'verifyDelivery',
  'when',
]);
assert.deepEqual(names(api), ['ApiError', 'shodaiApi', 'shodaiEventTypes', 'v0Api', 'v0EventTypes', 'vastApi']);
assert.deepEqual(names(koa), ['vastWebhook']);
assert.deepEqual(names(sinks), [
  'bullmq',
  'cloudEvents',
  'digest',
  'discord',
  'googleChat',
  'http',
  'log',
  'pagerDuty',
  'quiet',
  'slack',
  'slackWorkflow',
  'sqliteOutbox',
  'teams',
]);
assert.deepEqual(names(stores), ['memoryStore', 'postgresStore', 'redisStore', 'sqliteStore']);
assert.deepEqual(names(testing), ['sampleEvent', 'signedDelivery', 'storeConformance']);
assert.equal(stores.memoryStore, root.memoryStore, 'every entry shares one instance of the code');
assert.equal(packageJson.name, 'vast-webhook');

const secret = 'a secret of the consumer';
const event = testing.sampleEvent('outbid');
const signed = testing.signedDelivery(event, secret);
assert.deepEqual(root.verifyDelivery({ ...signed, secret }).event, event);
assert.throws(() => root.verifyDelivery({ ...signed, secret: 'another secret' }), root.WebhookError);

// The middleware itself, on a server without any framework.
const seen = [];
const hook = root.vastWebhook(secret, {
  sinks: [
    function audit({ event_id }) {
      seen.push(event_id);
    },
  ],
  onOutcome() {},
});
const server = createServer((req, res) => hook(req, res, () => res.writeHead(404).end())).listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${server.address().port}/vast/webhooks`;
const post = async ({ body, headers }) => (await fetch(url, { method: 'POST', body, headers })).status;
assert.equal(await post(signed), 204);
assert.equal(await post(signed), 204);
assert.equal(await post({ ...signed, body: `${signed.body} ` }), 401);
assert.deepEqual(seen, [event.event_id]);
await hook.close();
server.close();
