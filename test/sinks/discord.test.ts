import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type DiscordOptions, discord } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type ChatStandIn, type DiscordStandInMessage, discordStandIn } from '../support/chat-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { clusters, isMadeOf, isWellFormed, nasty, nastyMarkdown, readMarkdown, unescapedIn } from './nasty.js';

let chat: ChatStandIn<DiscordStandInMessage>;
beforeAll(async () => {
  chat = await discordStandIn();
});
afterAll(() => chat.close());
afterEach(() => {
  chat.misbehave = undefined;
});

async function messageFor(event: object, options?: DiscordOptions<never>): Promise<DiscordStandInMessage> {
  const before = chat.messages.length;
  await deliverTo(discord(chat.url, options), event);
  expect(chat.messages).toHaveLength(before + 1);
  return chat.messages[before] as DiscordStandInMessage;
}

async function embedFor(event: object) {
  const { embeds = [] } = await messageFor(event);
  const { title, description = '', footer } = embeds[0] ?? { title: '', footer: { text: '' } };
  return { title, description, footer: footer.text };
}

const everything = [...nasty, ...nastyMarkdown];

describe('discord shows', () => {
  it.each(Object.keys(vastTypes) as VastType[])('of %s: subject, message, link, type and event id', async (type) => {
    const event = sampleEvent(type);
    const { embeds, ...rest } = await messageFor(event);
    expect(rest).toEqual({ allowed_mentions: { parse: [] } });
    expect(embeds).toEqual([
      {
        title: expect.any(String),
        description: expect.any(String),
        url: `https://cloud.vast.ai${vastTypes[type].link}`,
        color: expect.any(Number),
        timestamp: new Date(event.timestamp * 1000).toISOString(),
        footer: { text: `type=${type} event_id=${event.event_id} severity=${vastTypes[type].severity}` },
      },
    ]);
    expect(readMarkdown(embeds?.[0]?.title ?? '')).toBe(event.subject);
    expect(readMarkdown(embeds?.[0]?.description ?? '')).toBe(event.message);
  });

  it.each([
    ['', '?wait=true'],
    ['?thread_id=123', '?thread_id=123&wait=true'],
    ['?wait=false', '?wait=true'],
  ])('at an address with %j, and asks it to wait', async (query, sent) => {
    const asked: unknown[] = [];
    const fetch = async (url: unknown) => {
      asked.push(url);
      return new Response('{}');
    };
    await deliverTo(discord(`https://discord.com/api/webhooks/1/t${query}`, { fetch }));
    expect(asked).toEqual([`https://discord.com/api/webhooks/1/t${sent}`]);
  });
});

describe('nothing in an event can ping or be markup in Discord', () => {
  const expectSafe = ({ title, description, footer }: Awaited<ReturnType<typeof embedFor>>) => {
    for (const text of [title, description]) expect(unescapedIn(text)).toEqual([]);
    expect(title + description + footer).not.toMatch(/@(?:everyone|here)|<[^\u200B]/);
  };

  it.each(everything)('%j', async (text) => {
    const embed = await embedFor(eventWith({ subject: text, message: text, notif_type: `x ${text}` }));
    expectSafe(embed);
    expect(readMarkdown(embed.title)).toBe(text.replace(/\s+/g, ' ').trim());
    expect(readMarkdown(embed.description)).toBe(text.trim());
    // A footer is plain text.
    expect(embed.footer.replaceAll('\u200B', '')).toContain(`type=x ${text.replace(/\s+/g, ' ').trim()} event_id=`);
  });

  it('in any mixture, at any length', async () => {
    const texts = fc
      .array(fc.constantFrom(...everything, ' ', '\n', 'a', '_', '*', '\\', '<', '🚀', 'x'.repeat(100)), {
        maxLength: 200,
      })
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(texts, texts, async (subject, message) => {
        expectSafe(await embedFor(eventWith({ subject, message })));
      }),
      { numRuns: 60 },
    );
  });

  it('while names and addresses can still be read and copied', async () => {
    const subject = 'vastai/base_image_v2:cuda_12 on my_gpu_box_1';
    const message = 'See https://cloud.vast.ai/instances/?sort=price_asc&id=48_92#at_top, write to ops@a.example.';
    expect(await embedFor(eventWith({ subject, message }))).toMatchObject({ title: subject, description: message });
  });
});

describe("Discord's limits", () => {
  it.each([
    [255, '', 255],
    [256, '', 256],
    [257, '…', 256],
  ])('leave a subject of %i characters', async (length, end, sent) => {
    const { title } = await embedFor(eventWith({ subject: 's'.repeat(length) }));
    expect(title).toBe('s'.repeat(sent - end.length) + end);
  });

  it.each([
    [4_095, '', 4_095],
    [4_096, '', 4_096],
    [4_097, '…', 4_096],
  ])('leave a message of %i characters', async (length, end, sent) => {
    const { description } = await embedFor(eventWith({ message: 'm'.repeat(length) }));
    expect(description).toBe('m'.repeat(sent - end.length) + end);
  });

  it('count a text as it is sent', async () => {
    expect((await embedFor(eventWith({ subject: '*'.repeat(128) }))).title).toBe('\\*'.repeat(128));
    expect((await embedFor(eventWith({ subject: '*'.repeat(129) }))).title).toBe(`${'\\*'.repeat(127)}…`);
  });

  it.each(Object.entries(clusters))('do not cut %s in two', async (_what, cluster) => {
    const fillTo = (limit: number) => (before: number) => 'x'.repeat(limit - before) + cluster.repeat(20);
    for (const before of [0, 1, 2, 3, 5, 8, 12, 13]) {
      const event = eventWith({ subject: fillTo(256)(before), message: fillTo(4_096)(before) });
      const { title, description } = await embedFor(event);
      for (const [text, limit] of [
        [title, 256],
        [description, 4_096],
      ] as const) {
        const kept = text.slice(0, -1);
        expect([isMadeOf(cluster, kept), isWellFormed(text), text.at(-1)]).toEqual([true, true, '…']);
        expect(kept.length).toBeGreaterThan(limit - 1 - cluster.length);
      }
    }
  });

  it('hold for huge texts, with 6,000 for all of them', async () => {
    for (const huge of ['x', '*', '<', '🚀'].map((text) => text.repeat(30_000))) {
      const event = { subject: huge, message: huge, notif_type: huge, event_id: '<'.repeat(255) };
      const { title, description, footer } = await embedFor(event);
      expect(title.length + description.length + footer.length).toBeLessThanOrEqual(6_000);
    }
  });

  it('put the payload in place of an empty message, and the type in place of an empty subject', async () => {
    const { embeds } = await messageFor(eventWith({ subject: ' ', message: '' }));
    expect(embeds?.[0]?.description).toContain('instance_offline');
    expect(embeds?.[0]?.title).toBe('instance_offline');
    expect((await embedFor({})).title).toBe('Notification');
  });
});

describe("discord's option format", () => {
  const event = eventWith({ subject: '@everyone *now*' });

  it.each([
    [1_999, 'x'.repeat(1_999)],
    [2_000, 'x'.repeat(2_000)],
    [2_001, `${'x'.repeat(1_999)}…`],
  ])('gives the text, of %i characters', async (length, content) => {
    const message = await messageFor(event, { format: () => 'x'.repeat(length) });
    expect(message).toEqual({ content, allowed_mentions: { parse: [] } });
  });

  it('returns the whole message, which cannot mention anyone either', async () => {
    const mine = { content: '@everyone', username: 'Vast', allowed_mentions: { parse: ['everyone'] } };
    expect(await messageFor(event, { format: () => mine })).toEqual({ ...mine, allowed_mentions: { parse: [] } });
  });

  it('is given texts that are disarmed', async () => {
    const { content } = await messageFor(event, { format: (_event, { subject }) => subject });
    expect(content).toBe('@\u200Beveryone \\*now\\*');
  });
});

describe('Discord at its rate limit', () => {
  it.each([
    ['in the body, with a fraction', {}, '{"message":"...","retry_after":0.529,"global":false}', 529],
    ['in the body, shorter than in the header', { 'Retry-After': '2' }, '{"retry_after":1.25}', 2_000],
    ['in the body, longer than in the header', { 'Retry-After': '1' }, '{"retry_after":64.57}', 64_570],
    ['in the header', { 'Retry-After': '65' }, '<html>', 65_000],
    ['as a text', {}, '{"retry_after":"5"}', undefined],
    ['as null', {}, '{"retry_after":null}', undefined],
    ['below zero', {}, '{"retry_after":-1}', 0],
    ['beyond all numbers', {}, '{"retry_after":1e999}', undefined],
    ['in a list', {}, '[{"retry_after":5}]', undefined],
    ['in broken JSON', {}, '{"retry_after":5', undefined],
  ])('says how long to wait %s', async (_what, headers, body, retryAfterMs) => {
    chat.misbehave = (res) => res.writeHead(429, headers as Record<string, string>).end(body);
    const error = await failureOf(deliverTo(discord(chat.url)));
    expect(error).toMatchObject({ status: 429, permanent: false, retryAfterMs });
  });
});
