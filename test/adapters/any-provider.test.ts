/** One sender of each scheme, defined outside the package, through every adapter. */
import { createHash, createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { signedDelivery } from '../../src/testing/index.js';
import {
  adapters,
  beacon,
  comet,
  headersWith,
  type Message,
  nowMs,
  nowSeconds,
  pulsar,
  rocket,
  type Setup,
  serve,
  signature,
} from '../support/adapters.js';

const secret = 'a secret of the sender';
const standardSecret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const olderSecret = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;
const event = { uid: 'u1', kind: 'launched' };
const body = JSON.stringify(event);

interface Sent extends Message {
  readonly headers: [string, string][];
}

/** Signed by the reference implementation. */
function standard(changes: Record<string, string | undefined> = {}, { key = standardSecret, id = 'msg_1' } = {}): Sent {
  const headers: [string, string][] = [
    ['webhook-id', id],
    ['webhook-timestamp', String(nowSeconds)],
    ['webhook-signature', new Webhook(key).sign(id, new Date(nowSeconds * 1000), body)],
  ];
  return { body, headers: headersWith(headers, changes) };
}

function hmac(text = body, changes: Record<string, string | undefined> = {}): Sent {
  const hex = createHmac('sha256', secret).update(text).digest('hex');
  return { body: text, headers: headersWith([['X-Rocket-Signature', `sha256=${hex}`]], changes) };
}

function timed(changes: Record<string, string | undefined> = {}): Sent {
  const headers: [string, string][] = [
    ['X-Pulsar-Signature', signature(body, secret, nowSeconds)],
    ['X-Pulsar-Time', String(nowSeconds)],
    ['X-Pulsar-Try', '3'],
  ];
  return { body, headers: headersWith(headers, changes) };
}

function token(text = body, target = `/beacon/webhooks?key=${encodeURIComponent(secret)}`): Sent {
  return { body: text, target, headers: [] };
}

const senders = {
  comet: { secret: standardSecret, message: standard, id: 'msg_1', verified: true },
  rocket: { secret, message: hmac, id: 'u1', verified: true },
  pulsar: { secret, message: timed, id: 'u1', verified: true },
  beacon: { secret, message: token, id: 'u1', verified: false },
} as const;
type Sender = keyof typeof senders;
const names = Object.keys(senders) as Sender[];
const from = (provider: Sender, setup: Setup = {}): Setup => ({ provider, secret: senders[provider].secret, ...setup });
const repeated = (message: Sent, name: string): Sent => ({
  ...message,
  headers: [...message.headers, ...message.headers.filter(([each]) => each.toLowerCase() === name.toLowerCase())],
});

describe.each(adapters)('%s: webhook', (_name, adapter) => {
  it.each(names)('calls the handler with an event of %s, once', async (provider) => {
    const { id, verified, message } = senders[provider];
    const service = await serve(adapter, from(provider));
    expect((await service.send(message())).status).toBe(204);
    expect((await service.send(message())).status).toBe(204);
    expect(service.handled.map(({ received }) => received)).toEqual([
      {
        event,
        delivery: {
          provider,
          source: 'webhook',
          verified,
          id,
          type: 'launched',
          attempt: provider === 'pulsar' ? 3 : 1,
          timestamp: nowSeconds,
          receivedAt: nowMs,
          rawBody: Buffer.from(body),
        },
      },
    ]);
    expect(service.outcomes).toMatchObject([
      { result: 'accepted', id, type: 'launched' },
      { result: 'duplicate', id },
    ]);
  });

  it('takes the type from a header, which is not signed, and never the id', async () => {
    const service = await serve(adapter, from('rocket'));
    const kind = (value: string) => hmac(body, { 'X-Space-Kind': value, 'webhook-id': value, 'X-Rocket-Id': value });
    await service.send(kind('landed'));
    await service.send(kind('exploded'));
    expect(service.outcomes).toMatchObject([
      { result: 'accepted', id: 'u1', type: 'landed' },
      { result: 'duplicate', id: 'u1', type: 'exploded' },
    ]);
  });

  it('uses the hash of the body without a usable id', async () => {
    const service = await serve(adapter, from('rocket'));
    for (const uid of ['""', '{}', '0', 'null', '1.5', '""']) await service.send(hmac(`{"uid":${uid}}`));
    await service.send(hmac('{"uid":7}'));
    const ids = service.outcomes.map(({ id }) => id);
    expect(ids[0]).toBe(`sha256:${createHash('sha256').update('{"uid":""}').digest('hex')}`);
    expect(new Set(ids.slice(0, 5)).size).toBe(5);
    expect(service.outcomes.map(({ result }) => result)[5]).toBe('duplicate');
    expect(ids[6]).toBe('7');
  });

  it('takes one of several signatures, and secrets in rotation', async () => {
    const service = await serve(adapter, from('comet', { secret: { old: olderSecret, new: standardSecret } }));
    const both = [olderSecret, `whsec_${Buffer.alloc(24).toString('base64')}`].map(
      (key) => standard({}, { key, id: 'msg_2' }).headers.find(([name]) => name === 'webhook-signature')?.[1],
    );
    const signatures = ['v1a,asymmetric==', ...both].join(' ');
    const message = standard({ 'webhook-signature': signatures }, { id: 'msg_2' });
    expect((await service.send(standard())).status).toBe(204);
    expect((await service.send(message)).status).toBe(204);
    expect(service.outcomes).toMatchObject([{ webhook: 'new' }, { webhook: 'old', id: 'msg_2' }]);
  });

  const digest = 'A'.repeat(43);
  it.each<[Sender, string, Sent, string]>([
    ['comet', 'no id', standard({ 'webhook-id': undefined }), 'missing_signature'],
    ['comet', 'another id', standard({ 'webhook-id': 'msg_9' }), 'signature_mismatch'],
    ['comet', 'an id with a space', standard({ 'webhook-id': 'msg 1' }), 'malformed_signature'],
    ['comet', 'its id twice', repeated(standard(), 'webhook-id'), 'malformed_signature'],
    ['comet', 'its signature twice', repeated(standard(), 'webhook-signature'), 'malformed_signature'],
    ['comet', 'its timestamp twice', repeated(standard(), 'webhook-timestamp'), 'malformed_timestamp'],
    ['comet', 'no signature', standard({ 'webhook-signature': undefined }), 'missing_signature'],
    ['comet', 'no timestamp', standard({ 'webhook-timestamp': undefined }), 'missing_timestamp'],
    [
      'comet',
      'a time that it did not sign',
      standard({ 'webhook-timestamp': `${nowSeconds + 1}` }),
      'signature_mismatch',
    ],
    ['comet', 'an old time', standard({ 'webhook-timestamp': `${nowSeconds - 301}` }), 'stale_timestamp'],
    ['comet', 'another version only', standard({ 'webhook-signature': `v1a,${digest}=` }), 'malformed_signature'],
    ['comet', 'no version', standard({ 'webhook-signature': `${digest}=` }), 'malformed_signature'],
    ['comet', 'half a signature', standard({ 'webhook-signature': `v1,${digest}` }), 'malformed_signature'],
    ['comet', 'another secret', standard({}, { key: olderSecret }), 'signature_mismatch'],
    ['comet', 'the headers of GitHub', hmac(), 'missing_signature'],
    ['rocket', 'no signature', hmac(body, { 'X-Rocket-Signature': undefined }), 'missing_signature'],
    ['rocket', 'no prefix', hmac(body, { 'X-Rocket-Signature': '0'.repeat(64) }), 'malformed_signature'],
    ['rocket', 'another hash', hmac(body, { 'X-Rocket-Signature': `sha1=${'0'.repeat(40)}` }), 'malformed_signature'],
    [
      'rocket',
      'upper-case hex',
      hmac(body, { 'X-Rocket-Signature': `sha256=${'A'.repeat(64)}` }),
      'malformed_signature',
    ],
    ['rocket', 'its signature twice', repeated(hmac(), 'x-rocket-signature'), 'malformed_signature'],
    ['rocket', 'another body', { ...hmac(), body: `${body} ` }, 'signature_mismatch'],
    [
      'rocket',
      'another signature',
      hmac(body, { 'X-Rocket-Signature': `sha256=${'0'.repeat(64)}` }),
      'signature_mismatch',
    ],
    ['pulsar', 'its signature twice', repeated(timed(), 'x-pulsar-signature'), 'malformed_signature'],
    ['pulsar', 'no time', timed({ 'X-Pulsar-Time': undefined }), 'missing_timestamp'],
    ['pulsar', 'another time', timed({ 'X-Pulsar-Time': `${nowSeconds - 1}` }), 'signature_mismatch'],
    ['beacon', 'no token', token(body, '/beacon/webhooks'), 'missing_token'],
    ['beacon', 'another token', token(body, '/beacon/webhooks?key=x'), 'token_mismatch'],
  ])('refuses from %s: %s', async (provider, _, message, reason) => {
    const service = await serve(adapter, from(provider));
    expect((await service.send(message)).status).toBe(401);
    expect(await service.outcome()).toMatchObject({ code: 'invalid_signature', reason });
    expect(service.handled).toHaveLength(0);
  });

  it.each(names)('takes what signedDelivery makes for %s', async (provider) => {
    const service = await serve(adapter, from(provider));
    const { secret: key } = senders[provider];
    const options = { provider: { comet, rocket, pulsar, beacon }[provider], timestamp: nowSeconds, id: 'given' };
    const { headers, search, ...sent } = signedDelivery({ uid: 'given' }, key, options);
    const target = service.endpoint + search;
    expect((await service.send({ ...sent, target, headers: Object.entries(headers) })).status).toBe(204);
    expect((await service.outcome()).id).toBe('given');
  });

  it('answers 500, so that the sender tries again, when a function of the provider throws', async () => {
    const service = await serve(adapter, from('rocket'));
    expect((await service.send(hmac('{"uid":"odd"}'))).status).toBe(500);
    expect(await service.outcome()).toMatchObject({
      code: 'internal',
      permanent: false,
      error: { message: 'an unexpected error: idOf or typeOf of the provider rocket threw: an odd event' },
    });
  });
});
