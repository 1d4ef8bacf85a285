import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { shodaiApi, shodaiEventTypes } from '../../src/api/index.js';

import { sign } from '../../src/index.js';
import { type ManagementOptions, startShodaiManagement } from '../support/management-stand-in.js';
import { errorOf, started } from './set-up.js';

const input = { url: 'https://example.com/shodai/webhooks' };

async function setUp(options?: ManagementOptions) {
  const standIn = await started(startShodaiManagement(options));
  return { standIn, api: shodaiApi({ apiKey: standIn.apiKey, baseUrl: standIn.url }) };
}

it('creates with the required fields, and returns the secret once', async () => {
  const { standIn, api } = await setUp();
  const { meta, ...created } = await api.createWebhook(input);
  expect(meta?.requestId).toMatch(/^[\da-f-]{36}$/);
  expect(created).toEqual(standIn.webhooks[0]);
  expect(created).toMatchObject({ status: 'active', eventTypes: ['agreement.transitioned'] });
  expect(created.secret).toMatch(/^whsec_[0-9a-f]{64}$/);
  const { secret, ...known } = created;
  expect(await api.listWebhooks()).toEqual([known]);
  expect(await api.getWebhook(created.id)).toEqual({ ...known, meta: expect.anything() });
  expect(standIn.requests[0]?.headers['x-api-key']).toBe(standIn.apiKey);
  expect(standIn.calls).toEqual(['POST /v0/webhooks', 'GET /v0/webhooks', `GET /v0/webhooks/${created.id}`]);
});

it('creates with all, and updates', async () => {
  const { standIn, api } = await setUp();
  const all = {
    ...input,
    eventTypes: shodaiEventTypes,
    filters: { templateIds: ['did:template:x'], toStates: ['PAID'] },
  };
  const { secret, ...created } = await api.createWebhook(all);
  expect(created).toMatchObject(all);
  const changes = { url: 'https://example.com/other', filters: { ruleIds: ['reminder'] } };
  expect(await api.updateWebhook(created.id, changes)).toEqual({
    ...created,
    ...changes,
    meta: expect.anything(),
    updatedAt: expect.any(String),
  });
  expect(standIn.calls.at(-1)).toBe(`PATCH /v0/webhooks/${created.id}`);
  expect(standIn.violations).toEqual([]);
});

it('disables a deleted webhook, and restores it', async () => {
  const { standIn, api } = await setUp();
  const { id } = await api.createWebhook(input);
  expect(await api.deleteWebhook(id)).toMatchObject({ id, status: 'disabled' });
  expect(standIn.calls.at(-1)).toBe(`DELETE /v0/webhooks/${id}`);
  expect(await api.updateWebhook(id, { status: 'active' })).toMatchObject({ id, status: 'active' });
});

it('makes Shodai deliver a signed test, and returns how the endpoint answered', async () => {
  let answer = 204;
  const deliveries: { body: string; timestamp: string; signature: string }[] = [];
  const server = createServer(async (req, res) => {
    const timestamp = String(req.headers['x-shodai-webhook-timestamp']);
    const signature = String(req.headers['x-shodai-webhook-signature']);
    deliveries.push({ body: await text(req), timestamp, signature });
    res.writeHead(answer).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  const { standIn, api } = await setUp({ resolve: () => url });
  const { id, secret } = await api.createWebhook(input);
  expect(await api.testWebhook(id)).toMatchObject({ ok: true, status: 'succeeded', responseStatus: 204 });
  expect(standIn.calls.at(-1)).toBe(`POST /v0/webhooks/${id}/test`);
  const [{ body, timestamp, signature } = { body: '', timestamp: '', signature: '' }] = deliveries;
  expect(JSON.parse(body)).toMatchObject({ type: 'webhook.test', data: {} });
  expect(signature).toBe(sign(body, secret, timestamp));
  answer = 401;
  expect(await api.testWebhook(id)).toMatchObject({ ok: false, status: 'failed', responseStatus: 401 });
});

describe('errors', () => {
  it('have the code and message of the service', async () => {
    const { api } = await setUp();
    const error = await errorOf(api.getWebhook('wh_0/../x?y'));
    expect(error).toMatchObject({ status: 404, code: 'not_found' });
    expect(error.message).toBe('Shodai answered 404: Webhook not found.');
  });

  it('say of 401 that a scope may be missing', async () => {
    const { standIn } = await setUp();
    const error = await errorOf(shodaiApi({ apiKey: 'cns_pk_wrong', baseUrl: standIn.url }).listWebhooks());
    expect(error).toMatchObject({ status: 401, code: 'unauthorized' });
    expect(error.message).toMatch(/Invalid API key\. The key may be wrong, or lack a scope/);
  });
});

it('has no rotateSecret', async () => {
  expect(Object.keys((await setUp()).api)).toEqual([
    'listWebhooks',
    'getWebhook',
    'createWebhook',
    'updateWebhook',
    'testWebhook',
    'deleteWebhook',
  ]);
});
