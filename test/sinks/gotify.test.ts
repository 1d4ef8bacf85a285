import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type GotifyOptions, gotify } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import type { ChatStandIn } from '../support/chat-stand-in.js';
import { type GotifyStandInMessage, gotifyStandIn } from '../support/gotify-stand-in.js';
import { deliverTo, eventWith } from './deliver.js';
import { nasty } from './nasty.js';
import { describeService } from './service-cases.js';

describeService({
  name: 'gotify',
  service: 'Gotify',
  standIn: gotifyStandIn,
  success: { id: 25, appid: 5 },
  sink: ({ url, token }, options) => gotify<object>(url, { ...options, token }),
  limited: [{ error: 'Too Many Requests', errorCode: 429 }, undefined],
});

describe('gotify', () => {
  let chat: ChatStandIn<GotifyStandInMessage>;
  beforeAll(async () => {
    chat = await gotifyStandIn();
  });
  afterAll(() => chat.close());

  async function messageFor(event: object, options: Partial<GotifyOptions<never>> = {}) {
    await deliverTo(gotify(chat.url, { token: chat.token, ...options }), event);
    return chat.messages.at(-1) as GotifyStandInMessage;
  }

  const priorities = { info: 2, warning: 5, error: 8, critical: 8 };

  it.each(Object.keys(vastTypes) as VastType[])('sends %s as plain text, with a priority by severity', async (type) => {
    const event = { ...sampleEvent(type), timestamp: Date.now() / 1000 };
    const { severity, link } = vastTypes[type];
    expect(await messageFor(event)).toEqual({
      title: event.subject,
      message: `${event.message}\n\ntype=${type} event_id=${event.event_id} severity=${severity}`,
      priority: priorities[severity],
      extras: {
        'client::display': { contentType: 'text/plain' },
        'client::notification': { click: { url: `https://cloud.vast.ai${link}` } },
      },
    });
  });

  it.each(nasty)('leaves a text unchanged, because it is plain: %j', async (text) => {
    const { title, message } = await messageFor(eventWith({ subject: text, message: text }));
    expect(title).toBe(text.replace(/\s+/g, ' ').trim());
    expect(message).toContain(text.trim());
  });

  it('keeps the token in a header, out of the address', async () => {
    await messageFor(eventWith({}));
    expect(chat.requests.at(-1)?.url).toBe('/message');
    expect(chat.requests.at(-1)?.headers['x-gotify-key']).toBe(chat.token);
  });

  it('takes a server below a path', async () => {
    const asked: unknown[] = [];
    const fetch = async (url: unknown) => {
      asked.push(url);
      return new Response('{}');
    };
    await deliverTo(gotify('https://example.org/push/', { token: 'A1', fetch }));
    expect(asked).toEqual(['https://example.org/push/message']);
  });

  it.each([
    [1_000, '', 1_000],
    [1_001, '…', 999],
  ])('cuts a subject of %i characters', async (length, end, kept) => {
    const { title } = await messageFor(eventWith({ subject: 's'.repeat(length) }));
    expect(title).toBe('s'.repeat(kept) + end);
  });

  it('cuts a message, so that all of it has 60,000 bytes', async () => {
    const { message: short } = await messageFor(eventWith({ message: 'm' }));
    const room = 60_000 - (Buffer.byteLength(short) - 1);
    const { message: fits } = await messageFor(eventWith({ message: 'm'.repeat(room) }));
    expect([Buffer.byteLength(fits), fits.includes('…')]).toEqual([60_000, false]);
    const { message: cut } = await messageFor(eventWith({ message: 'm'.repeat(room + 1) }));
    expect(Buffer.byteLength(cut)).toBe(60_000);
    expect(cut).toMatch(/m…\n\ntype=instance_offline event_id=\S+ severity=error$/);
  });

  it('takes a text or a message from format', async () => {
    const event = eventWith({ notif_type: 'billing_failed' });
    expect(await messageFor(event, { format: () => 'a text' })).toMatchObject({
      message: 'a text',
      priority: 8,
      extras: { 'client::display': { contentType: 'text/plain' } },
    });
    const mine = { title: 'mine', message: '**bold**', priority: 1, extras: {} };
    expect(await messageFor(event, { format: () => mine })).toEqual(mine);
  });

  it.each([undefined, '', 'two words', 'line\nbreak', 7])('refuses the token %j', (token) => {
    expect(() => gotify('https://gotify.example', { token: token as string })).toThrow('token');
  });

  it('refuses an address with the endpoint or the token in it', () => {
    for (const url of ['https://gotify.example/message', 'https://gotify.example/?token=A1']) {
      expect(() => gotify(url, { token: 'A1' })).toThrow("give the server's address, and the token as an option");
    }
    expect(() => gotify('https://gotify.example', undefined as never)).toThrow(TypeError);
  });
});
