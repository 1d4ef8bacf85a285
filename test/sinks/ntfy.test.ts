import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type NtfyOptions, ntfy } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { ntfyStandIn, type ServiceStandIn } from '../support/service-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { clusters, isMadeOf, isWellFormed } from './nasty.js';

const topic = 'vast-SecretTopic_1';
const token = 'tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2';
let service: ServiceStandIn;
beforeEach(async () => {
  service = await ntfyStandIn(topic, token);
});
afterEach(() => service.close());

const sinkWith = (options: NtfyOptions<object> = {}) => ntfy<object>(`${service.url}/${topic}`, { token, ...options });

async function messageFor(event: object, options?: NtfyOptions<object>) {
  await deliverTo(sinkWith(options), event);
  return JSON.parse(service.requests.at(-1)?.body ?? '');
}

describe('ntfy sends', () => {
  it('title, text, priority, tags and a link as JSON to the root of the server', async () => {
    const event = sampleEvent('outbid');
    expect(await messageFor(event)).toEqual({
      topic,
      title: event.subject,
      message: `${event.message}\ntype=outbid event_id=${event.event_id} severity=error`,
      priority: 5,
      tags: ['x', 'outbid'],
      click: 'https://cloud.vast.ai/instances/',
    });
    expect(service.requests[0]).toMatchObject({ path: '/', headers: { authorization: `Bearer ${token}` } });
  });

  it.each([
    ['instance_started', 3, 'information_source'],
    ['instance_stopped', 4, 'warning'],
    ['outbid', 5, 'x'],
    ['machine_offline', 5, 'rotating_light'],
  ] as const)('%s with priority %i', async (type, priority, tag) => {
    expect(await messageFor(sampleEvent(type))).toMatchObject({ priority, tags: [tag, type] });
  });

  it('no tag of a type that is none', async () => {
    expect((await messageFor(eventWith({ notif_type: 'a, b' }))).tags).toEqual(['information_source']);
  });

  it('a text or fields of format, never to another topic', async () => {
    expect(await messageFor(eventWith({}), { format: () => 'mine' })).toEqual({
      topic,
      message: 'mine',
      click: 'https://cloud.vast.ai/instances/',
    });
    const format = () => ({ message: 'm', topic: 'other' });
    expect(await messageFor(eventWith({}), { format })).toEqual({ topic, message: 'm' });
  });

  it('without a token to a topic that is open', async () => {
    const open = await ntfyStandIn(topic);
    await deliverTo(ntfy(`${open.url}/${topic}/`));
    expect(open.requests[0]?.headers.authorization).toBeUndefined();
    await open.close();
  });
});

describe("ntfy's limit of 4,096 bytes", () => {
  it.each([4_095, 4_096, 4_097])('leaves a text of %i bytes', async (bytes) => {
    const rest = Buffer.byteLength((await messageFor(eventWith({ message: 'm' }))).message) - 1;
    const { message } = await messageFor(eventWith({ message: 'm'.repeat(bytes - rest) }));
    expect(message.includes('…')).toBe(bytes > 4_096);
    expect(Buffer.byteLength(message)).toBe(Math.min(bytes, 4_096));
    expect(message).toMatch(/severity=error$/);
  });

  it.each(Object.entries(clusters))('does not cut %s in two', async (_what, cluster) => {
    const rest = Buffer.byteLength((await messageFor(eventWith({ message: 'm' }))).message) - 1;
    for (const before of [0, 1, 2, 3, 5, 25]) {
      const text = 'x'.repeat(4_096 - rest - before) + cluster.repeat(30);
      const { message } = await messageFor(eventWith({ message: text }));
      const kept = message.split('\n')[0].slice(0, -1);
      expect([isMadeOf(cluster, kept), isWellFormed(message), Buffer.byteLength(message) <= 4_096]).toEqual([
        true,
        true,
        true,
      ]);
    }
  });

  it.each(['x', '"', '\u0001', '\\', 'ä', '🚀'])(
    'and of 8,192 for the whole body hold for huge texts of %j',
    async (one) => {
      const huge = one.repeat(60_000);
      const { message } = await messageFor({ subject: huge, message: huge, notif_type: huge, event_id: 'e1' });
      expect(Buffer.byteLength(message)).toBeLessThanOrEqual(4_096);
      expect((await messageFor(eventWith({}), { format: () => huge })).message).toMatch(/…$/);
      for (const { body } of service.requests) expect(Buffer.byteLength(body)).toBeLessThanOrEqual(8_192);
    },
  );
});

describe('ntfy fails', () => {
  it('with its reason, and without topic and token', async () => {
    const failure = await failureOf(deliverTo(sinkWith({ token: 'tk_other' })));
    expect(failure).toMatchObject({ status: 403, permanent: true, message: 'ntfy answered 403 (forbidden)' });
    service.next.push({
      status: 429,
      body: '{"code":42908,"http":429,"error":"limit reached: daily message quota reached"}',
    });
    expect(await failureOf(deliverTo(sinkWith()))).toMatchObject({
      permanent: false,
      message: 'ntfy answered 429 (limit_reached_daily_message_quota_reached)',
    });
    const repeats = `{"error":"no ${topic} for ${token}"}`;
    service.next.push({ status: 404, body: repeats }, { status: 404, body: topic });
    for (const _ of [1, 2]) {
      const repeating = await failureOf(deliverTo(sinkWith()));
      expect(repeating.message).toBe('ntfy answered 404');
      const text = inspect(repeating, { showHidden: true });
      expect([text.includes(topic), text.includes(token)]).toEqual([false, false]);
    }
  });
});

it('ntfy quotes no reason that names a topic of letters only', async () => {
  for (const body of ['secret', '{"error":"topic secret is reserved"}']) {
    const fetch = async () => new Response(body, { status: 403 });
    expect((await failureOf(deliverTo(ntfy('https://ntfy.example/secret', { fetch })))).message).toBe(
      'ntfy answered 403',
    );
  }
});

it.each([
  ['https://ntfy.example'],
  ['https://ntfy.example/'],
  ['https://ntfy.example/a.secret'],
  ['https://ntfy.example/secret?x=1'],
  ['https://user:secret@ntfy.example/topic'],
  ['secret'],
  [`https://ntfy.example/${'secret'.repeat(11)}`],
])('ntfy refuses the URL %s at the start, without it', (url) => {
  expect(() => ntfy(url)).toThrow(TypeError);
  expect(() => ntfy(url)).not.toThrow(/secret/);
});

it('ntfy refuses a token with a space or a line break', () => {
  expect(() => sinkWith({ token: 'tk secret' })).toThrow(/option token/);
  expect(() => sinkWith({ token: 'tk\nsecret' })).not.toThrow(/secret/);
});
