/** The text of a digest, and that a digest passes through everything that events pass through. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createForwarder, type Delivery, type Sink, type VastEvent, when } from '../../src/index.js';
import {
  bullmq,
  cloudEvents,
  type DigestEvent,
  digest,
  discord,
  googleChat,
  http,
  log,
  pagerDuty,
  slack,
  slackWorkflow,
  sqliteOutbox,
  teams,
} from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import {
  type ChatStandIn,
  discordStandIn,
  endpointStandIn,
  googleChatStandIn,
  pagerDutyStandIn,
  slackStandIn,
  slackWorkflowStandIn,
  teamsStandIn,
} from '../support/chat-stand-in.js';
import { sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { anEvent, deliverTo, recorder, resultsOf } from './buffering.js';

type Sent = ReturnType<typeof anEvent>;

/** Delivers all these events to a sink in one digest. */
async function deliverDigest(sink: Sink<VastEvent>, events: readonly Sent[]): Promise<void> {
  const buffering = digest({ everyMs: 60_000 }, sink);
  const attempts = events.map((event) => deliverTo(buffering, event));
  await buffering.flush?.();
  expect(resultsOf(attempts)).toEqual(['delivered']);
}

async function digestOf(events: readonly Sent[]): Promise<{ event: DigestEvent; delivery: Delivery }> {
  const { sink, calls } = recorder();
  await deliverDigest(sink, events);
  const [{ event, context } = {}] = calls;
  return { event: event as unknown as DigestEvent, delivery: context?.delivery as Delivery };
}

const times = (count: number, make: (n: number) => Sent) => Array.from({ length: count }, (_, n) => make(n));
const offline = (n: number) => anEvent({ subject: `Instance #${n} Is Offline` });
const of = (type: Parameters<typeof sampleEvent>[0], delivery?: Partial<Delivery>) => {
  const { event_id, ...fields } = sampleEvent(type);
  return anEvent(fields, delivery);
};

describe('a digest', () => {
  it('says how many of which type there are, the most first, and quotes their subjects', async () => {
    const { event } = await digestOf([...times(20, () => of('outbid')), ...times(480, offline)]);
    expect(event.subject).toBe('500 notifications: 480 × instance_offline, 20 × outbid');
    const lines = event.message.split('\n');
    expect(lines[0]).toBe('20 × Your Interruptible Instance #48927380 Has Been Outbid');
    expect(lines.slice(1, 20)).toEqual(Array.from({ length: 19 }, (_, n) => `Instance #${n} Is Offline`));
    expect(lines.slice(20)).toEqual(['and 461 more']);
    expect(event).toMatchObject({ notif_type: 'digest', count: 500, user_id: 123 });
  });

  it('names five types, and leaves nothing out without saying so', async () => {
    const types = ['outbid', 'low_credit', 'idle_gpu', 'storage_full', 'error_msgs', 'new_end_date'] as const;
    const { event } = await digestOf([of('outbid'), ...types.map((type) => of(type))]);
    expect(event.subject).toBe(
      '7 notifications: 2 × outbid, 1 × low_credit, 1 × storage_full, 1 × error_msgs, 1 × idle_gpu, and others',
    );
    expect(event.types).toHaveLength(6);
  });

  it('is as grave as the gravest of its events, and quotes that first', async () => {
    const { event } = await digestOf([of('instance_created'), of('billing_failed'), of('outbid')]);
    expect(event.severity).toBe('critical');
    expect(event.message).toMatch(/^Your Vast.ai Payment Has Failed\n/);
    expect((await digestOf([of('instance_created'), of('outbid')])).event.severity).toBe('error');
  });

  it('points to where all of its events do, otherwise to the console', async () => {
    expect((await digestOf([of('outbid'), of('instance_created')])).event.url).toBe('https://cloud.vast.ai/instances/');
    expect((await digestOf([of('outbid'), of('low_credit')])).event.url).toBe('https://cloud.vast.ai/');
  });

  it('has an id that is made of the ids of its events, in any order', async () => {
    const events = times(3, offline);
    const [first, second, other] = await Promise.all([
      digestOf(events),
      digestOf([...events].reverse()),
      digestOf(events.slice(1)),
    ]);
    expect(first.event.event_id).toMatch(/^digest:[0-9a-f]{64}$/);
    expect(first.delivery.id).toBe(first.event.event_id);
    expect(second.event.event_id).toBe(first.event.event_id);
    expect(other.event.event_id).not.toBe(first.event.event_id);
    expect(first.event.event_ids).toEqual(events.map(({ delivery }) => delivery.id));
  });

  it('names a thousand ids at most', async () => {
    const { event } = await digestOf(times(1_200, offline));
    expect(event.event_ids).toHaveLength(1_000);
    expect(event.count).toBe(1_200);
  });

  it('has a delivery whose body it is, with the common fields of its deliveries', async () => {
    const { event, delivery } = await digestOf([
      of('outbid', { webhook: 'client' }),
      of('outbid', { webhook: 'client', attempt: 3, timestamp: 1_800_000_007 }),
    ]);
    expect(JSON.parse(delivery.rawBody.toString())).toEqual(event);
    expect(delivery).toMatchObject({ provider: 'vast-webhook', attempt: 1, webhook: 'client' });
    expect([delivery.timestamp, event.timestamp]).toEqual([1_800_000_007, 1_800_000_007]);

    const mixed = await digestOf([
      of('low_disk_space', { webhook: 'client' }),
      of('low_disk_space', { webhook: 'host' }),
    ]);
    expect(mixed.delivery.webhook).toBeUndefined();
    expect(mixed.event.types).toEqual([
      { provider: 'vast', webhook: 'client', type: 'low_disk_space', count: 1 },
      { provider: 'vast', webhook: 'host', type: 'low_disk_space', count: 1 },
    ]);
  });

  it('of several accounts has no account', async () => {
    expect((await digestOf([of('outbid'), anEvent({ user_id: 7 })])).event.user_id).toBe(0);
  });

  it('is also made of events without type or texts', async () => {
    const bare = () => anEvent({ notif_type: undefined, subject: undefined, message: 7, user_id: 'x' });
    const { event } = await digestOf([bare(), bare()]);
    expect(event.subject).toBe('2 notifications: 2 × without a type');
    expect(event.message).toBe('2 × Notification');
  });

  it('is matched by when like its events, because a queue may be in between', async () => {
    const { event, delivery } = await digestOf([
      of('outbid'),
      of('low_disk_space', { webhook: 'host' }),
      anEvent({ notif_type: undefined }),
    ]);
    const accepts = (types: string) => when(types, recorder().sink).accepts?.(event as never, delivery);
    for (const types of ['outbid', 'out*', 'client:outbid', 'host:low_disk_space', 'host:*', '*', 'digest']) {
      expect([types, accepts(types)]).toEqual([types, true]);
    }
    for (const types of ['low_credit', 'client:low_disk_space', 'instance_*', 'host:machine_*']) {
      expect([types, accepts(types)]).toEqual([types, false]);
    }
  });
});

/** Some texts that senders may send. */
const texts = [
  '<!channel> @everyone <users/all>',
  '*bold* _it_ `code` [x](https://evil.example)',
  'a\nb\u0000c',
  ...['x'.repeat(10_000), '\ud800 half', '👩‍👩‍👧‍👦'.repeat(500)],
];

describe('a digest passes through', () => {
  async function using<Message>(standIn: Promise<ChatStandIn<Message>>): Promise<ChatStandIn<Message>> {
    const chat = await standIn;
    onTestFinished(() => chat.close());
    return chat;
  }
  const hostile = () => texts.map((subject) => anEvent({ subject, notif_type: subject }));

  it.each([
    ['slack', slackStandIn, slack, /<!|<users/],
    ['slackWorkflow', slackWorkflowStandIn, slackWorkflow, /<!|<users/],
    ['googleChat', googleChatStandIn, googleChat, /<!|<users/],
    ['discord', discordStandIn, discord, /<!|@everyone/],
    ['teams', teamsStandIn, teams, /<!|@everyone/],
  ] as const)('%s, whose mentions and limits hold in it, too', async (_name, standIn, sinkOf, mention) => {
    const chat = await using<object>(standIn());
    await deliverDigest(sinkOf(chat.url), hostile());
    await deliverDigest(sinkOf(chat.url), times(500, offline));
    expect([chat.messages.length, chat.refusal]).toEqual([2, undefined]);
    const [mean, plain] = chat.messages.map((message) => JSON.stringify(message));
    expect(mean).not.toMatch(mention);
    expect(mean).toContain('6 notifications');
    expect(plain).toContain('500 notifications: 500 × instance_offline');
    expect(plain).toContain('and 480 more');
    expect(plain).toMatch(/type=digest event_id=digest:[0-9a-f]{64}/);
  });

  it('pagerDuty, as one alert of its severity', async () => {
    const chat = await using(pagerDutyStandIn());
    await deliverDigest(pagerDuty(chat.token, { url: chat.url }), [...times(3, offline), of('billing_failed')]);
    expect(chat.messages).toMatchObject([
      {
        event_action: 'trigger',
        dedup_key: expect.stringMatching(/^digest:/),
        payload: { severity: 'critical', class: 'digest', source: 'cloud.vast.ai' },
      },
    ]);
  });

  it('http, signed, with the whole of it as the body', async () => {
    const chat = await using(endpointStandIn());
    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    await deliverDigest(http(chat.url, { secret }), times(3, offline));
    const [{ headers, body } = await chat.nextRequest()] = chat.requests;
    const event = new Webhook(secret).verify(body, headers as Record<string, string>);
    expect(event).toMatchObject({ notif_type: 'digest', count: 3, event_id: headers['webhook-id'] });
  });

  it('cloudEvents, in a valid envelope', async () => {
    const chat = await using(endpointStandIn('application/cloudevents+json'));
    await deliverDigest(cloudEvents(chat.url), times(3, offline));
    expect(chat.messages).toMatchObject([
      {
        specversion: '1.0',
        type: 'vast-webhook.digest',
        source: '/vast-webhook',
        id: expect.stringMatching(/^digest:/),
        time: '2027-01-15T08:00:00.000Z',
        data: { count: 3 },
      },
    ]);
  });

  it('log, as one line', async () => {
    const lines: string[] = [];
    await deliverDigest(log({ write: (line) => lines.push(line) }), hostile());
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ provider: 'vast-webhook', type: 'digest', event: { count: 6 } });
  });

  it('bullmq, whose worker delivers it, filtered like its events; the same digest makes the same job', async () => {
    const jobs: { data: never; options: { jobId: string } }[] = [];
    const queue = {
      name: 'vast',
      async add(_name: string, data: never, options: object) {
        jobs.push({ data: JSON.parse(JSON.stringify(data)) as never, options: options as { jobId: string } });
      },
    };
    const events = times(3, offline);
    await deliverDigest(bullmq(queue), events);
    await deliverDigest(bullmq(queue), [...events].reverse());
    expect(jobs[0]?.options.jobId).toBe(jobs[1]?.options.jobId);

    const { sink, subjects } = recorder();
    const other = recorder();
    const forward = createForwarder({
      sinks: [when('instance_*', sink), when('outbid', { ...other.sink, name: 'other' })],
      onOutcome() {},
    });
    await forward(jobs[0]?.data as never);
    expect(subjects()).toEqual(['3 notifications: 3 × instance_offline']);
    expect(other.calls).toHaveLength(0);
  });

  it.each(sqliteHandles())('an outbox on $client, which delivers it', async ({ open }) => {
    const db = open(temporaryFile('outbox.sqlite'));
    const { sink, calls, subjects } = recorder();
    const outbox = sqliteOutbox(db, { sinks: [when('client:*', sink), when('host:*', { ...sink, name: 'host' })] });
    await deliverDigest(outbox, times(3, offline));
    while (calls.length === 0) await sleep(5);
    await outbox.close();
    db.close();
    expect(subjects()).toEqual(['3 notifications: 3 × instance_offline']);
  });
});
