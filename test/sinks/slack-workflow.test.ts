import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type SlackWorkflowOptions, slackWorkflow } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type ChatStandIn, type SlackWorkflowStandInMessage, slackWorkflowStandIn } from '../support/chat-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { clusters, controlsIn, isMadeOf, isWellFormed, markupIn, nasty, seen } from './nasty.js';

let chat: ChatStandIn<SlackWorkflowStandInMessage>;
beforeAll(async () => {
  chat = await slackWorkflowStandIn();
});
afterAll(() => chat.close());
afterEach(() => {
  chat.misbehave = undefined;
});

/** The variables that the workflow starts with. */
async function variablesFor(event: object, options?: SlackWorkflowOptions<never>) {
  const before = chat.messages.length;
  await deliverTo(slackWorkflow(chat.url, options), event);
  expect(chat.messages).toHaveLength(before + 1);
  return chat.messages[before] as SlackWorkflowStandInMessage;
}

async function textFor(event: object): Promise<string> {
  return (await variablesFor(event)).vast_notification_message ?? '';
}

describe('slackWorkflow shows', () => {
  it.each(Object.keys(vastTypes) as VastType[])("of %s with the guide's two variables", async (type) => {
    const event = sampleEvent(type);
    const details = `type=${type} event_id=${event.event_id} severity=${vastTypes[type].severity}`;
    expect(await variablesFor(event)).toEqual({
      vast_notification_message: [event.subject, event.message, details].join('\n'),
      vast_action_url: `https://cloud.vast.ai${vastTypes[type].link}`,
    });
  });

  it('of nothing but an object', async () => {
    expect(await textFor({})).toMatch(/^Notification\n\{\}\ntype= event_id=sha256:/);
  });
});

describe('slackWorkflow fails', () => {
  const answering = (status: number, body: string) => {
    chat.misbehave = (res) => res.writeHead(status).end(body);
  };
  const failure = () => failureOf(deliverTo(slackWorkflow(chat.url)));

  it.each([
    ['with a reason', '{"ok":false,"error":"invalid_input_format"}', ' (invalid_input_format)'],
    ['without one', '{"ok":false}', ''],
    ['with a sentence for one', '{"ok":false,"error":"no such thing"}', ''],
  ])('for good when 200 says that it is not ok, %s', async (_what, body, reason) => {
    answering(200, body);
    const message = `Slack workflow answered 200${reason}`;
    expect(await failure()).toMatchObject({ name: 'SinkError', status: 200, permanent: true, message });
  });

  it('with the reason it gives beside another status', async () => {
    answering(404, '{"ok":false,"error":"workflow_not_found"}');
    expect((await failure()).message).toBe('Slack workflow answered 404 (workflow_not_found)');
    answering(503, '{"ok":false}');
    expect(await failure()).toMatchObject({ status: 503, permanent: false });
  });

  it.each(['', 'ok', '{"ok":true}', '{"ok":"false"}', '{"ok":null}', '{"ok":fal', 'null', '[]', '<html>', 'false'])(
    'but not on 200 and %j',
    async (body) => {
      answering(200, body);
      await expect(deliverTo(slackWorkflow(chat.url))).resolves.toBeUndefined();
    },
  );
});

describe('nothing in an event can ping or be markup in a workflow', () => {
  it.each(nasty)('%j', async (nastyText) => {
    const text = await textFor(eventWith({ subject: nastyText, message: nastyText, notif_type: `x ${nastyText}` }));
    expect([...controlsIn(text), ...markupIn(text)]).toEqual([]);
    expect(seen(text)).toContain(`${nastyText.replace(/\s+/g, ' ').trim()}\n${nastyText.trim()}\ntype=x `);
  });
});

describe("a workflow's limit of 3,000 characters", () => {
  it.each([
    [2_999, false],
    [3_000, false],
    [3_001, true],
  ])('leaves a text of %i', async (length, isCut) => {
    const rest = (await textFor(eventWith({ message: 'm' }))).length - 1;
    const text = await textFor(eventWith({ message: 'm'.repeat(length - rest) }));
    expect(text).toHaveLength(Math.min(length, 3_000));
    expect(text.includes('…')).toBe(isCut);
    expect(text).toMatch(/\ntype=instance_offline event_id=[0-9a-f]{32} severity=error$/);
  });

  it.each([
    [299, 's'.repeat(299)],
    [300, 's'.repeat(300)],
    [301, `${'s'.repeat(299)}…`],
  ])('and of 300 for the subject leaves %i', async (length, sent) => {
    expect((await textFor(eventWith({ subject: 's'.repeat(length) }))).split('\n')[0]).toBe(sent);
  });

  it.each(Object.entries(clusters))('does not cut %s in two', async (_what, cluster) => {
    const rest = (await textFor(eventWith({ message: 'm' }))).length - 1;
    for (const before of [0, 1, 2, 3, 5, 8, 12, 13]) {
      const text = await textFor(eventWith({ message: 'x'.repeat(3_000 - rest - before) + cluster.repeat(20) }));
      const kept = text.split('\n')[1]?.slice(0, -1) ?? '';
      expect([isMadeOf(cluster, kept), isWellFormed(text), text.length <= 3_000]).toEqual([true, true, true]);
      expect(text.length).toBeGreaterThan(3_000 - 1 - cluster.length);
    }
  });

  it('holds for huge texts', async () => {
    const huge = '*'.repeat(60_000);
    expect((await textFor({ subject: huge, message: huge, notif_type: huge, event_id: 'e1' })).length).toBe(3_000);
  });
});

describe("slackWorkflow's option format", () => {
  it('gives the text, beside the address', async () => {
    expect(await variablesFor(eventWith({}), { format: () => 'x'.repeat(3_001) })).toEqual({
      vast_notification_message: `${'x'.repeat(2_999)}…`,
      vast_action_url: 'https://cloud.vast.ai/instances/',
    });
  });

  it('gives the variables, of texts that are disarmed', async () => {
    const format: SlackWorkflowOptions<never>['format'] = (_event, { subject }) => ({ title: subject });
    expect(await variablesFor(eventWith({ subject: '<!channel>' }), { format })).toEqual({
      title: '<\u200B!channel>',
    });
  });
});
