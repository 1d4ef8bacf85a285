import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { detailsOf, type VastDetails, type VastType, vastTypes } from '../../src/index.js';
import { sampleEvent } from '../../src/testing/index.js';

const inMessage = (message: string, notif_type = 'outbid') => detailsOf({ notif_type, subject: '', message });
const instanceId = 48927380;
const machineId = 46110;

const ofSamples: Readonly<Record<VastType, VastDetails>> = {
  machine_offline: { machineId },
  machine_unverified: { machineId },
  machine_error: { machineId },
  receive_reports: { machineId },
  maintenance_scheduled: { machineId },
  instance_created: { instanceId, machineId },
  instance_started: { instanceId, machineId },
  instance_stopped: { instanceId, machineId },
  instance_resumed: { instanceId, machineId },
  instance_deleted: { instanceId, machineId },
  instance_offline: { instanceId, machineId },
  instance_online: { instanceId, machineId },
  outbid: { instanceId, machineId, bid: 0.03, minBid: 0.06 },
  machine_maintenance: { instanceId, machineId },
  upcoming_downtime: { instanceId, machineId },
  error_msgs: { instanceId },
  storage_full: { instanceId },
  idle_gpu: { instanceId },
  new_end_date: { instanceId, machineId },
  low_disk_space: { machineId },
  near_end_date: { machineId },
  low_credit: {},
  payment_receipt: {},
  credit_received: {},
  billing_failed: {},
  email_verification: {},
  password_reset: {},
  email_change: {},
  team_invitation: {},
  webhook_test: {},
};

describe('detailsOf reads the texts', () => {
  it.each(Object.keys(vastTypes) as VastType[])('of the sample of %s', (type) => {
    expect(detailsOf(sampleEvent(type))).toEqual(ofSamples[type]);
  });

  it.each([
    ['outbid', { instanceId: 48926820, machineId: 101502, bid: 0.03, minBid: 0.06 }],
    ['instance_started', { instanceId: 48927380, machineId: 46110 }],
    ['instance_resumed', { instanceId: 47840777, machineId: 56359 }],
    ['low_credit', {}],
    ['webhook_test', {}],
  ])('of recorded deliveries of %s', (type, details) => {
    const { vast } = JSON.parse(readFileSync(new URL('../fixtures/vectors.json', import.meta.url), 'utf8'));
    const events = vast
      .map(({ body }: { body: string }) => JSON.parse(body))
      .filter(({ notif_type }: { notif_type: string }) => notif_type === type);
    expect(events.length).toBeGreaterThan(0);
    for (const event of events) expect(detailsOf(event)).toEqual(details);
  });

  it.each([
    ['Instance ID: 48927380, offline', { instanceId }],
    ['instance id 48927380', { instanceId }],
    ['instance_id=48927380 machine_id=46110', { instanceId, machineId }],
    ['INSTANCE #48927380', { instanceId }],
    ['instance (#48927380)', { instanceId }],
    ['Instance number 48927380.', { instanceId }],
    ['Machine #46110: #48927380', { instanceId, machineId }],
    ['Machine 46110 is back, and instance 48927380 with it', { instanceId, machineId }],
    ['instance 48927380, again: Instance #48927380, #48927380', { instanceId }],
    ['instance 1', { instanceId: 1 }],
    ['instance 48927380, 2 GPUs', { instanceId }],
    ['instance 48927380, 2026-09-01 08:00', { instanceId }],
    ['instance 48927380 and 2 GPUs', { instanceId }],
    ['The instance 48927380 GPU is idle', { instanceId }],
    ['#48927380', { instanceId }],
    ['GPU #3 of instance 48927380', { instanceId }],
    ['The current minimum bid is $0.06/hr and your bid was $0.03/hr', { bid: 0.03, minBid: 0.06 }],
    ['Minimum bid: $0.06 per hour. Your own bid: $0.03 an hour.', { bid: 0.03, minBid: 0.06 }],
    ['Your bid of $12 is below the minimum bid of $13.5.', { bid: 12, minBid: 13.5 }],
    ['min. bid $.06/hour', { minBid: 0.06 }],
    ['You bid $0.031/h', { bid: 0.031 }],
    ['Your bid was $0.03/hr. Your bid was $0.030/hr.', { bid: 0.03 }],
  ])('%j', (text, details) => {
    expect(inMessage(text)).toEqual(details);
    expect(detailsOf({ notif_type: 'outbid', subject: text, message: '' })).toEqual(details);
  });
});

describe('detailsOf leaves out', () => {
  it.each([
    ['two instances', 'instance 48927380 and instance 48927381'],
    ['a list', 'instance 48927380, 48927381'],
    ['a list of hashes', 'instances #48927380 and #48927381'],
    ['a list with a slash', 'instances #48927380/#48927381'],
    ['a short list', 'instance 7 and 8'],
    ['a range', 'instance 1001-1003'],
    ['one of several', 'instance 48927380 and 2 others'],
    ['a grouped number', 'instance 48,927,380'],
    ['a decimal number', 'instance 4.5'],
    ['a percentage', 'instance 45%'],
    ['a count', 'On your instance 3 GPUs have failed'],
    ['a count of gigabytes', 'Your instance: 32GB full, your instance 32 GB'],
    ['a time', 'instance 08:00'],
    ['a year', 'instance 2026-09-01'],
    ['a word with a number', 'instance 48927380x, instance GPU3, reinstance 48927380'],
    ['digits of another script', 'instance ４８９２７３８０'],
    ['an id that is too long for a number', `instance ${'1'.repeat(16)}`],
    ['an id that begins with 0', 'instance 007'],
    ['the tag of an image', 'running vastai/instance:2026 of registry.example/machine:1234'],
    ['a ticket', 'See ticket #48927380'],
    ['an order with a colon', 'order#48927380'],
    ['the plural of a count', 'instances 3'],
    ['a word alone', 'instance #'],
    ['an id in a web address', 'https://cloud.vast.ai/instances/48927380'],
    ['a price of something else', 'You are being charged $0.031/hr, a payment of $25.00'],
    ['a price by the day', 'Your bid was $0.03/day, the minimum bid is $1 per day'],
    ['a price by the week', 'Your bid was $0.03 weekly'],
    ['a price by the day, in words', 'Your bid was $3 USD/day'],
    ['a price by the day, behind a comma', 'Your bid was $3, per day'],
    ['a price of one GPU', 'Your bid was $0.03 (per GPU)'],
    ['a price that is multiplied', 'Your bid was $0.03 × 4 GPUs'],
    ['several instances behind each other', 'Instances 48927380 48927385 are online.'],
    ['a range of instances', 'Instances 48927380–48927385 are online.'],
    ['a count of instances', 'instance 2 of 5 was stopped'],
    ['a price by the GPU', 'Your bid was $0.03/GPU/hr, the minimum bid is $1 per GPU'],
    ['a range of prices', 'The minimum bid is $0.03 - $0.06/hr'],
    ['advice', 'Raise your bid to $0.07/hr. Increase your bid: $0.08/hr. If you bid $0.09/hr, it may run.'],
    ['two prices', 'Your bid was $0.03/hr. Your bid is $0.04/hr.'],
    ['a price with a comma', 'Your bid was $0,03/hr, the minimum bid is $1,000/hr'],
    ['no price', 'Your bid was $0.00/hr'],
    ['somebody else’s', 'Your bid was beaten by a bid of $0.06/hr'],
  ])('%s', (_, text) => {
    expect(inMessage(text)).toEqual({});
  });

  it('an instance when subject and message name two', () => {
    const event = { notif_type: 'outbid', subject: 'Instance #1001', message: 'instance 1002 on machine 46110' };
    expect(detailsOf(event)).toEqual({ machineId });
  });

  it('an id that begins in the subject and ends in the message', () => {
    expect(detailsOf({ notif_type: 'outbid', subject: 'Your instance', message: '48927380' })).toEqual({});
  });

  it.each(['payment_receipt', 'machine_error', 'near_end_date', 'brand_new', 7])(
    'a number alone, where the type %j is not about instances',
    (type) => {
      expect(detailsOf({ notif_type: type, subject: '#48927380', message: '(#48927380)' })).toEqual({});
    },
  );

  it.each([{}, [], { subject: 7, message: null }, { subject: ['instance 1'], message: {} }, Object.create(null)])(
    'everything of %j',
    (event) => {
      expect(detailsOf(event)).toEqual({});
    },
  );

  it.each([null, undefined, 7, 'instance 1'])('everything of %j, which is no event', (event) => {
    expect(detailsOf(event as never)).toEqual({});
  });
});

describe('detailsOf prefers associated_id', () => {
  const text = { notif_type: 'outbid', subject: 'Instance #1001', message: 'Your bid was $0.03/hr' };

  it('which is structured and exact', () => {
    const associated_id = { instance_id: 1002, machine_id: 7, your_bid: 0.031, new_min_bid: 0.0625 };
    const details = { instanceId: 1002, machineId: 7, bid: 0.031, minBid: 0.0625 };
    expect(detailsOf({ ...text, associated_id })).toEqual(details);
  });

  it('and reads the texts for facts that it has not', () => {
    expect(detailsOf({ ...text, associated_id: { machine_id: '7' } })).toEqual({
      instanceId: 1001,
      machineId: 7,
      bid: 0.03,
    });
  });

  it.each([
    null,
    7,
    'x',
    [1],
    { instance_id: -1, your_bid: 0 },
    { instance_id: 1.5, your_bid: 'x' },
    { instance_id: {} },
  ])('but not when it is %j', (associated_id) => {
    expect(detailsOf({ ...text, associated_id })).toEqual({ instanceId: 1001, bid: 0.03 });
  });
});

describe('detailsOf holds for any text', () => {
  const words = fc.constantFrom(
    ...[
      'instance',
      'Instances',
      'machine',
      'id',
      '#',
      ':',
      '=',
      '(',
      ' ',
      '  ',
      '\n',
      ',',
      'and',
      'or',
      '$',
      '/hr',
      '.',
    ],
    ...[
      'your',
      'bid',
      'was',
      'is',
      'minimum bid',
      'GPUs',
      '48927380',
      '46110',
      '3',
      '0.06',
      '%',
      '-',
      'others',
      '—',
      '🚀',
    ],
  );
  const texts = fc.array(words, { maxLength: 40 }).map((parts) => parts.join(''));
  const spaced = fc.array(words, { maxLength: 40 }).map((parts) => parts.join(' '));
  const anyText = fc.oneof(texts, spaced, fc.string({ unit: 'binary', maxLength: 200 }));

  it('each value is of its kind, and stands in a text', () => {
    fc.assert(
      fc.property(anyText, anyText, fc.constantFrom('outbid', 'machine_error', 'x'), (subject, message, notif_type) => {
        const details = detailsOf({ notif_type, subject, message });
        const all = `${subject}\n${message}`;
        for (const [fact, value] of Object.entries(details)) {
          if (fact.endsWith('Id')) expect(Number.isSafeInteger(value) && value > 0).toBe(true);
          expect(value).toBeGreaterThan(0);
          expect(all.match(/\d*\.?\d+/g)?.map(Number)).toContain(value);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('a fact that is added in another place is the same or makes it uncertain, whatever the order', () => {
    const sentence = fc.record({
      instance: fc.integer({ min: 1, max: 9_999_999 }),
      bid: fc.integer({ min: 1, max: 99 }),
    });
    const textOf = ({ instance, bid }: { instance: number; bid: number }) =>
      `Your instance #${instance} was outbid. Your bid was $0.${String(bid).padStart(2, '0')}/hr.`;
    fc.assert(
      fc.property(sentence, sentence, (one, other) => {
        const both = [`${textOf(one)} ${textOf(other)}`, `${textOf(other)} ${textOf(one)}`];
        const expected = {
          ...(one.instance === other.instance && { instanceId: one.instance }),
          ...(one.bid === other.bid && { bid: one.bid / 100 }),
        };
        for (const text of both) expect(inMessage(text)).toEqual(expected);
      }),
    );
  });
});

describe('detailsOf takes time in proportion to the text', () => {
  const parts = [
    ...[
      'instance ',
      'instance',
      'instance:',
      'instance#',
      'instance id ',
      'instance_id',
      'instance    ',
      'instance 1',
      '#',
    ],
    ...['#1', '#1234', ' #1234', ' ', '\n', '\t', '1', '1,', 'machine 1 and ', 'instance 1234, 1234 and 1234', 'your '],
    ...[
      'your bid ',
      'your bid is ',
      'your bid is is is is is ',
      'your bid $1',
      'minimum bid ',
      'min bid : $',
      '$',
      '$1',
    ],
    ...[
      '$1 per ',
      'min',
      'min_',
      'raise your bid ',
      '0.',
      '.',
      'ｉ',
      'İ',
      '🚀',
      '\ud800',
      '(',
      '[',
      '=',
      'instance ([#:',
    ],
  ];
  /** The least of several measurements, because another process may take the machine away in any one. */
  const leastMs = (text: string) => {
    const times = Array.from({ length: 5 }, () => {
      const start = process.cpuUsage();
      inMessage(text);
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1_000;
    });
    return Math.min(...times);
  };

  // A pattern in quadratic time takes 256 times as long for sixteen times the text.
  it.each(parts)('of %j', (part) => {
    const of = (length: number) => part.repeat(Math.ceil(length / part.length));
    leastMs(of(16_000));
    expect(leastMs(of(512_000))).toBeLessThan(16 * 5 * (leastMs(of(32_000)) + 1));
  });

  it('of any repeated text', () => {
    const atoms = fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 4 }).map((some) => some.join(''));
    fc.assert(
      fc.property(atoms, (part) => {
        const of = (length: number) => part.repeat(Math.ceil(length / part.length));
        expect(leastMs(of(256_000))).toBeLessThan(16 * 5 * (leastMs(of(16_000)) + 1));
      }),
      { numRuns: 40 },
    );
  });
});
