import { Queue, Worker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  createForwarder,
  type Delivery,
  type QueuedDelivery,
  type Sink,
  verifyDelivery,
  when,
} from '../../src/index.js';
import { toQueued } from '../../src/queue/envelope.js';
import {
  bullmq,
  cloudEvents,
  discord,
  googleChat,
  log,
  pagerDuty,
  slack,
  slackWorkflow,
  sqliteOutbox,
  teams,
} from '../../src/sinks/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { type Adapter, adapters, serve } from '../support/adapters.js';
import { describeWithRedis, redisUrl, uniqueName } from '../support/backends.js';
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

const [, express5] = adapters.find(([name]) => name === 'Express 5') as readonly [string, Adapter];

const shodaiFields = { apiVersion: '2026-06-01', createdAt: '2026-06-01T00:00:00.000Z' };
const agreement = { agreementId: 'agr_1', agreementName: 'Lease of flat 7', templateId: 'tpl_1' };

/** Events of other senders, and the texts that people see of each. */
const samples = [
  {
    what: 'shodai: a notification',
    provider: 'shodai',
    event: {
      id: 'evt_1',
      type: 'agreement.notification.triggered',
      ...shodaiFields,
      data: { ...agreement, notification: { subject: 'Please sign', body: 'The lease waits for you.' } },
    },
    subject: 'Please sign',
    link: 'https://docs.shodai.network/',
  },
  {
    what: 'shodai: a transition',
    provider: 'shodai',
    event: {
      id: 'evt_2',
      type: 'agreement.transitioned',
      ...shodaiFields,
      data: { ...agreement, fromState: '', toState: 'draft', inputId: 'in_1' },
    },
    subject: 'Agreement Lease of flat 7: draft',
    link: 'https://docs.shodai.network/',
  },
  {
    what: 'shodai: a type that is not known, with odd data',
    provider: 'shodai',
    event: { id: 'evt_3', type: 'agreement.archived', ...shodaiFields, data: null },
    subject: 'agreement.archived',
    link: 'https://docs.shodai.network/',
  },
  {
    what: 'v0: a hook',
    provider: 'v0',
    event: { type: 'message.finished', chatId: 'chat_1' },
    subject: 'v0: message.finished (unsigned)',
    link: 'https://v0.app/',
  },
  {
    what: 'v0: nothing that is known',
    provider: 'v0',
    event: { anything: [1] },
    subject: 'v0: a hook was called (unsigned)',
    link: 'https://v0.app/',
  },
] as const;

const keys = { shodai: `whsec_${'5e'.repeat(32)}`, v0: 'a-token-of-the-tests' };

/** Delivers an event through the provider's middleware to a sink, and returns its delivery. */
async function deliver({ provider, event }: Pick<(typeof samples)[number], 'provider' | 'event'>, sink: Sink<object>) {
  const deliveries: Delivery[] = [];
  const keep = {
    name: 'keep',
    deliver: (_: object, context: { delivery: Delivery }) => void deliveries.push(context.delivery),
  };
  const service = await serve(express5, {
    provider,
    secret: keys[provider],
    options: { sinks: [sink, keep], now: Date.now },
  });
  const { body, headers, search } = signedDelivery(event, keys[provider], { provider });
  const answer = await service.send({ target: service.endpoint + search, body, headers: Object.entries(headers) });
  expect([answer.status, answer.body]).toEqual([204, '']);
  return deliveries[0] as Delivery;
}

interface Chat {
  readonly name: string;
  readonly standIn: () => Promise<ChatStandIn<unknown>>;
  readonly sink: (chat: ChatStandIn<unknown>) => Sink<object>;
}

const chats: readonly Chat[] = [
  { name: 'slack', standIn: slackStandIn, sink: ({ url }) => slack(url) },
  { name: 'slackWorkflow', standIn: slackWorkflowStandIn, sink: ({ url }) => slackWorkflow(url) },
  { name: 'googleChat', standIn: googleChatStandIn, sink: ({ url }) => googleChat(url) },
  { name: 'discord', standIn: discordStandIn, sink: ({ url }) => discord(url) },
  { name: 'teams', standIn: teamsStandIn, sink: ({ url }) => teams(url) },
  { name: 'pagerDuty', standIn: pagerDutyStandIn, sink: ({ url, token }) => pagerDuty(token, { url }) },
];

describe.each(chats)('$name', ({ standIn, sink }) => {
  let chat: ChatStandIn<unknown>;
  beforeAll(async () => {
    chat = await standIn();
  });
  afterAll(() => chat.close());

  it.each(samples)('shows $what', async ({ provider, event, subject, link }) => {
    const before = chat.messages.length;
    const { id } = await deliver({ provider, event } as never, sink(chat));
    const text = JSON.stringify(chat.messages[before]);
    for (const part of [subject, link, id]) expect(text).toContain(part);
    expect(text).not.toContain(keys[provider]);
  });
});

describe('cloudEvents and log', () => {
  it.each(samples)('show $what', async ({ provider, event }) => {
    const broker = await endpointStandIn('application/cloudevents+json');
    onTestFinished(() => broker.close());
    const { id } = await deliver({ provider, event } as never, cloudEvents(broker.url));
    const type = 'type' in event ? `${provider}.${event.type}` : provider;
    expect(broker.messages).toMatchObject([{ id, source: `/${provider}`, type, data: event }]);

    const lines: string[] = [];
    await deliver({ provider, event } as never, log({ write: (line) => lines.push(line) }));
    expect(JSON.parse(lines.join())).toMatchObject({ provider, id, event });
  });
});

describe('when(types, sink)', () => {
  it.each([
    ['agreement.*', [0, 1, 2]],
    ['agreement.transitioned', [1]],
    ['message.finished', [3]],
    ['*', [0, 1, 2, 3, 4]],
    ['outbid', []],
  ])('%s knows the types of every provider', (types, taken) => {
    const sink = when<object>(types, function audit() {});
    expect(
      samples.flatMap(({ provider, event }, n) => (sink.accepts?.(event, { provider } as Delivery) ? [n] : [])),
    ).toEqual(taken);
  });
});

describe('a delivery that a queue keeps', () => {
  const collect = () => {
    const seen: { event: object; delivery: Delivery }[] = [];
    return {
      seen,
      audit: (event: object, { delivery }: { delivery: Delivery }) => void seen.push({ event, delivery }),
    };
  };

  it.each(samples)('comes out as it was: $what', async ({ provider, event }) => {
    const queued: string[] = [];
    const delivery = await deliver({ provider, event } as never, {
      name: 'queue',
      deliver: (_, context) => void queued.push(JSON.stringify(toQueued(context.delivery))),
    });
    const { seen, audit } = collect();
    await createForwarder<object>({ sinks: [audit] })(JSON.parse(queued[0] as string));
    expect(seen).toEqual([{ event, delivery }]);
    expect(delivery.verified).toBe(provider !== 'v0');
  });

  it('from before there was `verified`, when all were Vast.ai’s, is verified', async () => {
    const secret = 'a-secret-of-the-tests';
    const { delivery } = verifyDelivery({ ...signedDelivery(sampleEvent('outbid'), secret), secret });
    const { verified, ...old } = toQueued(delivery);
    const { seen, audit } = collect();
    await createForwarder<object>({ sinks: [audit] })(JSON.parse(JSON.stringify(old)));
    expect(seen[0]?.delivery).toEqual(delivery);
  });

  it('of v0 without that mark does not count as verified', async () => {
    const { seen, audit } = collect();
    const queued = { provider: 'v0', id: 'x', attempt: 1, timestamp: 0, receivedAt: 0, rawBody: 'e30=' };
    await createForwarder<object>({ sinks: [audit] })(queued satisfies QueuedDelivery);
    expect(seen[0]?.delivery.verified).toBe(false);
  });

  it.each(samples)('goes through an outbox: $what', async ({ provider, event }) => {
    let receive = (_: unknown) => {};
    const received = new Promise((resolve) => {
      receive = resolve;
    });
    const db = sqliteHandles()[0].open(temporaryFile('outbox.sqlite'));
    const outbox = sqliteOutbox<object>(db, {
      sinks: [
        function audit(given, { delivery }) {
          receive({ event: given, delivery });
        },
      ],
    });
    onTestFinished(() => outbox.close(0));
    const delivery = await deliver({ provider, event } as never, outbox);
    expect(await received).toEqual({ event, delivery });
  });
});

describeWithRedis('bullmq', () => {
  it.each(samples)('takes to a worker: $what', async ({ provider, event }) => {
    const connection = { url: redisUrl() };
    const queue = new Queue(uniqueName(), { connection });
    let receive = (_: unknown) => {};
    const received = new Promise((resolve) => {
      receive = resolve;
    });
    const forward = createForwarder<object>({
      sinks: [
        function audit(given, { delivery }) {
          receive({ event: given, delivery });
        },
      ],
    });
    const worker = new Worker(queue.name, (job) => forward(job.data), { connection });
    onTestFinished(async () => {
      await worker.close();
      await queue.obliterate({ force: true });
      await queue.close();
    });
    const delivery = await deliver({ provider, event } as never, bullmq(queue));
    expect(await received).toEqual({ event, delivery });
  });
});
