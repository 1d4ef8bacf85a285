import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ZulipOptions, zulip } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import type { ChatStandIn } from '../support/chat-stand-in.js';
import { type ZulipStandInMessage, zulipBot, zulipStandIn } from '../support/zulip-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { nasty, nastyMarkdown } from './nasty.js';
import { describeService } from './service-cases.js';

const key = 'secretZULIPapiKey0123456789abcdef';

describeService({
  name: 'zulip',
  service: 'Zulip',
  standIn: zulipStandIn,
  success: { result: 'success', msg: '', id: 42 },
  sink: ({ url, token }, options) =>
    zulip<object>({ ...options, site: url, email: zulipBot, apiKey: token, channel: 'alerts' }),
  limited: [{ code: 'RATE_LIMIT_HIT', msg: 'API usage exceeded', result: 'error', 'retry-after': 28.7068 }, 28_707],
  refusals: [{ result: 'error', msg: 'no', code: 'BAD_REQUEST' }],
  secrets: [Buffer.from(`${zulipBot}:${key}`).toString('base64')],
});

/** What Zulip reads, in its own order. Source: zulip/zulip, zerver/lib/markdown and zerver/lib/mention.py. */
const markup = {
  code: /(?<!\\)(`+)(.+?)(?<!`)\1(?!`)/s,
  mention: /(?<![^\s'"(,:<])@_?(\*\*[^*]+\*\*|\*[^*]+\*)/,
  formula: /\B(?<!\$)\$\$[^\n_$](\\\$|[^$\n])*\$\$(?!\$)\B/,
  channel: /(?<![^\s'"(,:<])#\*\*[^*]+\*\*/,
  time: /<time:[^>]*?>/,
  link: /\]\(/,
  strong: /(\*\*)[^\n]+?\1/,
  emphasis: /\*(?!\s+)[^*^\n]+(?<!\s)\*/,
  strike: /(?<!~)~~[^~\n]+?~~(?!~)/,
  emoji: /:(?:tada|\+1|100|emoji|a):/,
  fence: /^[ ]*(?:`{3,}|~{3,})/m,
  heading: /^#{1,6}/m,
  rule: /^ {0,3}([-_*] {0,2}){3,}$/m,
  list: /^\s*(?:[-*+]|\d+\.) /m,
  quotation: /^ {0,3}>/m,
  indent: /^(?: {4}|\t)/m,
  table: /^[ |:]*-[-| :]*$/m,
};

/** A text as Zulip shows it: it reads entities last. */
function seen(text: string): string {
  return text.replaceAll('\u200B', '').replaceAll('&#42;', '*').replaceAll('&#96;', '`').replaceAll('&amp;', '&');
}

describe('zulip', () => {
  let chat: ChatStandIn<ZulipStandInMessage>;
  beforeAll(async () => {
    chat = await zulipStandIn();
  });
  afterAll(() => chat.close());

  type Recipient = { channel: string | number; topic?: string } | { to: readonly string[] | readonly number[] };
  const sinkWith = (options: object = {}, recipient: Recipient = { channel: 'alerts' }) =>
    zulip<object>({
      site: chat.url,
      email: zulipBot,
      apiKey: chat.token,
      ...recipient,
      ...options,
    } as ZulipOptions<object>);
  async function messageFor(event: object, options?: object, recipient?: Recipient) {
    await deliverTo(sinkWith(options, recipient), event);
    return chat.messages.at(-1) as ZulipStandInMessage;
  }

  it('sends a quotation to a channel, with the subject as the topic', async () => {
    const event = { ...sampleEvent('outbid'), timestamp: Date.now() / 1000 };
    const lines = [
      '```quote',
      `**${event.subject}**`,
      event.message,
      'https://cloud.vast.ai/instances/',
      `type=outbid event_id=${event.event_id} severity=error`,
      '```',
    ];
    expect(await messageFor(event)).toEqual({
      type: 'stream',
      to: 'alerts',
      topic: event.subject,
      content: lines.join('\n'),
    });
  });

  it.each<[Recipient, object]>([
    [
      { channel: 7, topic: 'GPUs' },
      { type: 'stream', to: 7, topic: 'GPUs' },
    ],
    [
      { channel: 'alerts', topic: 't'.repeat(61) },
      { type: 'stream', to: 'alerts', topic: `${'t'.repeat(59)}…` },
    ],
    [{ to: ['a@example.org', 'b@example.org'] }, { type: 'direct', to: ['a@example.org', 'b@example.org'] }],
    [{ to: [9, 10] }, { type: 'direct', to: [9, 10] }],
  ])('sends to %j', async (recipient, fields) => {
    const { content, ...rest } = await messageFor(eventWith({}), {}, recipient);
    expect(rest).toEqual(fields);
    expect(content).toContain('```quote');
  });

  it.each([
    ['t'.repeat(60), 't'.repeat(60)],
    ['t'.repeat(61), `${'t'.repeat(59)}…`],
    [`${'🚀'.repeat(40)}`, `${'🚀'.repeat(29)}…`],
    ['✔ done', 'done'],
    ['a\u0007b\u200Bc', 'a b c'],
    ['\u2028', 'instance_offline'],
    ['@**all** *now*', '@**all** *now*'],
  ])('makes a topic of the subject %j, which is plain text', async (subject, topic) => {
    expect((await messageFor(eventWith({ subject }))).topic).toBe(topic);
  });

  const everything = [
    ...nasty,
    ...nastyMarkdown,
    '/me waves',
    '/poll which?',
    '/todo',
    '$$x$$',
    '@**all**',
    '@_**Iago|5**',
    '@*ops*',
    '#**general>topic**',
    '<time:2026-11-27T00:00:00Z>',
    ':tada: :+1: :100:',
    '~~~\nfence\n~~~',
    '    code',
    'a\n\n\tcode',
    'a | b\n--- | ---\n1 | 2',
    'a\n|-|-|',
    'a\n:-:|:-:',
    '&#64;&#42;&#42;all&#42;&#42; &lt;b&gt; &amp;',
    '```quote\n```\n@**all**',
    '`\n```\n@**all**',
    '___',
    '* * *',
  ];
  const expectSafe = (content: string) => {
    expect(content).toMatch(/^```quote\n\*\*.*\*\*\n/);
    expect(content).toMatch(/\n```$/);
    // Between the fence, and without the bold of the subject, nothing may be markup.
    const inside = content.slice(9, -4).replace(/^\*\*(.*)\*\*$/m, '$1');
    for (const [what, pattern] of Object.entries(markup)) {
      expect([what, inside.match(pattern)?.[0]]).toEqual([what, undefined]);
    }
    expect(inside).not.toMatch(/(?<![\p{L}\p{N}])@(?!\u200B)/u);
    expect(inside).not.toMatch(/&(?!#42;|#96;|amp;)#?\w+;/);
  };

  it.each(everything)('lets nothing in an event ping or be markup: %j', async (text) => {
    const { content } = await messageFor(eventWith({ subject: text, message: text, notif_type: text }));
    expectSafe(content);
    expect(seen(content)).toContain(`**${text.replace(/\s+/g, ' ').trim()}**\n${text.trim()}\nhttps://`);
  });

  it('nor in any mixture', async () => {
    const texts = fc
      .array(fc.constantFrom(...everything, ' ', '\n', 'a', '_', ':', '\\', '<', '&', '*', '`', '~', '$', '-', '|'), {
        maxLength: 60,
      })
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(texts, texts, async (subject, message) => {
        expectSafe((await messageFor(eventWith({ subject, message }))).content);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves names, times and addresses so that they can be copied', async () => {
    const message = 'vastai/base_image_v2:cuda_12 at 10:30:15, ops@a.example, https://a.example/x_y?z=1&w=2#t costs $5';
    expect(seen((await messageFor(eventWith({ message }))).content)).toContain(message);
    expect((await messageFor(eventWith({ message: 'https://a.example/x_y?z=1&w=2#t' }))).content).toContain(
      '\nhttps://a.example/x_y?z=1&w=2#t\n',
    );
  });

  it.each(['m', 'é', '*', '&'])('cuts a message of many %j, so that all of it has 10,000 bytes', async (unit) => {
    const { content } = await messageFor(eventWith({ message: unit.repeat(20_000) }));
    expect(Buffer.byteLength(content)).toBeLessThanOrEqual(10_000);
    expect(Buffer.byteLength(content)).toBeGreaterThan(9_990);
    expect(content).toMatch(/…\nhttps:\/\/cloud\.vast\.ai\/instances\/\ntype=\S+ event_id=\S+ severity=error\n```$/);
  });

  it('cuts a message at the very limit', async () => {
    const length = (await messageFor(eventWith({ message: 'm' }))).content.length;
    const fits = await messageFor(eventWith({ message: 'm'.repeat(10_000 - length + 1) }));
    expect([fits.content.length, fits.content.includes('…')]).toEqual([10_000, false]);
    expect((await messageFor(eventWith({ message: 'm'.repeat(10_000 - length + 2) }))).content).toContain('m…\nhttps');
  });

  it('takes a text or a message from format, but no recipient', async () => {
    const event = eventWith({ subject: '/me @**all**' });
    const parts = await messageFor(event, { format: (_: object, { subject }: { subject: string }) => subject });
    expect(parts.content).toBe('\u200B/me @\u200B&#42;&#42;all&#42;&#42;');
    const mine = { content: '*mine*', topic: 'my topic', type: 'direct', to: '[1]' };
    expect(await messageFor(event, { format: () => mine })).toEqual({
      type: 'stream',
      to: 'alerts',
      topic: 'my topic',
      content: '*mine*',
    });
  });

  it('fails for good where the channel or the key is wrong, with the word of Zulip', async () => {
    expect(await failureOf(deliverTo(sinkWith({}, { channel: '7' }) as never))).toMatchObject({
      message: 'Zulip answered 400 (STREAM_DOES_NOT_EXIST)',
      permanent: true,
    });
    expect(await failureOf(deliverTo(sinkWith({ apiKey: 'wrong' }) as never))).toMatchObject({
      message: 'Zulip answered 401 (INVALID_API_KEY)',
      permanent: true,
    });
  });

  it.each<object>([
    { channel: undefined },
    { channel: ' ' },
    { channel: 1.5 },
    { topic: ' ' },
    { topic: 7 },
    { to: ['a@example.org'] },
    { channel: undefined, to: [] },
    { channel: undefined, to: ['Alice'] },
    { channel: undefined, to: 'a@example.org' },
    { channel: undefined, to: [9], topic: 'x' },
  ])('refuses the recipient %j', (options) => {
    expect(() => sinkWith(options)).toThrow('Zulip: give either a channel');
  });

  it.each<[object, string]>([
    [{ email: 'bot' }, 'email'],
    [{ email: 'a:b@example.org' }, 'email'],
    [{ apiKey: '' }, 'apiKey'],
    [{ site: 'https://example.zulipchat.com/api/v1/messages' }, 'site'],
    [{ site: 'https://example.zulipchat.com/#narrow/channel/7' }, 'site'],
  ])('refuses %j', (options, option) => {
    expect(() => sinkWith(options)).toThrow(option);
  });

  it('says so when there are no options', () => {
    expect(() => zulip(undefined as never)).toThrow(TypeError);
  });
});
