import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type SignatureReason, sign, verifyDelivery, WebhookError } from '../../src/index.js';
import { adapters, anEvent, headersWith, nowMs, nowSeconds, secret, serve, signed } from '../support/adapters.js';

interface Vector {
  readonly name: string;
  readonly secret: string;
  readonly timestamp: string;
  readonly body: string;
  readonly signature: string;
}
const { vast: vectors } = JSON.parse(readFileSync(new URL('../fixtures/vectors.json', import.meta.url), 'utf8')) as {
  vast: Vector[];
};

const headersOf = ({ signature, timestamp }: Vector) => ({
  'X-Vast-Signature-256': signature,
  'X-Vast-Timestamp': timestamp,
});

describe.each(vectors.map((vector) => [vector.name, vector] as const))('the test vector: %s', (_name, vector) => {
  const now = () => Number(vector.timestamp) * 1000;
  const event = JSON.parse(vector.body) as { event_id: string };

  it('sign() returns its signature, for text and bytes, for a timestamp as text and number', () => {
    const { body, secret: key, timestamp, signature } = vector;
    expect(sign(body, key, timestamp)).toBe(signature);
    expect(sign(Buffer.from(body), key, timestamp)).toBe(signature);
    expect(sign(new TextEncoder().encode(body), key, Number(timestamp))).toBe(signature);
  });

  it.each([
    ['text', vector.body],
    ['a Buffer', Buffer.from(vector.body)],
    ['a Uint8Array amid a larger buffer', new Uint8Array(Buffer.from(`..${vector.body}..`)).subarray(2, -2)],
  ])('verifyDelivery() takes it as %s', (_, body) => {
    const verified = verifyDelivery({ headers: headersOf(vector), body, secret: vector.secret, now });
    expect(verified).toEqual({
      event,
      delivery: {
        provider: 'vast',
        source: 'webhook',
        verified: true,
        id: event.event_id,
        type: JSON.parse(vector.body).notif_type,
        attempt: 1,
        timestamp: Number(vector.timestamp),
        receivedAt: now(),
        rawBody: Buffer.from(vector.body),
      },
    });
  });

  it.each(adapters)('%s takes it', async (_name, adapter) => {
    const service = await serve(adapter, { secret: vector.secret, options: { now } });
    const { status } = await service.send({ headers: Object.entries(headersOf(vector)), body: vector.body });
    expect(status).toBe(204);
    expect(service.handled[0]?.vast?.event).toEqual(event);
  });

  it('no other secret, timestamp or body makes the same signature', () => {
    const verify = (changes: object) => () =>
      verifyDelivery({ headers: headersOf(vector), body: vector.body, secret: vector.secret, now, ...changes });
    const later = { ...headersOf(vector), 'X-Vast-Timestamp': String(Number(vector.timestamp) + 1) };
    for (const changes of [{ secret: `${vector.secret}x` }, { body: `${vector.body} ` }, { headers: later }]) {
      expect(verify(changes)).toThrow(expect.objectContaining({ reason: 'signature_mismatch' }));
    }
  });
});

describe('the window', () => {
  /** `skew`: the sender's clock minus ours, in seconds; `fraction`: ours, in milliseconds beyond the second. */
  const edges: [skew: number, fraction: number, toleranceSeconds: number | undefined, reason?: SignatureReason][] = [
    [0, 0, undefined],
    [-300, 0, undefined],
    [-300, 999, undefined],
    [-301, 0, undefined, 'stale_timestamp'],
    [-301, 999, undefined, 'stale_timestamp'],
    [300, 0, undefined],
    [300, 999, undefined],
    [301, 0, undefined, 'future_timestamp'],
    [301, 999, undefined, 'future_timestamp'],
    [0, 999, 0],
    [-1, 0, 0, 'stale_timestamp'],
    [1, 999, 0, 'future_timestamp'],
    [-10, 500, 10],
    [-11, 500, 10, 'stale_timestamp'],
    [-86_400, 0, 86_400],
    [-nowSeconds, 0, undefined, 'stale_timestamp'],
  ];
  const named = edges.map(
    ([skew, fraction, tolerance, reason]) =>
      [
        `${skew} s at ${fraction} ms, ${tolerance ?? 'default'} s: ${reason ?? 'fine'}`,
        skew,
        fraction,
        tolerance,
        reason,
      ] as const,
  );

  it.each(named)('verifyDelivery(): %s', (_, skew, fraction, toleranceSeconds, reason) => {
    const { body, headers } = signed(anEvent(), { timestamp: nowSeconds + skew });
    const now = () => nowSeconds * 1000 + fraction;
    const verify = () => verifyDelivery({ headers: Object.fromEntries(headers), body, secret, toleranceSeconds, now });
    if (reason) expect(verify).toThrow(expect.objectContaining({ code: 'invalid_signature', reason, status: 401 }));
    else expect(verify().delivery.timestamp).toBe(nowSeconds + skew);
  });

  describe.each(adapters)('%s', (_name, adapter) => {
    it.each(named)('%s', async (_, skew, fraction, toleranceSeconds, reason) => {
      const now = () => nowSeconds * 1000 + fraction;
      const service = await serve(adapter, { options: { now, toleranceSeconds } });
      await service.send(signed(anEvent(), { timestamp: nowSeconds + skew }));
      expect(await service.outcome()).toMatchObject(
        reason ? { result: 'rejected', reason } : { result: 'accepted', skewSeconds: skew },
      );
    });
  });

  it('uses the clock of the machine by default', () => {
    const verifyAt = (timestamp: number) => {
      const { body, headers } = signed(anEvent(), { timestamp });
      return () => verifyDelivery({ headers: Object.fromEntries(headers), body, secret });
    };
    const seconds = Math.floor(Date.now() / 1000);
    expect(verifyAt(seconds)).not.toThrow();
    expect(verifyAt(seconds - 400)).toThrow(expect.objectContaining({ reason: 'stale_timestamp' }));
    expect(verifyAt(seconds + 400)).toThrow(expect.objectContaining({ reason: 'future_timestamp' }));
  });

  it.each([Number.NaN, undefined as never])('a clock that gives %s lets nothing through', (now) => {
    const { body, headers } = signed();
    const verify = () => verifyDelivery({ headers: Object.fromEntries(headers), body, secret, now: () => now });
    expect(verify).toThrow();
  });
});

describe('verifyDelivery()', () => {
  const now = () => nowMs;
  const { body, headers } = signed(anEvent(), { attempt: '2' });
  const record = Object.fromEntries(headers);

  it.each([
    ['a record as it is sent', record],
    ['a record in lower case', Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]))],
    ['a record in upper case', Object.fromEntries(headers.map(([name, value]) => [name.toUpperCase(), value]))],
    ['a record of lists', Object.fromEntries(headers.map(([name, value]) => [name, [value]]))],
    ['a record with undefined values', { ...record, 'x-vast-timestamp': undefined }],
    ['a Headers', new Headers(headers)],
  ])('takes its headers as %s', (_, given) => {
    expect(verifyDelivery({ headers: given, body, secret, now }).delivery.attempt).toBe(2);
  });

  it.each([
    [
      'a list of two',
      { ...record, 'X-Vast-Timestamp': [String(nowSeconds), String(nowSeconds)] },
      'malformed_timestamp',
    ],
    ['two spellings', { ...record, 'x-vast-timestamp': String(nowSeconds) }, 'malformed_timestamp'],
    [
      'a Headers with two',
      new Headers([...headers, ['x-vast-signature-256', record['X-Vast-Signature-256'] as string]]),
      'malformed_signature',
    ],
    ['an empty list', { ...record, 'X-Vast-Timestamp': [] }, 'missing_timestamp'],
    ['no headers', {}, 'missing_signature'],
  ])('refuses repeated and missing headers: %s', (_, given, reason) => {
    expect(() => verifyDelivery({ headers: given, body, secret, now })).toThrow(expect.objectContaining({ reason }));
  });

  it('does not copy the Buffer that it is given', () => {
    expect(verifyDelivery({ headers: record, body, secret, now }).delivery.rawBody).toBe(body);
  });

  it.each([
    ['a list of secrets', ['old', secret], undefined],
    ['labelled secrets', { host: 'other', renter: secret }, 'renter'],
  ])('takes %s', (_, given, webhook) => {
    expect(verifyDelivery({ headers: record, body, secret: given, now }).delivery.webhook).toBe(webhook);
  });

  it.each(['', ' padded ', [], {}, undefined])('throws a TypeError for the secret %j', (given) => {
    expect(() => verifyDelivery({ headers: record, body, secret: given as string, now })).toThrow(TypeError);
  });

  it.each([
    ['invalid_signature', 401, 'the signature header is missing', () => ({ headers: {}, body })],
    ['invalid_json', 400, 'the body is genuine, but not JSON', () => signed('{')],
    ['invalid_payload', 400, 'the body is genuine JSON, but not an object', () => signed('[]')],
    ['invalid_payload', 400, 'the body is genuine JSON, but not an object', () => signed('null')],
    ['invalid_payload', 400, 'the body is genuine JSON, but not an object', () => signed('"text"')],
  ] as const)('throws a WebhookError that says all: %s', (code, status, message, make) => {
    const { headers: given, body: bytes } = make();
    const list = Array.isArray(given) ? Object.fromEntries(given) : given;
    let thrown: unknown;
    try {
      verifyDelivery({ headers: list as Record<string, string>, body: bytes, secret, now });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(WebhookError);
    expect(thrown).toBeInstanceOf(Error);
    expect(thrown).toMatchObject({ name: 'WebhookError', code, status, permanent: true, message });
  });
});

describe('why a signature is refused', () => {
  const { body, headers } = signed();
  const right = Object.fromEntries(headers);
  const signedAt = (timestamp: number) => Object.fromEntries(signed(body, { timestamp }).headers);

  it.each([
    ['missing_signature', {}, 'the signature header is missing'],
    [
      'malformed_signature',
      { ...right, 'X-Vast-Signature-256': 'sha1=00' },
      'the signature header is not sha256= and 64 lower-case hex digits',
    ],
    ['missing_timestamp', { ...right, 'X-Vast-Timestamp': undefined }, 'the timestamp header is missing'],
    [
      'malformed_timestamp',
      { ...right, 'X-Vast-Timestamp': 'now' },
      'the timestamp header is not a number of Unix seconds',
    ],
    ['stale_timestamp', signedAt(nowSeconds - 301), 'signed 301 s ago, more than 300 s: check this clock'],
    ['future_timestamp', signedAt(nowSeconds + 302), 'signed 302 s from now, more than 300 s: check this clock'],
    [
      'signature_mismatch',
      signedAt(nowSeconds),
      expect.stringContaining('no secret matches: another secret, or a body'),
    ],
  ])('is said in words that help to mend it: %s', (reason, given, message) => {
    const verify = () =>
      verifyDelivery({
        headers: given,
        body,
        secret: reason === 'signature_mismatch' ? 'x' : secret,
        now: () => nowMs,
      });
    expect(verify).toThrow(expect.objectContaining({ reason, message }));
  });
});

describe.each(adapters)('%s: a secret', (_name, adapter) => {
  it.each([
    ['alone', secret, undefined],
    ['the first of a list', [secret, 'next'], undefined],
    ['the last of a list', ['old', 'older', secret], undefined],
    ['labelled', { host: 'of-the-hosts', renter: secret }, 'renter'],
    ['labelled, and twice the same: the first label', { a: secret, b: secret }, 'a'],
  ])('%s verifies', async (_, given, webhook) => {
    const service = await serve(adapter, { secret: given });
    expect((await service.send(signed())).status).toBe(204);
    expect((await service.outcome()).webhook).toBe(webhook);
    expect(service.handled[0]?.vast?.delivery.webhook).toBe(webhook);
  });

  it.each([
    ['alone', 'another'],
    ['in a list', ['another', 'next']],
    ['labelled', { host: 'another' }],
  ])('%s that is not the sender’s does not', async (_, given) => {
    const service = await serve(adapter, { secret: given });
    expect((await service.send(signed())).status).toBe(401);
    expect((await service.outcome()).webhook).toBeUndefined();
  });

  it('is in no answer and no outcome', async () => {
    const service = await serve(adapter, { secret: { renter: 'hunter2-the-secret' } });
    const { body, headers } = signed();
    const answers = [
      await service.send({ body, headers }),
      await service.send({ body: '{}' }),
      await service.send({ body, headers: headersWith(headers, { 'X-Vast-Timestamp': '1' }) }),
    ];
    const said = [answers, service.outcomes, service.outcomes.map(({ error }) => [error?.message, error?.stack])];
    expect(JSON.stringify(said)).not.toContain('hunter2');
  });
});

describe('sign()', () => {
  it.each(['', ' x', 'x\n', undefined as never])('throws a TypeError for the secret %j', (given) => {
    expect(() => sign('{}', given, 1)).toThrow(TypeError);
  });

  it.each([Number.NaN, 1.5, -1, 1e21, '', ' 1', '1\n', '0x1', '١٢٣', '1'.repeat(16), undefined as never])(
    'throws a TypeError for the timestamp %j',
    (timestamp) => {
      expect(() => sign('{}', 'a-secret', timestamp)).toThrow(/^sign: the timestamp must be whole Unix seconds/);
    },
  );

  it('quotes no secret when arguments are swapped', () => {
    expect(() => sign('{}', '1788000000', 'hunter2')).toThrow(/^((?!hunter2).)*$/);
  });
});
