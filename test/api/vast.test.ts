import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';
import { vastApi } from '../../src/api/index.js';
import { vastWebhook } from '../../src/index.js';
import { vastTypes } from '../../src/providers/vast.js';
import { startVastManagement, type VastManagementOptions } from '../support/management-stand-in.js';
import { errorOf, started } from './set-up.js';

const input = {
  webhook_url: 'https://example.com/vast/webhooks',
  event_types: ['client:outbid', 'host:machine_error'],
};

async function setUp(options?: VastManagementOptions) {
  const standIn = await started(startVastManagement(options));
  return { standIn, api: vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url }) };
}

describe('listTypes', () => {
  it('returns the catalogue, in which this package knows every slug', async () => {
    const { standIn, api } = await setUp({ newTypes: ['client:brand_new'] });
    const types = await api.listTypes();
    expect(types).toHaveLength(32);
    expect(types.find(({ key }) => key === 'client:low_credit')).toEqual({
      key: 'client:low_credit',
      slug: 'low_credit',
      context: 'client',
      topic: 'billing',
      category: 'billing',
      display_name: 'low credit notifications',
      default_preferences: { email: true, webhooks: false },
      mandatory_email: false,
    });
    expect(types.filter(({ slug }) => !(slug in vastTypes)).map(({ key }) => key)).toEqual(['client:brand_new']);
    expect(standIn.calls).toEqual(['GET /notification-types/']);
  });
});

describe('createWebhook', () => {
  it('counts the webhooks, creates one and returns its secret, once', async () => {
    const { standIn, api } = await setUp();
    const created = await api.createWebhook({ name: 'Ops', ...input });
    expect(created).toEqual({ ...standIn.webhooks[0], enabled_notification_preferences: input.event_types });
    expect(created.webhook_secret).toMatch(/^[\w-]{43}$/);
    expect(standIn.calls).toEqual(['GET /webhooks/', 'POST /webhooks/']);
    const [listed] = await api.listWebhooks();
    expect(listed).toEqual({ ...standIn.webhooks[0], webhook_secret: undefined });
    expect(standIn.violations).toEqual([]);
  });

  it('sends the key, and JSON as it was given', async () => {
    const { standIn, api } = await setUp();
    await api.createWebhook({ name: null, ...input });
    const [list, create] = standIn.requests;
    expect(list?.headers.authorization).toBe(`Bearer ${standIn.apiKey}`);
    expect(list?.headers['content-type']).toBeUndefined();
    expect(create?.headers).toMatchObject({ 'content-type': 'application/json', accept: 'application/json' });
    expect(JSON.parse(create?.body ?? '')).toEqual({ name: null, ...input });
  });

  it('creates the fourth webhook, and not the fifth', async () => {
    const { standIn, api } = await setUp();
    for (let i = 0; i < 4; i++) await api.createWebhook(input);
    const error = await errorOf(api.createWebhook(input));
    expect(error).toMatchObject({ status: 0, code: 'too_many_webhooks' });
    expect(error.message).toMatch(/allows 4 webhooks .* update or delete one/);
    expect(standIn.calls.at(-1)).toBe('GET /webhooks/');
    expect(standIn.webhooks).toHaveLength(4);
  });

  it('works with a key that may write but not list', async () => {
    const { standIn, api } = await setUp({ missingScope: 'user_read' });
    await api.createWebhook(input);
    expect(standIn.webhooks).toHaveLength(1);
  });

  it('with a key that may only list, says that a scope may be missing', async () => {
    const { standIn, api } = await setUp({ missingScope: 'user_write' });
    const error = await errorOf(api.createWebhook(input));
    expect(error).toMatchObject({ status: 401, code: 'auth_error' });
    expect(error.message).toBe(
      'Vast.ai answered 401: This action requires the permission group user_write (auth_error). The key may be wrong, or lack a scope that this call needs.',
    );
    expect(standIn.webhooks).toEqual([]);
  });

  it('does not create when the list cannot be had', async () => {
    const { standIn, api } = await setUp();
    standIn.failNext((res) => res.writeHead(500).end());
    expect(await errorOf(api.createWebhook(input))).toMatchObject({ status: 500 });
    expect(standIn.calls).toEqual(['GET /webhooks/']);
  });
});

describe('updateWebhook', () => {
  it.each([
    ['name', { name: 'Other' }],
    ['name, away', { name: null }],
    ['webhook_url', { webhook_url: 'https://example.com/other' }],
    ['event_types', { event_types: ['client:low_credit'] }],
  ])('sets %s and nothing else', async (_, changes) => {
    const { standIn, api } = await setUp();
    const { webhook_secret, ...created } = await api.createWebhook({ name: 'Ops', ...input });
    const updated = await api.updateWebhook(created.id, changes);
    expect(updated).toEqual({
      ...created,
      ...changes,
      updated_at: expect.any(Number),
      enabled_notification_preferences: 'event_types' in changes ? changes.event_types : [],
    });
    expect(standIn.calls.at(-1)).toBe(`PUT /webhooks/${created.id}/`);
    expect(standIn.webhooks[0]).toMatchObject({ ...changes, webhook_secret });
  });
});

describe('rotateSecret', () => {
  it('returns a new secret', async () => {
    const { standIn, api } = await setUp();
    const created = await api.createWebhook(input);
    const rotated = await api.rotateSecret(created.id);
    expect(rotated.webhook_secret).not.toBe(created.webhook_secret);
    expect(rotated.webhook_secret).toBe(standIn.webhooks[0]?.webhook_secret);
    expect(standIn.calls.at(-1)).toBe(`POST /webhooks/${created.id}/rotate-secret/`);
  });
});

describe('testWebhook', () => {
  async function receiver(secret: () => string) {
    const events: string[] = [];
    const app = express();
    const hook = vastWebhook(secret, { onOutcome() {} });
    app.use(hook);
    app.post('/vast/webhooks', (req, res) => {
      events.push(req.vast.event.notif_type);
      res.sendStatus(204);
    });
    const server = createServer(app).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(async () => {
      await hook.close();
      server.close();
      server.closeAllConnections();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/vast/webhooks`, events };
  }

  it('has a signed event delivered to the endpoint', async () => {
    let secret = '';
    const { url, events } = await receiver(() => secret);
    const { standIn, api } = await setUp({ resolve: () => url });
    const created = await api.createWebhook(input);
    secret = created.webhook_secret;
    expect(await api.testWebhook(created.id)).toEqual({ msg: 'Test webhook delivered' });
    expect(events).toEqual(['webhook_test']);
    expect(standIn.calls.at(-1)).toBe(`POST /webhooks/${created.id}/test/`);
  });

  it('rejects with 400 when the endpoint has another secret', async () => {
    const { url, events } = await receiver(() => 'another secret');
    const { standIn, api } = await setUp({ resolve: () => url });
    const { id } = await api.createWebhook(input);
    const error = await errorOf(api.testWebhook(id));
    expect(error).toMatchObject({ status: 400, code: 'invalid_args' });
    expect(error.message).toBe('Vast.ai answered 400: Webhook URL is not deliverable (invalid_args).');
    expect(events).toEqual([]);
    expect(standIn.calls.filter((call) => call.endsWith('/test/'))).toHaveLength(1);
  });
});

describe('deleteWebhook', () => {
  it('deletes', async () => {
    const { standIn, api } = await setUp();
    const { id } = await api.createWebhook(input);
    expect(await api.deleteWebhook(id)).toBeUndefined();
    expect(standIn.webhooks).toEqual([]);
    expect(standIn.calls.at(-1)).toBe(`DELETE /webhooks/${id}/`);
  });

  it('is content with an empty answer', async () => {
    const { standIn, api } = await setUp();
    standIn.failNext((res) => res.writeHead(204).end());
    await api.deleteWebhook(42);
  });

  it('rejects with 404 when there is none', async () => {
    const { api } = await setUp();
    const error = await errorOf(api.deleteWebhook(42));
    expect(error).toMatchObject({ status: 404, code: 'http_404' });
    expect(error.message).toBe('Vast.ai answered 404: Webhook not found.');
  });
});

describe('preferences', () => {
  it('are read, and replaced', async () => {
    const { standIn, api } = await setUp();
    await api.createWebhook(input);
    expect(await api.preferences(standIn.userId)).toEqual({
      client: { outbid: { webhooks: true } },
      host: { machine_error: { webhooks: true } },
    });
    const preferences = { client: { low_credit: { email: true, webhooks: false } } };
    expect(await api.setPreferences(standIn.userId, preferences)).toEqual(preferences);
    expect(standIn.preferences).toEqual(preferences);
    expect(standIn.calls.slice(-2)).toEqual([
      `GET /users/${standIn.userId}/notification-prefs/`,
      `PUT /users/${standIn.userId}/notification-prefs/`,
    ]);
  });

  it('of another user are refused', async () => {
    const { standIn, api } = await setUp();
    expect(await errorOf(api.preferences(standIn.userId + 1))).toMatchObject({ status: 401 });
  });
});
