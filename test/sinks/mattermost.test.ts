import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type MattermostOptions, mattermost } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import type { ChatStandIn } from '../support/chat-stand-in.js';
import { type MattermostStandInMessage, mattermostStandIn } from '../support/mattermost-stand-in.js';
import { deliverTo, eventWith } from './deliver.js';
import { nasty, nastyMarkdown, readMarkdown, unescapedIn } from './nasty.js';
import { describeService } from './service-cases.js';

describeService({
  name: 'mattermost',
  service: 'Mattermost',
  standIn: mattermostStandIn,
  success: 'ok',
  sink: ({ url }, options) => mattermost<object>(url, options),
  limited: [{ id: 'api.context.rate_limited', status_code: 429 }, undefined],
  // Rocket.Chat answers so, with a 400 or, from a script, with a 200.
  refusals: [{ success: false, error: 'invalid-channel' }],
  odd: { 501: true },
});

describe('mattermost', () => {
  let chat: ChatStandIn<MattermostStandInMessage>;
  beforeAll(async () => {
    chat = await mattermostStandIn();
  });
  afterAll(() => chat.close());

  async function messageFor(event: object, options?: MattermostOptions<never>) {
    await deliverTo(mattermost(chat.url, options), event);
    return chat.messages.at(-1) as MattermostStandInMessage;
  }
  async function attachmentFor(event: object) {
    const { attachments = [] } = await messageFor(event);
    return attachments[0] as NonNullable<typeof attachments>[number];
  }

  it.each(Object.keys(vastTypes) as VastType[])('sends %s as an attachment, which has no previews', async (type) => {
    const event = { ...sampleEvent(type), timestamp: Date.now() / 1000 };
    const { severity, link } = vastTypes[type];
    const { attachments, ...rest } = await messageFor(event);
    expect(rest).toEqual({ posts: 1 });
    expect(attachments).toEqual([
      {
        fallback: event.subject,
        color: { info: '#3498db', warning: '#f1c40f', error: '#e67e22', critical: '#e74c3c' }[severity],
        title: event.subject,
        title_link: `https://cloud.vast.ai${link}`,
        text: expect.any(String),
      },
    ]);
    expect(readMarkdown(attachments?.[0]?.text ?? '')).toBe(
      `${event.message}\ntype=${type} event_id=${event.event_id} severity=${severity}`,
    );
  });

  const everything = [
    ...nasty,
    ...nastyMarkdown,
    '@all',
    '@channel',
    '(@alice)',
    '._@channel',
    '~town-square',
    ':tada:',
    ':+1:',
    '    code',
    'a\n\n\tcode',
    '[ ] task',
    'a | b\n--- | ---\n1 | 2',
  ];
  const expectSafe = (text: string) => {
    expect(unescapedIn(text)).toEqual([]);
    expectPlain(text);
    expect(text).not.toMatch(/^[ \t]/m);
  };
  const expectPlain = (text: string) => {
    expect(text).not.toMatch(/(?<![\p{L}\p{N}])@(?!\u200B)|@(?:everyone|here)|<[^\u200B]|:(?:tada|\+1|emoji):/u);
  };

  it.each(everything)('lets nothing in an event ping or be markup: %j', async (text) => {
    const {
      title,
      fallback,
      text: body,
    } = await attachmentFor(eventWith({ subject: text, message: text, notif_type: text }));
    expectSafe(body);
    expectPlain(title);
    expect(fallback).toBe(title);
    expect(title.replaceAll('\u200B', '')).toBe(text.replace(/\s+/g, ' ').trim());
    expect(readMarkdown(body)).toContain(text.trim());
  });

  it('nor in any mixture', async () => {
    const texts = fc
      .array(fc.constantFrom(...everything, ' ', '\n', 'a', '_', ':', '\\', '<', '@', 'x'.repeat(500)), {
        maxLength: 100,
      })
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(texts, texts, async (subject, message) => {
        const { title, text } = await attachmentFor(eventWith({ subject, message }));
        expectSafe(text);
        expectPlain(title);
      }),
      { numRuns: 40 },
    );
  });

  it('leaves names, times and addresses so that they can be copied', async () => {
    const message = 'vastai/base_image_v2:cuda_12 at 10:30:15, ops@a.example, https://a.example/x_y?z=1#t';
    expect((await attachmentFor(eventWith({ message }))).text).toContain(message);
  });

  it.each([
    [16_383, 'x'.repeat(16_383)],
    [16_384, `${'x'.repeat(16_382)}…`],
  ])('sends a text of format, of %i characters, as one post', async (length, text) => {
    const message = await messageFor(eventWith({}), { format: () => 'x'.repeat(length) });
    expect(message).toEqual({ text, parseUrls: false, posts: 1 });
  });

  it('cuts the text of an attachment to the same limit, and a title to 1,000', async () => {
    const { title, text } = await attachmentFor(eventWith({ subject: 's'.repeat(1_001), message: '*'.repeat(20_000) }));
    expect([title.length, title.at(-1)]).toEqual([1_000, '…']);
    expect(text.length).toBeGreaterThan(16_380);
    expect(text.length).toBeLessThanOrEqual(16_383);
    expect(text).toMatch(/\\\*…\ntype=instance_offline event_id=\S+ severity=error$/);
  });

  it('takes a message from format, but no channel', async () => {
    const mine = { text: 'mine', username: 'Vast', channel: 'town-square', roomId: 'x' };
    expect(await messageFor(eventWith({}), { format: () => mine })).toEqual({
      text: 'mine',
      username: 'Vast',
      posts: 1,
    });
  });

  it.each(['https://chat.example/', 'https://chat.example/hooks/', 'https://chat.example/api/v4/posts'])(
    'refuses the address %j',
    (url) => {
      expect(() => mattermost(url)).toThrow('has /hooks/ in it');
    },
  );

  it.each([
    'https://chat.example/hooks/abc',
    'https://example.org/chat/hooks/id/token',
    'http://localhost:8065/hooks/a',
  ])('takes the address %j', (url) => {
    expect(() => mattermost(url)).not.toThrow();
  });
});
