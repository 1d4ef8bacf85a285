import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { cloudEvents } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type ChatStandIn, endpointStandIn } from '../support/chat-stand-in.js';
import { deliverTo, eventWith } from './deliver.js';
import { nasty } from './nasty.js';

let broker: ChatStandIn<Record<string, unknown>>;
beforeAll(async () => {
  broker = await endpointStandIn('application/cloudevents+json');
});
afterAll(() => broker.close());

async function cloudEventFor(event: object): Promise<Record<string, unknown>> {
  const before = broker.messages.length;
  await deliverTo(cloudEvents(broker.url), event);
  expect(broker.messages).toHaveLength(before + 1);
  return broker.messages[before] as Record<string, unknown>;
}

describe('cloudEvents posts', () => {
  it.each(Object.keys(vastTypes) as VastType[])('%s, structured', async (type) => {
    const event = { ...sampleEvent(type), timestamp: 1_790_000_000.25 };
    expect(await cloudEventFor(event)).toEqual({
      specversion: '1.0',
      id: event.event_id,
      source: 'https://vast.ai/users/123',
      type: `ai.vast.notification.${type}`,
      time: '2026-09-21T14:13:20.250Z',
      datacontenttype: 'application/json',
      data: event,
    });
    expect(broker.requests.at(-1)?.headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
  });

  it.each([
    ['no account', { user_id: undefined }, { source: 'https://vast.ai/' }],
    ['an odd account', { user_id: '../1' }, { source: 'https://vast.ai/' }],
    ['no type', { notif_type: undefined }, { type: 'ai.vast.notification' }],
    ['an unknown type', { notif_type: 'brand_new' }, { type: 'ai.vast.notification.brand_new' }],
    ['controls in the type', { notif_type: 'a\n\u0000\u0085b' }, { type: 'ai.vast.notification.ab' }],
    ['half a surrogate pair', { notif_type: 'a\uD83D' }, { type: 'ai.vast.notification.a\uFFFD' }],
    ['no event id', { event_id: undefined }, { id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) }],
    ['no time', { timestamp: 'soon' }, { time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) }],
  ])('an event with %s', async (_what, fields, expected) => {
    expect(await cloudEventFor(eventWith(fields))).toMatchObject(expected);
  });

  it('nasty texts unchanged, because they are data', async () => {
    const event = eventWith({ subject: nasty.join('\n'), message: '"},{"\u2028' });
    expect((await cloudEventFor(event)).data).toEqual(event);
  });
});
