import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PushoverOptions, pushover } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import {
  pushoverStandIn,
  type ServiceStandIn,
  pushoverToken as token,
  pushoverUser as user,
} from '../support/service-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { clusters, isMadeOf, isWellFormed } from './nasty.js';

let service: ServiceStandIn;
beforeEach(async () => {
  service = await pushoverStandIn();
});
afterEach(() => service.close());

const sinkWith = (options: Partial<PushoverOptions<object>> = {}) =>
  pushover<object>({ token, user, url: `${service.url}/1/messages.json`, ...options });

async function messageFor(event: object, options?: Partial<PushoverOptions<object>>) {
  await deliverTo(sinkWith(options), event);
  return Object.fromEntries(new URLSearchParams(service.requests.at(-1)?.body)) as Record<string, string>;
}

describe('pushover sends', () => {
  it('title, text, link, time and priority as a form', async () => {
    const event = sampleEvent('outbid');
    expect(await messageFor(event)).toEqual({
      token,
      user,
      title: event.subject,
      message: `${event.message}\ntype=outbid event_id=${event.event_id} severity=error`,
      url: 'https://cloud.vast.ai/instances/',
      timestamp: String(Math.floor(event.timestamp)),
      priority: '1',
    });
  });

  it.each([
    ['instance_started', '0'],
    ['instance_stopped', '0'],
    ['outbid', '1'],
    ['machine_offline', '1'],
  ] as const)('%s with priority %s', async (type, priority) => {
    expect(await messageFor(sampleEvent(type))).toMatchObject({ priority });
  });

  it('critical events, and no others, as an emergency if it is asked to', async () => {
    const emergency = { retry: 60, expire: 3_600 };
    expect(await messageFor(sampleEvent('machine_offline'), { emergency })).toMatchObject({
      priority: '2',
      retry: '60',
      expire: '3600',
    });
    const { priority, retry } = await messageFor(sampleEvent('outbid'), { emergency });
    expect([priority, retry]).toEqual(['1', undefined]);
  });

  it('a text or parameters of format, never to another user', async () => {
    expect(await messageFor(eventWith({}), { format: () => 'x'.repeat(1_025) })).toMatchObject({
      message: `${'x'.repeat(1_023)}…`,
    });
    const format = () => ({ message: 'm', sound: 'siren', user: 'other', title: undefined as never });
    expect(await messageFor(eventWith({}), { format })).toEqual({ token, user, message: 'm', sound: 'siren' });
  });
});

describe("pushover's limits", () => {
  it.each([1_023, 1_024, 1_025])('leave a text of %i characters', async (length) => {
    const rest = ((await messageFor(eventWith({ message: 'm' }))).message?.length ?? 0) - 1;
    const { message = '' } = await messageFor(eventWith({ message: 'm'.repeat(length - rest) }));
    expect(message).toHaveLength(Math.min(length, 1_024));
    expect(message.includes('…')).toBe(length > 1_024);
    expect(message).toMatch(/severity=error$/);
  });

  it.each([249, 250, 251])('leave a title of %i characters', async (length) => {
    const { title } = await messageFor(eventWith({ subject: 's'.repeat(length) }));
    expect(title).toBe(length > 250 ? `${'s'.repeat(249)}…` : 's'.repeat(length));
  });

  it.each(Object.entries(clusters))('do not cut %s in two', async (_what, cluster) => {
    const { message = '', title = '' } = await messageFor(
      eventWith({ message: cluster.repeat(1_000), subject: cluster.repeat(300) }),
    );
    const kept = message.split('\n')[0]?.slice(0, -1) ?? '';
    expect([isMadeOf(cluster, kept), isMadeOf(cluster, title.slice(0, -1)), isWellFormed(message)]).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('hold for huge texts', async () => {
    const huge = '<b>&'.repeat(20_000);
    const event = { subject: huge, message: huge, notif_type: huge, event_id: '<'.repeat(255) };
    expect((await messageFor(event)).message?.length).toBeLessThanOrEqual(1_024);
  });
});

describe('pushover fails', () => {
  const answering = async (status: number, body = '', headers = {}) => {
    service.next.push({ status, body, headers });
    return failureOf(deliverTo(sinkWith()));
  };

  it('for good when a 2xx or a 4xx says that its status is not 1', async () => {
    const body = '{"status":0,"errors":["application token is invalid"]}';
    const message = (status: number) => `Pushover answered ${status} (application_token_is_invalid)`;
    expect(await answering(200, body)).toMatchObject({ permanent: true, message: message(200) });
    expect(await answering(400, body)).toMatchObject({ permanent: true, message: message(400) });
  });

  it("on 429 until the month's quota is there again", async () => {
    const resetAt = Math.floor(Date.now() / 1000) + 864_000;
    const failure = await answering(429, '{"status":0}', { 'X-Limit-App-Reset': String(resetAt) });
    expect(failure).toMatchObject({ status: 429, permanent: false });
    expect(failure.retryAfterMs).toBeGreaterThan(863_000_000);
    expect(failure.retryAfterMs).toBeLessThanOrEqual(864_000_000);
    expect(await answering(429, '')).toMatchObject({ permanent: false, retryAfterMs: undefined });
    expect(await answering(429, '', { 'X-Limit-App-Reset': 'soon' })).toMatchObject({ retryAfterMs: undefined });
  });

  it('on 5xx and without an answer for 5 seconds at least', async () => {
    expect(await answering(503)).toMatchObject({ permanent: false, retryAfterMs: 5_000 });
    expect(await answering(500, '', { 'Retry-After': '60' })).toMatchObject({ retryAfterMs: 60_000 });
    const fetch = () => Promise.reject(new Error('gone'));
    expect(await failureOf(deliverTo(sinkWith({ fetch })))).toMatchObject({ permanent: false, retryAfterMs: 5_000 });
  });

  it('without its secrets', async () => {
    for (const body of [token, `{"status":0,"errors":["no ${token} for ${user}"]}`, `{"errors":["${user}"]}`]) {
      const repeating = await answering(400, body);
      expect(repeating.message).toBe('Pushover answered 400');
      const text = inspect(repeating, { showHidden: true });
      expect([text.includes(token), text.includes(user)]).toEqual([false, false]);
    }
  });
});

it.each([
  ['token', { token: 'secret' }],
  ['user', { user: `${user.slice(1)}!` }],
  ['emergency', { emergency: { retry: 29, expire: 60 } }],
  ['emergency', { emergency: { retry: 30, expire: 10_801 } }],
  ['emergency', { emergency: true }],
])('pushover refuses a bad %s at the start', (option, options) => {
  expect(() => sinkWith(options as never)).toThrow(TypeError);
  expect(() => sinkWith(options as never)).toThrow(option);
  expect(() => sinkWith(options as never)).not.toThrow(/secret/);
});
