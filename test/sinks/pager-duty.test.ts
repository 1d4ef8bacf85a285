import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { pagerDuty } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type ChatStandIn, type PagerDutyStandInMessage, pagerDutyStandIn } from '../support/chat-stand-in.js';
import { deliveryOf } from '../support/delivery.js';
import { deliverTo, eventWith } from './deliver.js';
import { clusters, isMadeOf, isWellFormed } from './nasty.js';

let chat: ChatStandIn<PagerDutyStandInMessage>;
beforeAll(async () => {
  chat = await pagerDutyStandIn();
});
afterAll(() => chat.close());

async function alertFor(event: object): Promise<PagerDutyStandInMessage> {
  const before = chat.messages.length;
  await deliverTo(pagerDuty(chat.token, { url: chat.url }), event);
  expect(chat.messages).toHaveLength(before + 1);
  return chat.messages[before] as PagerDutyStandInMessage;
}

/** The action of an event of this type and text, and its alert. */
async function actionOf(notif_type: string, subject: string, message = '') {
  const { event_action, dedup_key } = await alertFor(eventWith({ notif_type, subject, message, event_id: 'e1' }));
  return [event_action, dedup_key];
}

const resolving = ['instance_online', 'new_end_date'];
const triggering = (Object.keys(vastTypes) as VastType[]).filter((type) => !resolving.includes(type));

describe('pagerDuty triggers', () => {
  it.each(triggering)('on %s', async (type) => {
    const event = { ...sampleEvent(type), timestamp: 1_790_000_000.25 };
    const alert = await alertFor(event);
    expect(alert).toEqual({
      routing_key: chat.token,
      event_action: 'trigger',
      dedup_key: alert.dedup_key,
      payload: {
        summary: event.subject,
        source: expect.stringMatching(/^(instance 48927380|machine 46110|cloud\.vast\.ai)$/),
        severity: vastTypes[type].severity,
        timestamp: '2026-09-21T14:13:20.250Z',
        class: type,
        custom_details: { message: event.message, event_id: event.event_id },
      },
      links: [{ href: `https://cloud.vast.ai${vastTypes[type].link}`, text: 'Open the console' }],
    });
    const { source = '' } = alert.payload ?? {};
    const key = source.startsWith('cloud') ? event.event_id : `vast:${type}:${source.replace(' ', ':')}`;
    expect(alert.dedup_key).toBe(key);
  });

  it('on a type that is not known, for information', async () => {
    const { event_action, payload } = await alertFor(eventWith({ notif_type: 'brand_new' }));
    expect([event_action, payload?.severity]).toEqual(['trigger', 'info']);
  });

  it('on nothing but an object', async () => {
    const { dedup_key, payload } = await alertFor({});
    expect(dedup_key).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(payload).toMatchObject({ summary: 'Notification', source: 'cloud.vast.ai', severity: 'info', class: '' });
  });

  it.each([undefined, null, 'now', -1, Number.MAX_VALUE, 253_402_300_800])(
    'at the time of the signature when it says that it happened at %j',
    async (timestamp) => {
      const { payload } = await alertFor(eventWith({ timestamp }));
      expect(Math.abs(Date.parse(payload?.timestamp ?? '') - Date.now())).toBeLessThan(60_000);
    },
  );
});

describe('pagerDuty resolves', () => {
  it.each([['instance_online', 'instance_offline']] as const)(
    'with %s what %s of the same instance has triggered',
    async (type, trigger) => {
      const { dedup_key } = await alertFor(sampleEvent(trigger));
      expect(dedup_key).toBe(`vast:${trigger}:instance:48927380`);
      const resolution = { routing_key: chat.token, event_action: 'resolve', dedup_key };
      expect(await alertFor(sampleEvent(type))).toEqual(resolution);
    },
  );

  it('with new_end_date what near_end_date of the same instance has triggered', async () => {
    const trigger = await actionOf('near_end_date', 'The Rental Of Your Instance #48927380 Ends Soon');
    const resolution = await actionOf('new_end_date', 'New End Date For Your Instance #48927380');
    expect([trigger, resolution]).toEqual([
      ['trigger', 'vast:near_end_date:instance:48927380'],
      ['resolve', 'vast:near_end_date:instance:48927380'],
    ]);
  });

  it.each(['instance_started', 'instance_resumed', 'instance_online'])(
    'no outbid with %s, because the higher bid may still stand',
    async (type) => {
      expect(await actionOf('outbid', 'instance 1')).toEqual(['trigger', 'vast:outbid:instance:1']);
      expect(await actionOf(type, 'instance 1')).not.toEqual(['resolve', 'vast:outbid:instance:1']);
    },
  );

  it('nothing of another instance', async () => {
    expect(await actionOf('instance_online', 'instance 1')).toEqual(['resolve', 'vast:instance_offline:instance:1']);
    expect(await actionOf('instance_online', 'instance 2')).toEqual(['resolve', 'vast:instance_offline:instance:2']);
  });

  it.each(resolving)('nothing with %s when no instance can be read: it is an alert of its own', async (type) => {
    expect(await actionOf(type, 'Good news', 'It is back.')).toEqual(['trigger', 'e1']);
  });

  it.each(['toString', '__proto__', 'constructor'])('nothing with a type of %s', async (type) => {
    expect(await actionOf(type, 'instance 1')).toEqual(['trigger', `vast:${type}:instance:1`]);
  });
});

describe('pagerDuty reads of the text', () => {
  const about = (subject: string) => `vast:instance_offline:${subject}`;

  it.each([
    ['Your instance 48927380 is offline', 'instance:48927380'],
    ['Your Vast.ai Instance #48927380 Is Offline', 'instance:48927380'],
    ['instance: 48927380', 'instance:48927380'],
    ['instance id 48927380', 'instance:48927380'],
    ['Instance ID: 48927380, offline', 'instance:48927380'],
    ['#48927380 is offline', 'instance:48927380'],
    ['(#48927380)', 'instance:48927380'],
    ['machine 46110 is offline', 'machine:46110'],
    ['Your Machine #46110 Is Offline', 'machine:46110'],
    ['instance 48927380 on machine 46110', 'instance:48927380'],
    ['Machine #46110: instance 48927380', 'instance:48927380'],
    ['Machine #46110: #48927380', 'instance:48927380'],
    ['instance 48927380, again: Instance #48927380, #48927380', 'instance:48927380'],
    ['GPU #3 of instance 48927380', 'instance:48927380'],
  ])('%j', async (text, subject) => {
    expect(await actionOf('instance_offline', text)).toEqual(['trigger', about(subject)]);
    expect(await actionOf('instance_offline', 'Offline', text)).toEqual(['trigger', about(subject)]);
  });

  it.each([
    'Your instance is offline',
    '48927380 is offline',
    'instance 48927380x',
    'instance #',
    'instance ４８９',
    `instance ${'1'.repeat(21)}`,
    'reinstance 48927380',
    'GPU #3 has fallen off the bus',
    'instance 1 and instance 2',
    'instances #1001 and #1002',
    'machine 46110 and machine 46111',
    'instance 1\ninstance 2',
  ])('nothing from %j', async (text) => {
    expect(await actionOf('instance_offline', text)).toEqual(['trigger', 'e1']);
  });

  it('the machine first, where the type is for hosts', async () => {
    const text = 'machine 46110: instance 48927380 has failed';
    expect(await actionOf('machine_error', text)).toEqual(['trigger', 'vast:machine_error:machine:46110']);
    expect(await actionOf('machine_maintenance', text)).toEqual([
      'trigger',
      'vast:machine_maintenance:instance:48927380',
    ]);
  });

  it('the machine first, where the label of the secret is host', async () => {
    const event = eventWith({ notif_type: 'near_end_date', message: 'instance 48927380 on machine 46110' });
    const context = { delivery: deliveryOf({}, { webhook: 'host' }), signal: new AbortController().signal };
    await pagerDuty(chat.token, { url: chat.url }).deliver(event, context);
    expect(chat.messages.at(-1)?.dedup_key).toBe('vast:near_end_date:machine:46110');
  });

  it('a long text in time that grows with its length', async () => {
    for (const text of ['instance ', 'instance id ', '#1', 'machine:    ', ' '.repeat(100)]) {
      await alertFor(eventWith({ message: text.repeat(60_000 / text.length) }));
    }
    await alertFor(eventWith({ message: `instance${' '.repeat(50_000)}` }));
  }, 5_000);
});

describe("PagerDuty's limits", () => {
  it.each([
    [1_023, 's'.repeat(1_023)],
    [1_024, 's'.repeat(1_024)],
    [1_025, `${'s'.repeat(1_023)}…`],
  ])('leave a subject of %i characters', async (length, summary) => {
    expect((await alertFor(eventWith({ subject: 's'.repeat(length) }))).payload?.summary).toBe(summary);
  });

  it.each([
    [9_999, 'm'.repeat(9_999)],
    [10_000, 'm'.repeat(10_000)],
    [10_001, `${'m'.repeat(9_999)}…`],
  ])('leave a message of %i characters', async (length, message) => {
    const { payload } = await alertFor(eventWith({ message: 'm'.repeat(length) }));
    expect(payload?.custom_details.message).toBe(message);
  });

  it.each(Object.entries(clusters))('do not cut %s in two', async (_what, cluster) => {
    for (const before of [0, 1, 2, 3, 5, 8, 12, 13]) {
      const { payload } = await alertFor(eventWith({ subject: 'x'.repeat(1_024 - before) + cluster.repeat(20) }));
      const kept = payload?.summary.slice(0, -1) ?? '';
      expect([isMadeOf(cluster, kept), isWellFormed(kept)]).toEqual([true, true]);
      expect(kept.length).toBeGreaterThan(1_023 - cluster.length);
    }
  });

  it.each([254, 255])('leave an event id of %i characters as the key', async (length) => {
    const id = 'e'.repeat(length);
    expect((await alertFor(eventWith({ event_id: id, subject: 's', message: 'm' }))).dedup_key).toBe(id);
  });

  it('hold for a key that is made of a long type and id', async () => {
    const [, key] = await actionOf('t'.repeat(60_000), `instance ${'1'.repeat(15)}`);
    expect(key).toBe(`vast:${'t'.repeat(99)}…:instance:${'1'.repeat(15)}`);
  });

  it('hold for a subject of several lines, which becomes one', async () => {
    expect((await alertFor(eventWith({ subject: ' one\r\n two\t' }))).payload?.summary).toBe('one two');
  });
});

describe('pagerDuty', () => {
  it('posts to the service, or to the url option', async () => {
    const asked: unknown[] = [];
    const fetch = async (url: unknown) => {
      asked.push(url);
      return new Response('', { status: 202 });
    };
    await deliverTo(pagerDuty('key', { fetch }));
    await deliverTo(pagerDuty('key', { fetch, url: 'https://events.eu.pagerduty.com/v2/enqueue' }));
    expect(asked).toEqual(['https://events.pagerduty.com/v2/enqueue', 'https://events.eu.pagerduty.com/v2/enqueue']);
  });

  it.each([undefined, null, '', ' secretKey', 'secretKey\n', 'secret key', 7, {}])(
    'refuses the routing key %j, and does not repeat it',
    (key) => {
      expect.assertions(3);
      try {
        pagerDuty(key as string);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        expect(String(error)).toContain('PagerDuty: the routing key must be');
        expect(inspect(error, { showHidden: true })).not.toMatch(/secret\s?Key/i);
      }
    },
  );

  it.each([null, '', 'ftp://events.example'])('refuses the url %j', (url) => {
    expect(() => pagerDuty('key', { url: url as string })).toThrow(TypeError);
  });
});
