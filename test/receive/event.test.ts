import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { verifyDelivery } from '../../src/index.js';
import { adapters, anEvent, headersWith, nowMs, secret, serve, signed } from '../support/adapters.js';

const hashOf = (body: Buffer) => `sha256:${createHash('sha256').update(body).digest('hex')}`;
const idOf = ({ body, headers }: ReturnType<typeof signed>) =>
  verifyDelivery({ headers: Object.fromEntries(headers), body, secret, now: () => nowMs }).delivery.id;

describe('the id of a delivery', () => {
  it.each([
    ['32 hex digits', '7e9a2c4e6f9e4a24a53b77c2d8e3f0aa'],
    ['one character', 'x'],
    ['255 characters', 'x'.repeat(255)],
    ['spaces and signs', ' a:b/c "d" '],
    ['letters of any script', 'событие-é-漢'],
    ['an emoji', '🔔'],
    ['the name of a property that all objects have', '__proto__'],
    ['what looks like a hash', 'sha256:00'],
  ])('is the signed event_id: %s', (_, event_id) => {
    expect(idOf(signed(anEvent({ event_id })))).toBe(event_id);
  });

  it.each([
    ['none', undefined],
    ['an empty one', ''],
    ['256 characters', 'x'.repeat(256)],
    ['a newline', 'a\nb'],
    ['a null character', 'a\u0000'],
    ['a delete character', '\u007f'],
    ['a C1 control character', 'a\u0085b'],
    ['white space alone', ' \u3000 '],
    ['a fraction', 5.5],
    ['a number that is not exact', 2 ** 53],
    ['null', null],
    ['true', true],
    ['a list', ['a']],
    ['an object', { a: 1 }],
  ])('is the hash of the body where event_id is not usable: %s', (_, event_id) => {
    const message = signed(anEvent({ event_id }));
    expect(idOf(message)).toBe(hashOf(message.body));
  });

  it('is of the body’s bytes, byte-order mark included', () => {
    const message = signed(Buffer.from('\uFEFF{}'));
    expect(idOf(message)).toBe(hashOf(message.body));
  });

  it.each(adapters)(
    '%s: makes two deliveries without event_id one event when their bodies are one',
    async (_, adapter) => {
      const service = await serve(adapter);
      expect((await service.send(signed('{"a":1}'))).status).toBe(204);
      expect((await service.send(signed('{"a":1}'))).status).toBe(204);
      expect((await service.send(signed('{"a":2}'))).status).toBe(204);
      expect(service.outcomes.map(({ result }) => result)).toEqual(['accepted', 'duplicate', 'accepted']);
      expect(service.outcomes[0]?.id).toBe(hashOf(Buffer.from('{"a":1}')));
    },
  );

  it.each(adapters)('%s: is never the unsigned header’s', async (_, adapter) => {
    const service = await serve(adapter);
    const { body, headers } = signed(anEvent({ event_id: 'signed' }));
    for (const claimed of ['other', 'signed', undefined]) {
      await service.send({ body, headers: headersWith(headers, { 'X-Vast-Event-Id': claimed }) });
    }
    expect(service.outcomes.map(({ result, id }) => [result, id])).toEqual([
      ['accepted', 'signed'],
      ['duplicate', 'signed'],
      ['duplicate', 'signed'],
    ]);
  });
});

describe('the type of an outcome', () => {
  it.each([
    ['outbid', 'outbid'],
    ['of_the_future', 'of_the_future'],
    ['', ''],
    [undefined, undefined],
    [5, undefined],
    [null, undefined],
    [{}, undefined],
  ])('of notif_type %j is %j', async (notif_type, type) => {
    const [, adapter] = adapters[0] as (typeof adapters)[0];
    const service = await serve(adapter);
    expect((await service.send(signed(anEvent({ notif_type })))).status).toBe(204);
    expect((await service.outcome()).type).toBe(type);
  });
});

describe('the attempt', () => {
  it.each([
    ['1', 1],
    ['2', 2],
    ['17', 17],
    [undefined, 1],
    ['', 1],
    ['0', 1],
    ['-1', 1],
    ['1.5', 1],
    ['1e3', 1],
    ['two', 1],
    ['0x2', 1],
    ['02', 1],
    ['99999999999999999999', 1],
  ])('that the header gives as %j is %i', async (attempt, expected) => {
    const { body, headers } = signed();
    const changed = headersWith(headers, { 'X-Vast-Delivery-Attempt': attempt });
    const given = Object.fromEntries(changed);
    expect(verifyDelivery({ headers: given, body, secret, now: () => nowMs }).delivery.attempt).toBe(expected);

    const [, adapter] = adapters[0] as (typeof adapters)[0];
    const service = await serve(adapter);
    await service.send({ body, headers: changed });
    expect((await service.outcome()).attempt).toBe(expected);
  });

  it('is 1 when there are two of them', () => {
    const { body, headers } = signed();
    const given = { ...Object.fromEntries(headers), 'X-Vast-Delivery-Attempt': ['2', '3'] };
    expect(verifyDelivery({ headers: given, body, secret, now: () => nowMs }).delivery.attempt).toBe(1);
  });

  it.each(adapters)('%s: is 1 when the header comes twice', async (_, adapter) => {
    const service = await serve(adapter);
    const { body, headers } = signed(anEvent(), { attempt: '2' });
    await service.send({ body, headers: [...headers, ['X-Vast-Delivery-Attempt', '3']] });
    expect(await service.outcome()).toMatchObject({ result: 'accepted', attempt: 1 });
  });
});
