import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as root from 'vast-webhook';
import * as api from 'vast-webhook/api';
import * as catching from 'vast-webhook/catch-up';
import * as fetchForm from 'vast-webhook/fetch';
import * as koa from 'vast-webhook/koa';
import * as metrics from 'vast-webhook/metrics';
import packageJson from 'vast-webhook/package.json' with { type: 'json' };
import * as shodai from 'vast-webhook/shodai';
import * as shodaiFetch from 'vast-webhook/shodai/fetch';
import * as shodaiKoa from 'vast-webhook/shodai/koa';
import * as sinks from 'vast-webhook/sinks';
import * as kit from 'vast-webhook/sinks/kit';
import * as stores from 'vast-webhook/stores';
import * as testing from 'vast-webhook/testing';
import * as v0 from 'vast-webhook/v0';
import * as v0Fetch from 'vast-webhook/v0/fetch';
import * as v0Koa from 'vast-webhook/v0/koa';

const names = (entry) => Object.keys(entry).sort();
assert.deepEqual(names(root), [
  'SinkError',
  'WebhookError',
  'createForwarder',
  'detailsOf',
  'keepRawBody',
  'memoryStore',
  'sign',
  'vastTypes',
  'vastWebhook',
  'verifyDelivery',
  'when',
]);
assert.deepEqual(names(api), ['ApiError', 'shodaiApi', 'shodaiEventTypes', 'v0Api', 'v0EventTypes', 'vastApi']);
for (const form of [koa, fetchForm]) assert.deepEqual(names(form), ['vastWebhook']);
for (const form of [shodai, shodaiKoa, shodaiFetch]) assert.deepEqual(names(form), ['shodaiWebhook']);
for (const form of [v0, v0Koa, v0Fetch]) assert.deepEqual(names(form), ['v0Webhook']);
assert.deepEqual(names(catching), ['catchUp', 'catchUpState']);
assert.deepEqual(names(metrics), ['outcomeMetrics']);
assert.deepEqual(names(sinks), [
  'alerting',
  'apprise',
  'bullmq',
  'cloudEvents',
  'digest',
  'discord',
  'email',
  'googleChat',
  'gotify',
  'http',
  'log',
  'matrix',
  'mattermost',
  'ntfy',
  'outboxFile',
  'pagerDuty',
  'pushover',
  'quiet',
  'slack',
  'slackWorkflow',
  'sqliteOutbox',
  'teams',
  'telegram',
  'zulip',
]);
assert.deepEqual(names(kit), [
  'chatSink',
  'cut',
  'happened',
  'postJson',
  'summaryOf',
  'withoutMarkdown',
  'withoutMarkup',
  'withoutTags',
]);
assert.deepEqual(names(stores), [
  'd1Store',
  'durableObjectStore',
  'memoryStore',
  'postgresStore',
  'redisStore',
  'sqliteStore',
]);
assert.deepEqual(names(testing), ['sampleEvent', 'signedDelivery', 'sinkConformance', 'storeConformance']);
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

const answer = fetchForm.vastWebhook(secret, {}, ({ event }) => new Response(event.notif_type));
assert.equal(await (await answer(new Request('http://a.example/', { method: 'POST', ...signed }))).text(), 'outbid');
const wakeUp = v0Fetch.v0Webhook(secret, {}, ({ delivery }) => Response.json(delivery.verified));
const { search, ...call } = testing.signedDelivery({ type: 'chat.created' }, secret, { provider: 'v0' });
const asked = await wakeUp(new Request(`http://a.example/${search}`, { method: 'POST', ...call }));
assert.equal(await asked.json(), false);
server.close();
