import { expect, it } from 'vitest';
import { v0Api, v0EventTypes } from '../../src/api/index.js';

import { startV0Management } from '../support/management-stand-in.js';
import { errorOf, started } from './set-up.js';

const input = { name: 'Hook', url: 'https://example.com/v0/webhooks?token=t', events: ['chat.created'] };

async function setUp() {
  const standIn = await started(startV0Management());
  return { standIn, api: v0Api({ apiKey: standIn.apiKey, baseUrl: standIn.url }) };
}

it('creates, lists and reads', async () => {
  const { standIn, api } = await setUp();
  const created = await api.createWebhook(input);
  expect(created).toEqual({ ...input, chatId: null, id: expect.any(String), createdAt: expect.any(String) });
  expect(await api.createWebhook({ ...input, events: v0EventTypes, chatId: 'chat_1' })).toMatchObject({
    events: v0EventTypes,
    chatId: 'chat_1',
  });
  expect(await api.listWebhooks()).toEqual(standIn.webhooks.map(({ id, name }) => ({ id, name })));
  expect(await api.getWebhook(created.id)).toEqual(created);
  expect(standIn.requests[0]?.headers.authorization).toBe(`Bearer ${standIn.apiKey}`);
  expect(standIn.calls).toEqual(['POST /hooks', 'POST /hooks', 'GET /hooks', `GET /hooks/${created.id}`]);
});

it('updates and deletes', async () => {
  const { standIn, api } = await setUp();
  const created = await api.createWebhook(input);
  const changes = { name: 'Other', events: ['message.finished'] };
  expect(await api.updateWebhook(created.id, changes)).toEqual({ ...created, ...changes });
  await api.deleteWebhook(created.id);
  expect(standIn.webhooks).toEqual([]);
  expect(standIn.calls.slice(1)).toEqual([`PATCH /hooks/${created.id}`, `DELETE /hooks/${created.id}`]);
  expect(standIn.violations).toEqual([]);
});

it('rejects with the message of the service', async () => {
  const { standIn, api } = await setUp();
  const missing = await errorOf(api.getWebhook('hook_0'));
  expect(missing).toMatchObject({ status: 404, code: 'http_404', message: 'v0 answered 404: Hook not found.' });
  const refused = await errorOf(v0Api({ apiKey: 'wrong', baseUrl: standIn.url }).listWebhooks());
  expect(refused).toMatchObject({ status: 401, code: 'http_401' });
  expect(refused.message).toMatch(/lack a scope/);
});

it('has neither rotateSecret nor testWebhook', async () => {
  expect(Object.keys((await setUp()).api)).toEqual([
    'listWebhooks',
    'getWebhook',
    'createWebhook',
    'updateWebhook',
    'deleteWebhook',
  ]);
});
