import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type TeamsOptions, teams } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type ChatStandIn, type TeamsStandInMessage, teamsStandIn } from '../support/chat-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { clusters, isMadeOf, isWellFormed, nasty, nastyMarkdown, unescapedIn } from './nasty.js';

let chat: ChatStandIn<TeamsStandInMessage>;
beforeAll(async () => {
  chat = await teamsStandIn();
});
afterAll(() => chat.close());

/** The message of an event as Teams accepts it: its texts in order, and its size. */
async function messageFor(event: object, options?: TeamsOptions<never>) {
  const before = chat.messages.length;
  await deliverTo(teams(chat.url, options), event);
  expect(chat.messages).toHaveLength(before + 1);
  const message = chat.messages[before] as TeamsStandInMessage;
  const { body = [], actions } = message.attachments[0]?.content ?? {};
  const texts = body.map(({ text, inlines }) => text ?? inlines?.map((inline) => inline.text).join('') ?? '');
  return { message, body, actions, texts, bytes: Buffer.byteLength(chat.requests.at(-1)?.body ?? '') };
}

const everything = [...nasty, ...nastyMarkdown];

describe('teams shows', () => {
  it.each(Object.keys(vastTypes) as VastType[])('of %s: subject, message, link, type and event id', async (type) => {
    const event = sampleEvent(type);
    const { texts, body, actions, message } = await messageFor(event);
    expect(message).toMatchObject({
      type: 'message',
      attachments: [{ contentUrl: null, content: { version: '1.4' } }],
    });
    const details = `type=${type} event_id=${event.event_id} severity=${vastTypes[type].severity}`;
    expect(texts).toEqual([event.subject, event.message, details]);
    expect(new Set(body.map((block) => block.type))).toEqual(new Set(['RichTextBlock']));
    const url = `https://cloud.vast.ai${vastTypes[type].link}`;
    expect(actions).toEqual([{ type: 'Action.OpenUrl', title: 'Open the console', url }]);
  });

  it('at any https host', () => {
    for (const host of ['prod-07.westeurope.logic.azure.com:443', 'x.api.powerplatform.example']) {
      expect(() => teams(`https://${host}/workflows/1?sig=s`)).not.toThrow();
    }
  });

  it('of nothing but an object', async () => {
    const { texts } = await messageFor({});
    expect(texts).toEqual(['Notification', '{}', expect.stringMatching(/^type= event_id=sha256:/)]);
  });
});

describe('nothing in an event can ping or be markup in Teams', () => {
  it.each(everything)('%j', async (text) => {
    const event = eventWith({ subject: text, message: text, notif_type: `x ${text}` });
    const { message, body, texts } = await messageFor(event);
    // A text run has no Markdown; a mention needs a tag, and an entity in the card.
    for (const { inlines } of body) expect(inlines).toEqual([expect.objectContaining({ type: 'TextRun' })]);
    expect(JSON.stringify(message)).not.toMatch(/<[^\u200B]|\{\{(?!")|entities|msteams/);
    const line = text.replace(/\s+/g, ' ').trim();
    const seen = texts.map((part) => part.replaceAll('\u200B', ''));
    expect(seen).toEqual([line, text.trim(), expect.stringContaining(`type=x ${line} event_id=`)]);
  });

  it.each(everything)('nor by way of format: %j', async (text) => {
    const format: TeamsOptions<never>['format'] = (_event, { message }) => message;
    const { texts } = await messageFor(eventWith({ message: text }), { format });
    expect(unescapedIn(texts[0] ?? '')).toEqual([]);
    // Neither a tag that Markdown makes of entities, nor a date.
    expect(texts[0]).not.toMatch(/(?<!\\)&#?\w+;|\{\{/);
  });
});

describe("Teams' limit of 28,000 bytes", () => {
  async function overhead(): Promise<number> {
    return (await messageFor(eventWith({ message: 'm' }))).bytes - 1;
  }

  it.each([27_999, 28_000])('leaves a message of %i bytes whole', async (bytes) => {
    const text = 'm'.repeat(bytes - (await overhead()));
    const message = await messageFor(eventWith({ message: text }));
    expect([message.bytes, message.texts[1]]).toEqual([bytes, text]);
  });

  it.each([
    ['a byte too many', (room: number) => 'm'.repeat(room + 1)],
    ['letters of two bytes', (room: number) => 'ä'.repeat(room)],
    ['quotes, which are escaped', (room: number) => '"'.repeat(room)],
    ['line breaks, which are escaped', (room: number) => 'a\n'.repeat(room)],
    ['tags, which are disarmed', (room: number) => '<'.repeat(room)],
    ['emoji', (room: number) => '🚀'.repeat(room / 2)],
  ])('cuts the message, and nothing else: %s', async (_what, messageOf) => {
    const message = messageOf(28_000 - (await overhead()));
    const { texts, bytes } = await messageFor(eventWith({ message }));
    expect(bytes).toBeLessThanOrEqual(28_000);
    expect(bytes).toBeGreaterThan(28_000 - 12);
    expect(texts[0]).toBe(sampleEvent('instance_offline').subject);
    expect(texts[1]?.endsWith('…')).toBe(true);
    expect(message.startsWith(texts[1]?.slice(0, -1).replaceAll('\u200B', '') ?? '-')).toBe(true);
    expect(texts[2]).toMatch(/^type=instance_offline event_id=[0-9a-f]{32} severity=error$/);
  });

  it.each(Object.entries(clusters))('does not cut %s in two', async (_what, cluster) => {
    const room = 28_000 - (await overhead());
    for (const before of [0, 1, 2, 3, 5, 8, 13, 21, 25]) {
      const { texts, bytes } = await messageFor(eventWith({ message: 'x'.repeat(room - before) + cluster.repeat(30) }));
      const kept = texts[1]?.slice(0, -1) ?? '';
      expect([isMadeOf(cluster, kept), isWellFormed(kept), bytes <= 28_000]).toEqual([true, true, true]);
      expect(bytes).toBeGreaterThan(28_000 - 3 - Buffer.byteLength(cluster));
    }
  });

  it.each([
    [999, 's'.repeat(999)],
    [1_000, 's'.repeat(1_000)],
    [1_001, `${'s'.repeat(999)}…`],
  ])('leaves a subject of %i characters', async (length, sent) => {
    expect((await messageFor(eventWith({ subject: 's'.repeat(length) }))).texts[0]).toBe(sent);
  });

  it('holds for huge texts', async () => {
    for (const huge of ['x', '"', '\u0001', '<', '🚀'].map((text) => text.repeat(60_000))) {
      const event = { subject: huge, message: huge, notif_type: huge, event_id: '<'.repeat(255) };
      expect((await messageFor(event)).bytes).toBeLessThanOrEqual(28_000);
    }
  });

  it("holds for a text of format's", async () => {
    const { bytes, texts } = await messageFor(eventWith({}), { format: () => '"ä'.repeat(20_000) });
    expect(bytes).toBeLessThanOrEqual(28_000);
    expect(bytes).toBeGreaterThan(28_000 - 8);
    expect(texts[0]?.endsWith('…')).toBe(true);
  });
});

describe("teams' option format", () => {
  it('gives the text, as Markdown', async () => {
    const { body } = await messageFor(eventWith({}), { format: () => '**mine**' });
    expect(body).toEqual([{ type: 'TextBlock', text: '**mine**', wrap: true }]);
  });

  it('gives the whole message', async () => {
    const contentType = 'application/vnd.microsoft.card.adaptive';
    const content = { type: 'AdaptiveCard', version: '1.4', body: [{ type: 'TextBlock', text: 't' }] };
    const mine = { type: 'message', attachments: [{ contentType, contentUrl: null, content }] } as const;
    expect((await messageFor(eventWith({}), { format: () => mine })).message).toEqual(mine);
  });
});

describe('a connector address, which answers 200 whatever became of the message', () => {
  const failing = (status: number) =>
    `Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error ${status} with ContextId tcid=0`;
  let chat: Awaited<ReturnType<typeof teamsStandIn>>;
  beforeAll(async () => {
    chat = await teamsStandIn();
  });
  afterAll(() => chat.close());
  const answering = (status: number, body: string) => {
    chat.misbehave = (res) => res.writeHead(status).end(body);
  };

  it.each([
    [429, false],
    [503, false],
    [403, true],
    [413, true],
  ])('has failed when its text names error %i', async (status, permanent) => {
    answering(200, failing(status));
    const message = `Teams answered 200 (error ${status} in its text)`;
    expect(await failureOf(deliverTo(teams(chat.url)))).toMatchObject({
      name: 'SinkError',
      status,
      permanent,
      message,
    });
  });

  it('has failed for good when its text names no error', async () => {
    answering(200, 'Webhook message delivery failed with error: Bad payload received by generic incoming webhook.');
    expect(await failureOf(deliverTo(teams(chat.url)))).toMatchObject({ status: 200, permanent: true });
  });

  it.each(['1', '', '{}'])('has the message when its text is %j', async (text) => {
    answering(200, text);
    await expect(deliverTo(teams(chat.url))).resolves.toBeUndefined();
  });
});
