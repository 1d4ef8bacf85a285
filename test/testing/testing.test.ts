import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type VastType, vastTypes, verifyDelivery } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';

const secret = 'a-secret-of-the-tests';
interface Vector {
  readonly name: string;
  readonly secret: string;
  readonly timestamp: string;
  readonly body: string;
  readonly signature: string;
}
const fixture = readFileSync(new URL('../fixtures/vectors.json', import.meta.url), 'utf8');
const vectors: readonly Vector[] = JSON.parse(fixture).vast;
const types = Object.keys(vastTypes) as VastType[];

describe('sampleEvent', () => {
  it.each(types)('gives a realistic event of type %s', (type) => {
    const event = sampleEvent(type);
    expect(event).toEqual({
      event_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      user_id: 123,
      notif_type: type,
      subject: expect.stringMatching(/^[A-Z]\S* .{5,120}$/),
      message: expect.stringMatching(/^[A-Z].{20,400}[.!/]$/),
      timestamp: expect.any(Number),
    });
    const bytes = Buffer.byteLength(JSON.stringify(event));
    expect(bytes).toBeGreaterThan(150);
    expect(bytes).toBeLessThan(700);
  });

  it('has texts of its own for every type', () => {
    expect(new Set(types.map((type) => sampleEvent(type).message)).size).toBe(types.length);
    expect(new Set(types.map((type) => sampleEvent(type).subject)).size).toBe(types.length);
  });

  it('is a new event at each call, that happened just now', () => {
    const before = Date.now() / 1000;
    const [one, other] = [sampleEvent('outbid'), sampleEvent('outbid')];
    expect(one.event_id).not.toBe(other.event_id);
    expect(other.timestamp).toBeGreaterThanOrEqual(before);
    expect(other.timestamp).toBeLessThanOrEqual(Date.now() / 1000);
  });

  it.each(['client:near_end_date', 'host:near_end_date'] as const)(
    'takes %s, as the management API names it',
    (type) => {
      expect(sampleEvent(type).notif_type).toBe('near_end_date');
    },
  );

  it('is typed by its type', () => {
    const type: 'outbid' = sampleEvent('outbid').notif_type;
    expect(type).toBe('outbid');
  });

  it.each(['no_such_type', 'constructor', '', undefined])('refuses %j and lists the types', (type) => {
    expect(() => sampleEvent(type as VastType)).toThrow(TypeError);
    expect(() => sampleEvent(type as VastType)).toThrow('outbid');
  });
});

describe('signedDelivery', () => {
  it.each(['ü€', 'a\nb', ' a', 'a ', '', '\u0000', '🎉'])(
    'refuses the event id %j, which fits no header',
    (event_id) => {
      const event = { ...sampleEvent('outbid'), event_id };
      expect(() => signedDelivery(event, secret)).toThrow(
        /^signedDelivery: the event id does not fit in the header X-Vast/,
      );
      // A text is signed as it is, and has no header of its id.
      expect(signedDelivery(JSON.stringify(event), secret).headers).not.toHaveProperty('X-Vast-Event-Id');
    },
  );

  it.each(types)('of a sample of type %s is a genuine delivery', (type) => {
    const event = sampleEvent(type);
    const { event: received, delivery } = verifyDelivery({ ...signedDelivery(event, secret), secret });
    expect(received).toEqual(event);
    expect(delivery).toMatchObject({ provider: 'vast', id: event.event_id, attempt: 1 });
  });

  it('has the headers that the sender sends, as it spells them', () => {
    const event = sampleEvent('outbid');
    const { body, headers } = signedDelivery(event, secret, { timestamp: 1772490100, attempt: 3 });
    expect(JSON.parse(body)).toEqual(event);
    const digest = createHmac('sha256', secret).update(`1772490100.${body}`).digest('hex');
    expect(headers).toEqual({
      'Content-Type': 'application/json',
      'X-Vast-Signature-256': `sha256=${digest}`,
      'X-Vast-Timestamp': '1772490100',
      'X-Vast-Event-Id': event.event_id,
      'X-Vast-Delivery-Attempt': '3',
    });
  });

  it('is signed now and is the first attempt by default', () => {
    const before = Math.floor(Date.now() / 1000);
    const { headers } = signedDelivery(sampleEvent('outbid'), secret);
    const timestamp = Number(headers['X-Vast-Timestamp']);
    expect(Number.isInteger(timestamp)).toBe(true);
    expect(timestamp).toBeGreaterThanOrEqual(before);
    expect(timestamp).toBeLessThanOrEqual(Date.now() / 1000);
    expect(headers['X-Vast-Delivery-Attempt']).toBe('1');
  });

  it.each(vectors)('signs an exact text, as in the vector "$name"', ({ body, secret, timestamp, signature }) => {
    const delivery = signedDelivery(body, secret, { timestamp: Number(timestamp) });
    expect(delivery.body).toBe(body);
    expect(delivery.headers).toMatchObject({ 'X-Vast-Signature-256': signature, 'X-Vast-Timestamp': timestamp });
  });

  it('is ready for fetch', () => {
    const { body, headers } = signedDelivery(sampleEvent('instance_resumed'), secret);
    const request = new Request('http://127.0.0.1/vast/webhooks', { method: 'POST', body, headers });
    expect(request.headers.get('x-vast-signature-256')).toBe(headers['X-Vast-Signature-256']);
  });

  it('takes an event without an id, or with an odd one, and sends no id header then', () => {
    for (const event_id of [undefined, {}, null]) {
      const { headers } = signedDelivery({ ...sampleEvent('outbid'), event_id }, secret);
      expect(headers).not.toHaveProperty('X-Vast-Event-Id');
    }
  });

  it('of Shodai is signed as Shodai signs, with its headers', () => {
    const event = { id: 'evt_1', type: 'webhook.test', data: {} };
    const { body, headers, search } = signedDelivery(event, 'whsec_test', {
      provider: 'shodai',
      timestamp: 1800000000,
    });
    const digest = createHmac('sha256', 'whsec_test').update(`1800000000.${body}`).digest('hex');
    expect(headers).toEqual({
      'Content-Type': 'application/json',
      'X-Shodai-Webhook-Signature': `sha256=${digest}`,
      'X-Shodai-Webhook-Timestamp': '1800000000',
      'X-Shodai-Webhook-Id': 'evt_1',
    });
    expect(search).toBe('');
  });

  it('of v0 is not signed: the token is in the query', () => {
    expect(signedDelivery({ type: 'chat.created' }, 'a+b/c', { provider: 'v0' })).toEqual({
      body: '{"type":"chat.created"}',
      headers: { 'Content-Type': 'application/json' },
      search: '?token=a%2Bb%2Fc',
    });
  });

  it('refuses a provider that there is not', () => {
    expect(() => signedDelivery({}, secret, { provider: 'acme' })).toThrow(/acme.*vast/);
  });

  it('refuses an invalid secret', () => {
    expect(() => signedDelivery(sampleEvent('outbid'), '')).toThrow(TypeError);
  });
});
