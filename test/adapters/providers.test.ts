import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import vectors from '../fixtures/vectors.json' with { type: 'json' };
import {
  adapters,
  bytesOf,
  head,
  headersWith,
  type Message,
  nowMs,
  nowSeconds,
  type Setup,
  serve,
  signature,
  signed,
} from '../support/adapters.js';

// ---------------------------------------------------------------- Shodai

const shodaiSecret = `whsec_${'5e'.repeat(32)}`;
let events = 0;

function aShodaiEvent(fields: object = {}) {
  return {
    id: `evt_${++events}`,
    type: 'agreement.transitioned',
    apiVersion: '2026-06-01',
    createdAt: '2026-06-01T00:00:00.000Z',
    data: { agreementId: 'agr_1', templateId: 'tpl_1', fromState: 'draft', toState: 'signed', inputId: 'in_1' },
    ...fields,
  };
}

function fromShodai(
  event: object | string = aShodaiEvent(),
  { key = shodaiSecret, timestamp = nowSeconds as number | string, id = (event as { id?: string }).id } = {},
): Message & { headers: [string, string][]; body: string } {
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  const headers: [string, string][] = [
    ['Content-Type', 'application/json'],
    ['X-Shodai-Webhook-Timestamp', String(timestamp)],
    ['X-Shodai-Webhook-Signature', signature(body, key, timestamp)],
  ];
  if (id !== undefined) headers.push(['X-Shodai-Webhook-Id', id]);
  return { body, headers };
}

const shodai = (setup: Setup = {}): Setup => ({ provider: 'shodai', secret: shodaiSecret, ...setup });

describe.each(adapters)('%s: shodaiWebhook', (_name, adapter) => {
  it.each(vectors.shodai)('takes the vector "$name"', async ({ secret, timestamp, body, signature: sent }) => {
    const service = await serve(adapter, shodai({ secret }));
    const { headers } = fromShodai(body, { timestamp, id: 'evt_test' });
    const message = { body, headers: headersWith(headers, { 'X-Shodai-Webhook-Signature': sent }) };
    expect((await service.send(message)).status).toBe(204);
    expect(await service.outcome()).toMatchObject({ result: 'accepted', id: 'evt_test', type: 'webhook.test' });
  });

  it('calls the handler with the verified event at /shodai/webhooks', async () => {
    const service = await serve(adapter, shodai());
    const event = aShodaiEvent();
    const { body, headers } = fromShodai(event);
    await service.send({ body, headers });
    expect(service.endpoint).toBe('/shodai/webhooks');
    expect(service.handled.map(({ received, vast }) => [received, vast === received])).toEqual([
      [
        {
          event,
          delivery: {
            provider: 'shodai',
            source: 'webhook',
            verified: true,
            type: 'agreement.transitioned',
            id: event.id,
            attempt: 1,
            webhook: undefined,
            timestamp: nowSeconds,
            receivedAt: nowMs,
            rawBody: Buffer.from(body),
          },
        },
        adapter.takes === 'Request',
      ],
    ]);
  });

  it('counts an event once, by its signed id', async () => {
    const service = await serve(adapter, shodai());
    const event = aShodaiEvent();
    await service.send(fromShodai(event));
    await service.send(fromShodai({ ...event, createdAt: 'later' }));
    expect(service.outcomes.map(({ result }) => result)).toEqual(['accepted', 'duplicate']);
  });

  it.each([
    ['of a type that is not known', { type: 'agreement.archived' }],
    ['of a version that is not known', { apiVersion: '2031-01-01' }],
    ['without data', { data: undefined }],
    ['with odd data', { data: [null] }],
  ])('takes an event %s', async (_, fields) => {
    const service = await serve(adapter, shodai());
    expect((await service.send(fromShodai(aShodaiEvent(fields)))).status).toBe(204);
  });

  it('refuses a header that says another event id than the signed one', async () => {
    const service = await serve(adapter, shodai());
    const answer = await service.send(fromShodai(aShodaiEvent(), { id: 'evt_other' }));
    expect(answer).toMatchObject({ status: 400, body: '{"ok":false,"error":"event_id_mismatch"}' });
    expect(await service.outcome()).toMatchObject({
      result: 'rejected',
      code: 'event_id_mismatch',
      permanent: true,
      error: { message: 'the event id in the header is not the one that is signed' },
    });
    expect(service.handled).toHaveLength(0);
  });

  it.each([
    ['the header, which a proxy may drop', fromShodai(aShodaiEvent(), { id: undefined })],
    ['an id in the body', fromShodai(aShodaiEvent({ id: undefined }), { id: 'evt_header' })],
  ])('takes an event without %s', async (_, message) => {
    const service = await serve(adapter, shodai());
    const headers = message.headers.filter(([name, value]) => name !== 'X-Shodai-Webhook-Id' || value === 'evt_header');
    expect((await service.send({ ...message, headers })).status).toBe(204);
    expect((await service.outcome()).id).not.toBe('evt_header');
  });

  it.each<[string, Message, string]>([
    ['a key without its whsec_', fromShodai(aShodaiEvent(), { key: '5e'.repeat(32) }), 'signature_mismatch'],
    ['a stale timestamp', fromShodai(aShodaiEvent(), { timestamp: nowSeconds - 301 }), 'stale_timestamp'],
    ['the headers of Vast.ai', signed({}, { key: shodaiSecret }), 'missing_signature'],
  ])('refuses %s', async (_, message, reason) => {
    const service = await serve(adapter, shodai());
    expect((await service.send(message)).status).toBe(401);
    expect(await service.outcome()).toMatchObject({ code: 'invalid_signature', reason });
  });
});

// ---------------------------------------------------------------- v0

const token = 'tok/en+9f2c6d1e5b7a48c3=';
const v0 = (setup: Setup = {}): Setup => ({ provider: 'v0', secret: token, ...setup });
const json = [['Content-Type', 'application/json']] as const;

/** A hook call with a query, by default the one with the right token. */
function fromV0(
  event: object | string = { type: 'message.finished', n: ++events },
  query = tokenQuery(token),
): Message {
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  return { target: `/v0/webhooks${query}`, headers: json, body };
}
const tokenQuery = (value: string) => `?token=${encodeURIComponent(value)}`;

describe.each(adapters)('%s: v0Webhook', (_name, adapter) => {
  const missing = 'the URL has no ?token=: is it the one that was registered?';

  it('calls the handler with the event, marked as not verified', async () => {
    const service = await serve(adapter, v0({ secret: { chats: token } }));
    const { body = '', ...message } = fromV0({ type: 'chat.created', id: 'claimed' });
    expect((await service.send({ ...message, body })).status).toBe(204);
    expect(service.handled.map(({ received }) => received)).toEqual([
      {
        event: { type: 'chat.created', id: 'claimed' },
        delivery: {
          provider: 'v0',
          source: 'webhook',
          verified: false,
          type: 'chat.created',
          id: `sha256:${createHash('sha256').update(body).digest('hex')}`,
          attempt: 1,
          webhook: 'chats',
          timestamp: nowSeconds,
          receivedAt: nowMs,
          rawBody: Buffer.from(body),
        },
      },
    ]);
    expect(await service.outcome()).toMatchObject({ result: 'accepted', type: 'chat.created', skewSeconds: undefined });
  });

  it('counts a body once', async () => {
    const service = await serve(adapter, v0());
    for (const body of ['{"a":1}', '{"a":1}', '{"a":2}']) await service.send(fromV0(body));
    expect(service.outcomes.map(({ result }) => result)).toEqual(['accepted', 'duplicate', 'accepted']);
  });

  it.each([
    ['encoded', tokenQuery(token)],
    ['as it is', `?token=${token}`],
    ['among others', `?a=b&token=${token}&c`],
    ['before a fragment', `?token=${token}#c`],
  ])('takes the token %s', async (_, query) => {
    const service = await serve(adapter, v0());
    expect((await service.send(fromV0(undefined, query))).status).toBe(204);
  });

  const texts = Object.entries(adapter.parsers).flatMap(([parser, { leaves }]) => (leaves === 'text' ? [parser] : []));
  it.each(texts)('takes the text that is left of the body behind %s', async (parserBefore) => {
    const service = await serve(adapter, v0({ parserBefore }));
    const { body = '', ...message } = fromV0();
    expect((await service.send({ ...message, body })).status).toBe(204);
    expect(service.handled[0]?.received?.delivery.rawBody).toEqual(Buffer.from(body));
  });

  it('accepts a token with a question mark in it', async () => {
    const service = await serve(adapter, v0({ secret: 'is?it' }));
    expect((await service.send(fromV0(undefined, '?token=is?it'))).status).toBe(204);
  });

  it.each([
    ['no query', '', 'missing_token'],
    ['a token in the fragment', `#?token=${token}`, 'missing_token'],
    ['another parameter', `?tokens=${token}`, 'missing_token'],
    ['an empty token', '?token=', 'token_mismatch'],
    ['another token', '?token=another', 'token_mismatch'],
    ['a part of the token', tokenQuery(token.slice(0, -1)), 'token_mismatch'],
    ['more than the token', tokenQuery(`${token}x`), 'token_mismatch'],
    ['the token twice', `${tokenQuery(token)}&token=${token}`, 'token_mismatch'],
    ['half a code', '?token=%e', 'token_mismatch'],
  ])('refuses %s before a byte of the body is there', async (_, query, reason) => {
    const service = await serve(adapter, v0());
    const connection = await service.connect();
    connection.write(head('POST', `/v0/webhooks${query}`, [...json, ['Content-Length', '1000']]));
    const answer = await connection.answer();
    expect(answer).toMatchObject({ status: 401, body: '{"ok":false,"error":"invalid_signature"}' });
    expect(await service.outcome()).toMatchObject({
      result: 'rejected',
      code: 'invalid_signature',
      reason,
      error: { message: reason === 'missing_token' ? missing : 'no token matches the one in the URL' },
    });
  });

  it.each<[string, Setup['secret']]>([
    ['a list', ['older', token]],
    ['labels', { other: 'older', chats: token }],
    ['a function', () => token],
    ['an asynchronous function', async () => ['older', token]],
  ])('takes tokens as %s', async (_, secret) => {
    const service = await serve(adapter, v0({ secret }));
    expect((await service.send(fromV0())).status).toBe(204);
    expect((await service.send(fromV0())).status).toBe(204);
    expect([401, 503]).toContain((await service.send(fromV0(undefined, '?token=another'))).status);
  });

  it('asks a function again for a token that it does not know', async () => {
    const real = performance.now.bind(performance);
    let ahead = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => real() + ahead);
    onTestFinished(() => clock.mockRestore());
    let current = 'older';
    const service = await serve(adapter, v0({ secret: () => current }));
    expect((await service.send(fromV0(undefined, '?token=older'))).status).toBe(204);
    current = token;
    expect((await service.send(fromV0())).status).toBe(503);
    ahead = 10_000;
    expect((await service.send(fromV0())).status).toBe(204);
    expect((await service.send(fromV0(undefined, '?token=older'))).status).toBe(503);
  });

  it('answers 503 for a function that fails', async () => {
    const secret = () => {
      throw new Error('vault is sealed');
    };
    const service = await serve(adapter, v0({ secret }));
    expect((await service.send(fromV0())).status).toBe(503);
    expect(await service.outcome()).toMatchObject({ code: 'secret_unavailable' });
  });

  it('lets the token into no outcome, error or event', async () => {
    const service = await serve(adapter, v0({ handler: () => 500 }));
    await service.send(fromV0());
    await service.send(fromV0('{'));
    await service.send(fromV0(undefined, `${tokenQuery(token)}x`));
    await service.send({ ...fromV0(), method: 'GET' });
    const shown = inspect([service.outcomes, service.errors, service.handled.map(({ received }) => received)], {
      depth: 9,
    });
    expect(service.outcomes).toHaveLength(4);
    for (const form of [token, encodeURIComponent(token)]) expect(shown).not.toContain(form);
  });

  it.each([
    ['GET', { method: 'GET' }, 405],
    ['what is not JSON', { body: 'hello' }, 400],
    ['what is too large', { body: 'x'.repeat(70_000) }, 413],
  ])('refuses %s as every other', async (_, change, status) => {
    const service = await serve(adapter, v0());
    expect((await service.send({ ...fromV0(), ...change })).status).toBe(status);
  });

  it('also works on a route, with the same token', async () => {
    const service = await serve(adapter, v0({ mounting: 'on a route' }));
    const connection = await service.connect();
    connection.write(bytesOf({ ...fromV0(), target: `${service.endpoint}${tokenQuery(token)}` }));
    expect((await connection.answer()).status).toBe(204);
  });
});
