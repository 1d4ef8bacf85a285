import { describe, expect, it, onTestFinished } from 'vitest';
import {
  failures,
  type ManagementStandIn,
  startShodaiManagement,
  startV0Management,
  startVastManagement,
} from './management-stand-in.js';

const good = { webhook_url: 'https://example.com/x', event_types: ['client:outbid'] };

async function started<StandIn extends ManagementStandIn<unknown>>(starting: Promise<StandIn>): Promise<StandIn> {
  const standIn = await starting;
  onTestFinished(() => standIn.close());
  return standIn;
}

async function send(url: string, authorization: string, method = 'GET', body?: unknown, type = 'application/json') {
  const headers = { authorization, ...(body !== undefined && { 'Content-Type': type }) };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(url, { method, headers, body: text, redirect: 'manual' });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

describe('the Vast.ai stand-in', () => {
  it.each<[string, unknown]>([
    ['no body', undefined],
    ['no JSON', '{'],
    ['no object', []],
    ['no URL', { event_types: good.event_types }],
    ['no types', { webhook_url: good.webhook_url }],
    ['an unknown field', { ...good, url: 'x' }],
    ['http', { ...good, webhook_url: 'http://example.com/x' }],
    ['loopback', { ...good, webhook_url: 'https://127.0.0.1/x' }],
    ['a user name', { ...good, webhook_url: 'https://a@example.com/x' }],
    ['2,049 characters', { ...good, webhook_url: `https://example.com/${'x'.repeat(2_029)}` }],
    ['a long name', { ...good, name: 'x'.repeat(121) }],
    ['a control character', { ...good, name: '\u0007' }],
    ['no type', { ...good, event_types: [] }],
    ['a slug', { ...good, event_types: ['outbid'] }],
    ['a type that is not in the catalogue', { ...good, event_types: ['client:brand_new'] }],
  ])('refuses to create with %s', async (_, body) => {
    const { url, apiKey, webhooks, violations } = await started(startVastManagement());
    const { status, text } = await send(`${url}/webhooks/`, `Bearer ${apiKey}`, 'POST', body);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toEqual({ success: false, error: 'invalid_args', msg: expect.any(String) });
    expect(webhooks).toEqual([]);
    expect(violations).toHaveLength(1);
  });

  it('accepts loopback addresses if its option allows them', async () => {
    const { url, apiKey } = await started(startVastManagement({ allowLoopback: true }));
    const body = { ...good, webhook_url: 'http://127.0.0.1:8787/vast/webhooks' };
    expect(await send(`${url}/webhooks/`, `Bearer ${apiKey}`, 'POST', body)).toMatchObject({ status: 200 });
  });

  it('refuses the fifth webhook, a body of another type, and other keys', async () => {
    const { url, apiKey } = await started(startVastManagement());
    const post = (type?: string) => send(`${url}/webhooks/`, `Bearer ${apiKey}`, 'POST', good, type);
    expect(await post('text/plain')).toMatchObject({ status: 400 });
    for (let i = 0; i < 4; i++) expect(await post()).toMatchObject({ status: 200 });
    expect(await post()).toMatchObject({ status: 400 });
    for (const authorization of [apiKey, `bearer ${apiKey}`, 'Bearer x']) {
      expect(await send(`${url}/webhooks/`, authorization)).toMatchObject({
        status: 401,
        text: '{"success":false,"error":"auth_error","msg":"Invalid user key"}',
      });
    }
  });

  it.each(['/webhooks', '/webhooks/42', '/nothing/', '/webhooks/x/'])('answers %s with an HTML page', async (path) => {
    const { url, apiKey } = await started(startVastManagement());
    expect(await send(url + path, `Bearer ${apiKey}`)).toMatchObject({ status: 404, type: 'text/html' });
  });

  it('limits the rate, in both of its forms, without Retry-After', async () => {
    const { url, apiKey } = await started(startVastManagement({ rateLimit: { calls: 1, perMs: 60_000 } }));
    const get = () => send(`${url}/webhooks/`, `Bearer ${apiKey}`);
    expect(await get()).toMatchObject({ status: 200 });
    expect(await get()).toMatchObject({ status: 429, type: 'text/plain' });
    expect(await get()).toEqual({ status: 429, type: 'application/json', text: expect.stringContaining('{"detail"') });
  });

  it('fails as the test asks, and then works again', async () => {
    const { url, apiKey, ...standIn } = await started(startVastManagement());
    standIn.failNext(failures.html(503));
    standIn.failNext(failures.json(500, {}), 2);
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await send(`${url}/webhooks/`, `Bearer ${apiKey}`)).status);
    expect(statuses).toEqual([503, 500, 500, 200]);
  });
});

it('the Shodai stand-in refuses invalid input in its own form', async () => {
  const { url, apiKey, violations } = await started(startShodaiManagement());
  for (const body of [{}, { url: 'http://example.com' }, { url: 'https://example.com', filters: { x: [] } }]) {
    const headers = { 'X-API-Key': apiKey, 'Content-Type': 'application/json' };
    const response = await fetch(`${url}/v0/webhooks`, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_request', requestId: expect.any(String) } });
  }
  expect(violations).toHaveLength(3);
});

it('the v0 stand-in refuses invalid input in its own form', async () => {
  const { url, apiKey, violations } = await started(startV0Management());
  for (const body of [{}, { name: 'x', url: 'https://example.com', events: ['chat.x'] }]) {
    expect(await send(`${url}/hooks`, `Bearer ${apiKey}`, 'POST', body)).toMatchObject({
      status: 400,
      text: expect.stringMatching(/^\{"message":/),
    });
  }
  expect(violations).toHaveLength(2);
});
