import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type SlackOptions, slack } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type ChatStandIn, type SlackStandInMessage, slackStandIn } from '../support/chat-stand-in.js';
import { deliverTo, eventWith } from './deliver.js';
import { clusters, isMadeOf, isWellFormed, markupIn, nasty, seen } from './nasty.js';

let chat: ChatStandIn<SlackStandInMessage>;
beforeAll(async () => {
  chat = await slackStandIn();
});
afterAll(() => chat.close());
afterEach(() => {
  chat.misbehave = undefined;
});

const consoleLink = '<https://cloud.vast.ai/instances/|Open the console>';

/** The message of an event as Slack accepts it, in parts. */
async function messageFor(event: object, options?: SlackOptions<never>) {
  const before = chat.messages.length;
  await deliverTo(slack(chat.url, options), event);
  expect(chat.messages).toHaveLength(before + 1);
  const message = chat.messages[before] as SlackStandInMessage;
  const { text, blocks = [] } = message;
  const sections = blocks.flatMap(({ type, text }) =>
    type === 'section' && text?.type === 'plain_text' ? text.text : [],
  );
  const link = blocks.find((block) => block.text?.type === 'mrkdwn');
  return {
    message,
    text,
    header: blocks.find(({ type }) => type === 'header')?.text?.text ?? '',
    section: sections[0],
    sections,
    link: link?.text?.text,
    context: blocks.find(({ type }) => type === 'context')?.elements?.[0]?.text,
  };
}

describe('slack shows', () => {
  it.each(Object.keys(vastTypes) as VastType[])('of %s: subject, message, link, type and event id', async (type) => {
    const event = sampleEvent(type);
    const url = `https://cloud.vast.ai${vastTypes[type].link}`;
    const details = `type=${type} event_id=${event.event_id} severity=${vastTypes[type].severity}`;
    expect((await messageFor(event)).message).toEqual({
      text: [event.subject, event.message, url, details].join('\n'),
      blocks: [
        { type: 'header', text: { type: 'plain_text', text: event.subject, emoji: false } },
        { type: 'section', text: { type: 'plain_text', text: event.message, emoji: false } },
        { type: 'section', text: { type: 'mrkdwn', text: `<${url}|Open the console>`, verbatim: true } },
        { type: 'context', elements: [{ type: 'plain_text', text: details, emoji: false }] },
      ],
    });
  });

  it('as JSON in UTF-8', async () => {
    await messageFor(eventWith({ subject: 'läuft — 走る 🚀' }));
    const { method, headers, body } = chat.requests.at(-1) ?? {};
    expect([method, headers?.['content-type']]).toEqual(['POST', 'application/json; charset=utf-8']);
    expect(body).toContain('läuft — 走る 🚀');
  });

  it('of the signed id where there is no usable event_id', async () => {
    const { context } = await messageFor(eventWith({ event_id: 7.5 }));
    expect(context).toMatch(/^type=instance_offline event_id=sha256:[0-9a-f]{64} severity=error$/);
  });
});

describe('nothing in an event can ping or be markup in Slack', () => {
  const expectSafe = ({ message, text, link }: Awaited<ReturnType<typeof messageFor>>) => {
    expect(markupIn(text)).toEqual([]);
    expect(link).toBe(consoleLink);
    // The sender's text is plain text, and no control character is left except in our link.
    expect(JSON.stringify(message).replace(consoleLink, '')).not.toMatch(/[<>]/);
  };

  it.each(nasty)('in a subject: %j', async (text) => {
    const message = await messageFor(eventWith({ subject: text, message: 'm' }));
    expectSafe(message);
    const line = text.replace(/\s+/g, ' ').trim();
    expect(seen(message.header)).toBe(line);
    expect(seen(message.text)).toContain(`${line}\nm\n`);
  });

  it.each(nasty)('in a message: %j', async (text) => {
    const message = await messageFor(eventWith({ subject: 's', message: text }));
    expectSafe(message);
    expect(seen(message.section ?? '')).toBe(text.trim());
    expect(seen(message.text)).toContain(`s\n${text.trim()}\nhttps:`);
  });

  it.each(nasty)('in a type: %j', async (text) => {
    const message = await messageFor(eventWith({ notif_type: `instance_ ${text}` }));
    expectSafe(message);
  });

  it('in any mixture, at any length', async () => {
    const texts = fc
      .array(fc.constantFrom(...nasty, ' ', '\n', 'a', '_', '*', '&', '&lt;', '🚀', 'x'.repeat(100)), {
        maxLength: 300,
      })
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(texts, texts, async (subject, message) => {
        expectSafe(await messageFor(eventWith({ subject, message })));
      }),
      { numRuns: 60 },
    );
  });

  it('and an ampersand cannot make an entity', async () => {
    const { header, section } = await messageFor(eventWith({ subject: '&lt;!channel&gt;', message: 'R&D &amp; co' }));
    expect([header, section]).toEqual(['&amp;lt;!channel&amp;gt;', 'R&amp;D &amp;amp; co']);
  });

  it('while names and addresses can still be read and copied', async () => {
    const subject = 'vastai/base_image_v2:cuda_12 on my_gpu_box_1';
    const message = 'See https://cloud.vast.ai/instances/?sort=price_asc&id=48_92#at_top, e.g. snake_case_name.';
    const { text, header, section } = await messageFor(eventWith({ subject, message }));
    expect(header).toBe(subject);
    expect(section).toBe(message.replace('&', '&amp;'));
    expect(text).toContain(`${subject}\n${message.replace('&', '&amp;')}\n`);
  });
});

describe("Slack's limits", () => {
  it.each([
    [149, '', 149],
    [150, '', 150],
    [151, '…', 150],
  ])('leave a subject of %i characters', async (length, end, sent) => {
    const { header } = await messageFor(eventWith({ subject: 's'.repeat(length) }));
    expect(header).toBe('s'.repeat(sent - end.length) + end);
  });

  it('count a subject as it is sent, and cut no entity in two', async () => {
    expect((await messageFor(eventWith({ subject: '&'.repeat(30) }))).header).toBe('&amp;'.repeat(30));
    expect((await messageFor(eventWith({ subject: '&'.repeat(31) }))).header).toBe(`${'&amp;'.repeat(29)}…`);
  });

  it.each([
    [2_999, [2_999]],
    [3_000, [3_000]],
    [3_001, [3_000, 1]],
    [9_001, [3_000, 3_000, 3_000, 1]],
  ])('leave a message of %i characters whole, in sections of %j', async (length, sizes) => {
    const { sections, text } = await messageFor(eventWith({ message: 'm'.repeat(length) }));
    expect(sections).toEqual(sizes.map((size) => 'm'.repeat(size)));
    expect(text).toContain('m'.repeat(length));
  });

  it('show a subject that is too long for a header in full above the message', async () => {
    const subject = `${'s'.repeat(100)} ${'t'.repeat(100)}`;
    const { header, sections } = await messageFor(eventWith({ subject, message: 'm' }));
    expect(header).toHaveLength(150);
    expect(sections).toEqual([`${subject}\nm`]);
  });

  it('divide a message where a line ends, and cut neither entities nor characters', async () => {
    const lines = `${'l'.repeat(2_000)}\n${'m'.repeat(2_000)}`;
    expect((await messageFor(eventWith({ message: lines }))).sections).toEqual(lines.split(/(?<=\n)/));
    const { sections } = await messageFor(eventWith({ message: '&🚀'.repeat(2_000) }));
    expect(sections.join('')).toBe('&amp;🚀'.repeat(2_000));
    for (const section of sections) expect(section).toMatch(/^(&amp;|🚀)+$/u);
  });

  it('are kept by 40,000 characters in fifty blocks at most, and by one letter with as many accents', async () => {
    for (const message of ['m\n'.repeat(30_000), `e${'\u0301'.repeat(9_000)}`, `&${'\u0301'.repeat(9_000)}`]) {
      const { sections, message: sent } = await messageFor(eventWith({ message }));
      expect(sections.join('').length).toBeGreaterThan(8_000);
      expect(sections.every((section) => section.length <= 3_000)).toBe(true);
      expect(sent.blocks.length).toBeLessThanOrEqual(50);
    }
  });

  it.each([
    [39_999, false],
    [40_000, false],
    [40_001, true],
  ])('leave a text of %i characters', async (length, isCut) => {
    const rest = (await messageFor(eventWith({ message: 'm' }))).text.length - 1;
    const { text } = await messageFor(eventWith({ message: 'm'.repeat(length - rest) }));
    expect(text).toHaveLength(Math.min(length, 40_000));
    expect(text.endsWith('…')).toBe(isCut);
  });

  describe.each(Object.entries(clusters))('do not cut %s in two', (_what, cluster) => {
    it.each([0, 1, 2, 3, 5, 8, 12, 13])('%i characters before the end', async (before) => {
      const fillTo = (limit: number) => 'x'.repeat(limit - before) + cluster.repeat(20);
      const { header } = await messageFor(eventWith({ subject: fillTo(150) }));
      expect(header.endsWith('…')).toBe(true);
      const { section = '' } = await messageFor(eventWith({ message: fillTo(3_000) }));
      for (const [kept, limit] of [
        [header.slice(0, -1), 150],
        [section, 3_000],
      ] as const) {
        expect(isMadeOf(cluster, kept)).toBe(true);
        expect(isWellFormed(kept)).toBe(true);
        // Nor is more cut than need be.
        expect(kept.length).toBeGreaterThan(limit - 1 - cluster.length);
      }
    });
  });

  it('also cut the text between whole characters', async () => {
    const family = clusters['a family'];
    for (const before of [0, 1, 5, 12]) {
      const event = eventWith({ subject: 's'.repeat(before + 1), message: family.repeat(4_000) });
      const { text } = await messageFor(event);
      expect(text.length).toBeLessThanOrEqual(40_000);
      expect(text.slice(0, -1).replaceAll(family, '')).toMatch(/^s+\n$/);
    }
  });
});

describe('odd events reach Slack all the same', () => {
  it.each([
    ['no subject', { subject: undefined }],
    ['an empty subject', { subject: '' }],
    ['a blank subject', { subject: ' \n\t ' }],
    ['a subject that is null', { subject: null }],
  ])('%s: the type stands in its place', async (_what, fields) => {
    expect((await messageFor(eventWith(fields))).header).toBe('instance_offline');
  });

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['blank', ' \n '],
  ])('neither subject nor type, which is %s: a word stands in their place', async (_what, type) => {
    const { header, text, context } = await messageFor(eventWith({ subject: '', notif_type: type }));
    expect(header).toBe('Notification');
    expect(text).toMatch(/^Notification\n/);
    expect(context).toMatch(/^type=\s*event_id=/);
  });

  it.each([
    ['no message', undefined],
    ['an empty message', ''],
    ['a blank message', ' \r\n '],
  ])('%s: the payload stands in its place', async (_what, message) => {
    const event = eventWith({ subject: 's', message });
    expect((await messageFor(event)).section).toBe(JSON.stringify(event));
  });

  it.each([
    [7, '7'],
    [{ a: [1] }, '{"a":[1]}'],
    [['x', 'y'], '["x","y"]'],
    [true, 'true'],
  ])('the message %j and a subject like it are shown', async (value, text) => {
    const { header, section } = await messageFor(eventWith({ subject: value, message: value }));
    expect([header, section]).toEqual([text, text]);
  });

  it('a subject of several lines becomes one', async () => {
    expect((await messageFor(eventWith({ subject: ' one\r\n two\n\n\tthree ' }))).header).toBe('one two three');
  });

  it('a type of several lines becomes one, where it stands for the subject', async () => {
    const { header } = await messageFor(eventWith({ subject: '', notif_type: 'one\ntwo' }));
    expect(header).toBe('one two');
  });

  it('huge subject, message and type', async () => {
    const huge = 'x'.repeat(60_000);
    const { context = '' } = await messageFor({ subject: huge, message: huge, notif_type: huge, event_id: 'e1' });
    expect(context).toMatch(/^type=x{99}… event_id=e1 severity=info$/);
  });

  it('half a surrogate pair', async () => {
    const {
      text,
      header,
      section = '',
      context = '',
    } = await messageFor(eventWith({ subject: 'a\uD83D', message: '\uDE80b', notif_type: 'c\uD83D' }));
    expect([text, header, section, context].map(isWellFormed)).toEqual([true, true, true, true]);
    expect([header[0], section.at(-1)]).toEqual(['a', 'b']);
  });

  it('nothing but an object', async () => {
    expect((await messageFor({})).text).toMatch(
      /^Notification\n\{\}\nhttps:\/\/cloud\.vast\.ai\/\ntype= event_id=sha256:/,
    );
  });
});

describe("slack's option format", () => {
  const event = eventWith({ subject: '<!channel> R&D', message: '*now*', notif_type: 'instance_ *odd* <!channel>' });

  it('gives the text', async () => {
    const { message } = await messageFor(event, { format: () => 'mine' });
    expect(message).toEqual({ text: 'mine' });
  });

  it('gives the whole message', async () => {
    const mine = { text: 't', blocks: [{ type: 'section', text: { type: 'mrkdwn', text: '*t*' } }] };
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
    expect(text).not.toMatch(/[<>]/);
    expect(markupIn(text)).toEqual([]);
    const lines = seen(text).split('\n');
    expect(lines.slice(0, 3)).toEqual(['<!channel> R&D', '*now*', 'https://cloud.vast.ai/instances/']);
    expect(lines[3]).toMatch(/^type=instance_ \*odd\* <!channel> event_id=[0-9a-f]{32} severity=info$/);
  });

  it('has its text cut to the limit', async () => {
    const { text } = await messageFor(event, { format: () => 'x'.repeat(40_001) });
    expect(text).toBe(`${'x'.repeat(39_999)}…`);
  });

  it('fails the sink with the thrown value', async () => {
    const thrown = new Error('my mistake');
    const sink = slack(chat.url, {
      format: () => {
        throw thrown;
      },
    });
    await expect(deliverTo(sink, event)).rejects.toBe(thrown);
  });
});
