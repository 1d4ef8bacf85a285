import { inspect } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type HttpOptions, http } from '../../src/sinks/index.js';
import { type ChatRequest, type ChatStandIn, endpointStandIn } from '../support/chat-stand-in.js';
import { deliveryOf } from '../support/delivery.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';

let endpoint: ChatStandIn<Record<string, unknown>>;
beforeAll(async () => {
  endpoint = await endpointStandIn();
});
afterAll(() => endpoint.close());
afterEach(() => {
  endpoint.misbehave = undefined;
  vi.useRealTimers();
});

const secretOf = (byte: number, length = 32) => `whsec_${Buffer.alloc(length, byte).toString('base64')}`;
const secret = secretOf(1);

async function requestFor(event: object, options: HttpOptions = { secret }): Promise<ChatRequest> {
  await deliverTo(http(endpoint.url, options), event);
  return endpoint.requests.at(-1) as ChatRequest;
}

/** The payload that the package of Standard Webhooks reads. Throws if the request does not verify. */
function verified({ body, headers }: ChatRequest, key = secret): unknown {
  return new Webhook(key).verify(body, headers as Record<string, string>);
}

describe('http posts', () => {
  it('an event as sent, signed so that standardwebhooks verifies it', async () => {
    const event = eventWith({ subject: 'läuft — 走る 🚀\u2028', big: 1e300, nested: { a: [null] } });
    const request = await requestFor(event);
    expect(verified(request)).toEqual(event);
    expect(request.body).toBe(JSON.stringify(event));
    const { event_id } = event as { event_id: string };
    expect(request.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'webhook-id': event_id,
      'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
      'webhook-signature': expect.stringMatching(/^v1,[A-Za-z\d+/]{43}=$/),
    });
  });

  it('the very bytes, but for a byte-order mark', async () => {
    const delivery = deliveryOf('\uFEFF{"event_id": "e1", "n": 12345678901234567890, "s": "\\u00e4"}');
    await http(endpoint.url, { secret }).deliver({}, { delivery, signal: new AbortController().signal });
    const request = endpoint.requests.at(-1) as ChatRequest;
    expect(request.body).toBe('{"event_id": "e1", "n": 12345678901234567890, "s": "\\u00e4"}');
    expect(verified(request)).toMatchObject({ event_id: 'e1' });
  });

  it.each([
    ['with what headers cannot hold', 'läuft 🚀', 'l%C3%A4uft%20%F0%9F%9A%80'],
    ['with half a surrogate pair, which is none', 'a\uD83D', expect.stringMatching(/^sha256:[0-9a-f]{64}$/)],
    ['with spaces at its ends', ' e1 ', '%20e1%20'],
    ['with full stops', 'a.b.c', 'a.b.c'],
    ['of 255 characters', 'e'.repeat(255), 'e'.repeat(255)],
  ])('an event id %s', async (_what, event_id, sent) => {
    const request = await requestFor(eventWith({ event_id }));
    expect(request.headers['webhook-id']).toEqual(sent);
    expect(() => verified(request)).not.toThrow();
  });
});

describe("http's signature", () => {
  it('matches no other body, id, time or key', async () => {
    const { body, headers } = await requestFor(eventWith({}));
    const other = (given: object, text = body) => ({ body: text, headers: { ...headers, ...given } }) as ChatRequest;
    expect(() => verified(other({}))).not.toThrow();
    expect(() => verified(other({}, `${body} `))).toThrow();
    expect(() => verified(other({ 'webhook-id': 'e2' }))).toThrow();
    expect(() => verified(other({ 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }))).toThrow();
    expect(() => verified(other({}), secretOf(2))).toThrow();
  });

  it('is made with each of several secrets, so that every one of them verifies it', async () => {
    const request = await requestFor(eventWith({}), { secrets: [secretOf(1), secretOf(2), secretOf(3)] });
    expect(request.headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44} v1,\S{44}$/);
    for (const byte of [1, 2, 3]) expect(() => verified(request, secretOf(byte))).not.toThrow();
    expect(() => verified(request, secretOf(4))).toThrow();
  });

  it('is made afresh at each attempt', async () => {
    const event = eventWith({});
    const sink = http(endpoint.url, { secret });
    vi.useFakeTimers({ toFake: ['Date'], now: 1_790_000_000_999 });
    await deliverTo(sink, event);
    vi.setSystemTime(1_790_000_600_000);
    await deliverTo(sink, event);
    const [first, second] = endpoint.requests.slice(-2) as [ChatRequest, ChatRequest];
    expect(first.headers['webhook-timestamp']).toBe('1790000000');
    expect(second.headers['webhook-timestamp']).toBe('1790000600');
    expect(first.headers['webhook-id']).toBe(second.headers['webhook-id']);
    expect(() => verified(second)).not.toThrow();
    expect(() => verified(first)).toThrow();
  });

  it.each([24, 25, 32, 63, 64])('takes a secret of %i bytes', async (length) => {
    const key = secretOf(7, length);
    expect(() => http(endpoint.url, { secret: key })).not.toThrow();
    const request = await requestFor(eventWith({}), { secret: key });
    expect(() => verified(request, key)).not.toThrow();
  });

  it('accepts a secret without its prefix, as the package does', async () => {
    const request = await requestFor(eventWith({}), { secret: secret.slice(6) });
    expect(() => verified(request)).not.toThrow();
  });
});

it('http stops for good at 410, and tries again after 503', async () => {
  for (const [status, permanent] of [
    [410, true],
    [503, false],
  ] as const) {
    endpoint.misbehave = (res) => res.writeHead(status).end();
    expect(await failureOf(deliverTo(http(endpoint.url, { secret })))).toMatchObject({ status, permanent });
  }
});

describe('http refuses, when it is made,', () => {
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['no secret', {}],
    ['both', { secret, secrets: [secret] }],
    ['an empty list', { secrets: [] }],
    ['a text for a list', { secrets: secret }],
    ['an empty secret', { secret: '' }],
    ['null for a secret', { secret: null }],
    ['a number', { secret: 7 }],
    ['another encoding', { secret: `whsec_${'-_'.repeat(20)}` }],
    ['a gap', { secret: `${secret}\n` }],
    ['another prefix', { secret: `whpk_${secret.slice(6)}` }],
    ['23 bytes', { secret: secretOf(1, 23) }],
    ['65 bytes', { secret: secretOf(1, 65) }],
    ['one wrong secret among others', { secrets: [secret, 'whsec_short'] }],
  ])('%s, says what to give, and does not repeat it', (_what, options) => {
    expect.assertions(3);
    try {
      http(endpoint.url, options as HttpOptions);
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toMatch(/secret/);
      expect(inspect(error, { showHidden: true })).not.toMatch(/AQEB|short/);
    }
  });
});
