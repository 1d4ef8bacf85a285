import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type GoogleChatOptions, googleChat } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import {
  type ChatRequest,
  type ChatStandIn,
  type GoogleChatStandInMessage,
  googleChatStandIn,
} from '../support/chat-stand-in.js';
import { deliverTo, eventWith } from './deliver.js';
import { clusters, controlsIn, isMadeOf, isWellFormed, markupIn, nasty, seen } from './nasty.js';

let chat: ChatStandIn<GoogleChatStandInMessage>;
beforeAll(async () => {
  chat = await googleChatStandIn();
});
afterAll(() => chat.close());

/** The message of an event as Google Chat accepts it: its text and its size. */
async function messageFor(event: object, options?: GoogleChatOptions<never>) {
  const before = chat.messages.length;
  await deliverTo(googleChat(chat.url, options), event);
  expect(chat.messages).toHaveLength(before + 1);
  const message = chat.messages[before] as GoogleChatStandInMessage;
  const { body, ...request } = chat.requests.at(-1) as ChatRequest;
  return { message, text: message.text, bytes: Buffer.byteLength(body), body, request };
}

describe('googleChat shows', () => {
  it.each(Object.keys(vastTypes) as VastType[])('of %s: subject, message, link, type and event id', async (type) => {
    const event = sampleEvent(type);
    const { link, severity } = vastTypes[type];
    const details = `https://cloud.vast.ai${link}\ntype=${type} event_id=${event.event_id} severity=${severity}`;
    expect((await messageFor(event)).message).toEqual({ text: [event.subject, event.message, details].join('\n\n') });
  });

  it('as JSON in UTF-8', async () => {
    const { request, body } = await messageFor(eventWith({ subject: 'läuft — 走る 🚀' }));
    expect([request.method, request.headers['content-type']]).toEqual(['POST', 'application/json; charset=utf-8']);
    expect(body).toContain('läuft — 走る 🚀');
  });
});

describe('nothing in an event can ping or be markup in Google Chat', () => {
  const expectSafe = (text: string) => {
    expect(controlsIn(text)).toEqual([]);
    expect(markupIn(text)).toEqual([]);
  };

  it.each(nasty)('in a subject: %j', async (nastyText) => {
    const { text } = await messageFor(eventWith({ subject: nastyText, message: 'm' }));
    expectSafe(text);
    expect(text.replaceAll('\u200B', '')).toContain(`${nastyText.replace(/\s+/g, ' ').trim()}\n\nm\n\n`);
  });

  it.each(nasty)('in a message: %j', async (nastyText) => {
    const { text } = await messageFor(eventWith({ subject: 's', message: nastyText }));
    expectSafe(text);
    expect(text.replaceAll('\u200B', '')).toContain(`s\n\n${nastyText.trim()}\n\nhttps:`);
  });

  it.each(nasty)('in a type: %j', async (nastyText) => {
    expectSafe((await messageFor(eventWith({ notif_type: `instance_ ${nastyText}` }))).text);
  });

  it('in any mixture, at any length', async () => {
    const texts = fc
      .array(fc.constantFrom(...nasty, ' ', '\n', 'a', '_', '*', '<', '"', '🚀', 'x'.repeat(300)), { maxLength: 300 })
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(texts, texts, async (subject, message) => {
        expectSafe((await messageFor(eventWith({ subject, message }))).text);
      }),
      { numRuns: 60 },
    );
  });

  it('while names and addresses can still be read and copied', async () => {
    const subject = 'vastai/base_image_v2:cuda_12 on my_gpu_box_1';
    const message = 'See https://cloud.vast.ai/instances/?sort=price_asc&id=48_92#at_top, e.g. snake_case_name.';
    const { text } = await messageFor(eventWith({ subject, message }));
    expect(text).toContain(`${subject}\n\n${message}\n\n`);
  });
});

describe("Google Chat's limit of 32,000 bytes", () => {
  /** The bytes of a message beside the event's message. */
  async function overhead(): Promise<number> {
    return (await messageFor(eventWith({ message: 'm' }))).bytes - 1;
  }

  it.each([31_999, 32_000])('leaves a message of %i bytes whole', async (bytes) => {
    const text = 'm'.repeat(bytes - (await overhead()));
    const message = await messageFor(eventWith({ message: text }));
    expect(message.bytes).toBe(bytes);
    expect(message.text).toContain(text);
  });

  it.each([
    ['a byte too many', (room: number) => 'm'.repeat(room + 1)],
    ['letters of two bytes', (room: number) => 'ä'.repeat(room)],
    ['quotes, which are escaped', (room: number) => '"'.repeat(room)],
    ['line breaks, which are escaped', (room: number) => 'a\n'.repeat(room)],
    ['markup, which is disarmed', (room: number) => '*'.repeat(room)],
    ['emoji', (room: number) => '🚀'.repeat(room / 2)],
  ])('cuts the message, and nothing else: %s', async (_what, messageOf) => {
    const message = messageOf(32_000 - (await overhead()));
    const { text, bytes } = await messageFor(eventWith({ message }));
    expect(bytes).toBeLessThanOrEqual(32_000);
    expect(bytes).toBeGreaterThan(32_000 - 12);
    expect(isWellFormed(text)).toBe(true);
    const [head, body = '', tail] = text.split('\n\n');
    expect(head).toBe(sampleEvent('instance_offline').subject);
    expect(body.endsWith('…')).toBe(true);
    expect(message.startsWith(body.slice(0, -1).replaceAll('\u200B', ''))).toBe(true);
    expect(tail).toMatch(
      /^https:\/\/cloud\.vast\.ai\/instances\/\ntype=instance_offline event_id=[0-9a-f]{32} severity=error$/,
    );
  });

  describe.each(Object.entries(clusters))('does not cut %s in two', (_what, cluster) => {
    it.each([0, 1, 2, 3, 5, 8, 13, 21, 25])('%i bytes before the end', async (before) => {
      const message = 'x'.repeat(32_000 - (await overhead()) - before) + cluster.repeat(30);
      const { text, bytes } = await messageFor(eventWith({ message }));
      const kept = text.split('\n\n')[1]?.slice(0, -1) ?? '';
      expect(isMadeOf(cluster, kept)).toBe(true);
      expect(isWellFormed(kept)).toBe(true);
      expect(bytes).toBeGreaterThan(32_000 - 3 - Buffer.byteLength(cluster));
    });
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    'holds where a cut makes markup that is disarmed: %i bytes before',
    async (before) => {
      const message = 'x'.repeat(32_000 - (await overhead()) - before) + '_e\u0301'.repeat(10);
      expect((await messageFor(eventWith({ message }))).bytes).toBeLessThanOrEqual(32_000);
    },
  );

  it.each([
    [999, '', 999],
    [1_000, '', 1_000],
    [1_001, '…', 1_000],
  ])('leaves a subject of %i characters', async (length, end, sent) => {
    const { text } = await messageFor(eventWith({ subject: 's'.repeat(length) }));
    expect(text.split('\n\n')[0]).toBe('s'.repeat(sent - end.length) + end);
  });
});

describe('odd events reach Google Chat all the same', () => {
  it.each([
    ['no subject', { subject: undefined }],
    ['an empty subject', { subject: '' }],
    ['a blank subject', { subject: ' \n\t ' }],
    ['a subject that is null', { subject: null }],
  ])('%s: the type stands in its place', async (_what, fields) => {
    expect((await messageFor(eventWith(fields))).text).toMatch(/^instance_offline\n\n/);
  });

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['blank', ' \n '],
  ])('neither subject nor type, which is %s: a word stands in their place', async (_what, type) => {
    expect((await messageFor(eventWith({ subject: '', notif_type: type }))).text).toMatch(/^Notification\n\n/);
  });

  it.each([
    ['no message', undefined],
    ['an empty message', ''],
    ['a blank message', ' \r\n '],
  ])('%s: the payload stands in its place', async (_what, message) => {
    expect((await messageFor(eventWith({ subject: 's', message }))).text).toMatch(/^s\n\n\{"event_id":.*\}\n\nhttps:/);
  });

  it('huge subject, message and type', async () => {
    const huge = '🚀"'.repeat(15_000);
    const { text, bytes } = await messageFor({ subject: huge, message: huge, notif_type: huge, event_id: 'e1' });
    expect(bytes).toBeLessThanOrEqual(32_000);
    expect(text).toMatch(/https:\/\/cloud\.vast\.ai\/\ntype=[🚀"]+… event_id=e1 severity=info$/u);
  });

  it('half a surrogate pair', async () => {
    const { text } = await messageFor(eventWith({ subject: 'a\uD83D', message: '\uDE80b', notif_type: 'c\uD83D' }));
    expect(isWellFormed(text)).toBe(true);
    expect(text).toMatch(/^a.\n\n.b\n\n/);
  });
});

describe("googleChat's option format", () => {
  const event = eventWith({ subject: '<users/all> R&D', message: '*now*', notif_type: 'instance_ *odd* <users/all>' });

  it('gives the text', async () => {
    expect((await messageFor(event, { format: () => 'mine' })).message).toEqual({ text: 'mine' });
  });

  it('gives the whole message', async () => {
    const mine = { text: 't', thread: { threadKey: 'vast' } };
    expect((await messageFor(event, { format: () => mine })).message).toEqual(mine);
  });

  it('is asked with the event as sent, and its texts disarmed', async () => {
    const asked: unknown[] = [];
    const { text } = await messageFor(event, {
      format: (given, parts) => {
        asked.push(given);
        return [parts.subject, parts.message, parts.url, parts.details].join('\n');
      },
    });
    expect(asked).toEqual([event]);
    expect([...controlsIn(text), ...markupIn(text)]).toEqual([]);
    const lines = seen(text).split('\n');
    expect(lines.slice(0, 3)).toEqual(['<users/all> R&D', '*now*', 'https://cloud.vast.ai/instances/']);
  });

  it('has its text cut to the limit', async () => {
    const { bytes, text } = await messageFor(event, { format: () => '"ä'.repeat(20_000) });
    expect(bytes).toBeLessThanOrEqual(32_000);
    expect(bytes).toBeGreaterThan(32_000 - 8);
    expect(text.endsWith('…')).toBe(true);
  });
});
