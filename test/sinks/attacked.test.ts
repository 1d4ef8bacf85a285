import { describe, expect, it } from 'vitest';
import type { Sink } from '../../src/index.js';
import * as sinks from '../../src/sinks/index.js';
import { chatSink } from '../../src/sinks/kit.js';
import { sampleEvent } from '../../src/testing/index.js';
import { deliveryOf } from '../support/delivery.js';

const telegramToken = '123456:ABC-DEFghIkl-zyx57W2v1u123ew11';

/** Delivers one event, and gives what was sent. */
async function sent(make: (options: { fetch: typeof fetch }) => Sink<never>, fields: object = {}, answer = ok) {
  const bodies: string[] = [];
  const send = async (_url: unknown, init: RequestInit = {}) => {
    bodies.push(String(init.body));
    return answer();
  };
  const event = { ...sampleEvent('outbid'), ...fields };
  const sink = make({ fetch: send as typeof fetch });
  await sink.deliver(event as never, { delivery: deliveryOf(event), signal: new AbortController().signal });
  return bodies.map((body) =>
    body.startsWith('{') ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body)),
  );
}

const ok = () => Response.json({ ok: true, status: 1, result: 'success', event_id: '$1', id: 1 });
const telegram = (options: object) => sinks.telegram({ token: telegramToken, chatId: 5, ...options });
const account = { site: 'https://example.zulipchat.com', email: 'bot@example.org', apiKey: 'abcdefghijabcdefghij' };
const zulip = (options: object) => sinks.zulip({ ...account, channel: 'ops', ...options });
const matrix = { homeserver: 'https://matrix.example', accessToken: 'syt_token', roomId: '!room:matrix.example' };

describe('what a service drops before it reads a text', () => {
  it.each(['\r', '\u2028', '\u202E', '\u030A', '\u0333', '\u033F'])(
    'makes no name or command of %j',
    async (dropped) => {
      const [{ text }] = await sent(telegram, { message: `ask @${dropped}ops, or send /${dropped}stop` });
      const read = text.replace(/\r|[\u2028-\u202E]|\u030A|\u0333|\u033F/g, '');
      expect(read).not.toMatch(/@ops|(?<!\w)\/stop/);
    },
  );

  it.each(['\u0002', '\u0003'])('makes no markup of %j', async (dropped) => {
    const message = `[invoice]${dropped}(http://evil.example) ~${dropped}~x~${dropped}~\n${dropped}- item`;
    const [{ content }] = await sent(zulip, { message });
    const read = content.replaceAll(dropped, '');
    expect(read).not.toMatch(/\]\(|~~|^- /m);
  });
});

describe('a format that returns nothing', () => {
  const url = 'https://chat.example/hooks/1234secret';
  const mail = { async sendMail() {} };
  const makers: Record<string, (options: object) => Sink<never>> = {
    slack: (options) => sinks.slack(url, options),
    slackWorkflow: (options) => sinks.slackWorkflow(url, options),
    googleChat: (options) => sinks.googleChat(url, options),
    discord: (options) => sinks.discord(url, options),
    teams: (options) => sinks.teams(url, options),
    telegram,
    ntfy: (options) => sinks.ntfy('https://push.example/topic', options),
    pushover: (options) => sinks.pushover({ token: 'a'.repeat(30), user: 'u'.repeat(30), ...options }),
    gotify: (options) => sinks.gotify('https://push.example', { token: 'AbCdEf12345', ...options }),
    matrix: (options) => sinks.matrix({ ...matrix, ...options }),
    mattermost: (options) => sinks.mattermost(url, options),
    zulip,
    apprise: (options) => sinks.apprise('https://apprise.example/notify/key', options),
    email: ({ format }: { format?: never }) => sinks.email(mail, { from: 'a@b.example', to: 'c@d.example', format }),
    kit: ({ fetch, format }: { fetch?: never; format?: never }) =>
      chatSink({ name: 'kit', url, fetch, message: format as never }),
  };
  const nothing: Record<string, () => unknown> = {
    undefined: () => undefined,
    null: () => null,
    'an empty text': () => '',
    'a promise': async () => 'x',
    'a number': () => 5,
  };

  it.each(Object.keys(makers).flatMap((name) => Object.keys(nothing).map((what) => [name, what] as const)))(
    'fails for good: %s with %s',
    async (name, what) => {
      const make = (options: object) =>
        (makers[name] as (typeof makers)[string])({ ...options, format: nothing[what] });
      await expect(sent(make)).rejects.toMatchObject({
        permanent: true,
        message: expect.stringContaining('must return'),
      });
    },
  );
});

describe('no error quotes', () => {
  it.each([
    [
      'a sentence with the token',
      () => Response.json({ ok: false, description: `Not Found ${telegramToken}` }, { status: 404 }),
    ],
    [
      'a code that is no code',
      () => Promise.reject(Object.assign(new Error('x'), { cause: { code: `https://x/${telegramToken}` } })),
    ],
  ])('parts of a secret: %s', async (_, answer) => {
    const error = await sent(telegram, {}, answer as typeof ok).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error.message).not.toMatch(/ABC|DEF|ghIkl|zyx/);
  });

  it('a key that is sent as another text', async () => {
    const answer = () => Response.json({ result: 'error', code: account.apiKey }, { status: 401 });
    await expect(sent(zulip, {}, answer)).rejects.not.toThrow(account.apiKey);
  });
});

describe('a format cannot change where a message goes', () => {
  const format = () =>
    ({
      ...{ text: 'x', message: 'x', channel: '#other', device: 'phone', email: 'a@b.example', call: 'yes' },
      ...{ chat_id: 6, message_thread_id: 7, business_connection_id: '8', direct_messages_topic_id: 9 },
      ...{ topic: 'other', user: 'other', token: 'other' },
    }) as never;

  it.each<[string, (options: object) => Sink<never>, object]>([
    ['slack', (options) => sinks.slack('https://hooks.slack.com/services/T/B/x', options), {}],
    ['telegram', telegram, { chat_id: 5 }],
    ['ntfy', (options) => sinks.ntfy('https://push.example/topic', options), { topic: 'topic' }],
    [
      'pushover',
      (options) => sinks.pushover({ token: 'a'.repeat(30), user: 'u'.repeat(30), ...options }),
      { token: 'a'.repeat(30), user: 'u'.repeat(30) },
    ],
  ])('%s', async (name, make, own) => {
    const [body] = await sent((options) => make({ ...options, format }));
    expect(body).toMatchObject(own);
    const others: Record<string, readonly string[]> = {
      slack: ['channel'],
      telegram: ['message_thread_id', 'business_connection_id', 'direct_messages_topic_id'],
      ntfy: ['email', 'call'],
      pushover: ['device'],
    };
    for (const field of others[name] ?? []) expect(body).not.toHaveProperty(field);
  });
});

it.each([
  () => sinks.pagerDuty('key', { url: 'https://hooks.slack.com/services/T/B/x' }),
  () => sinks.matrix({ ...matrix, roomId: '!\uD800' }),
  () => sinks.ntfy('https://ntfy.sh/alerts/json'),
  () => telegram({ url: 'https://bots.example/?a=b' }),
  () => telegram({ url: `https://api.telegram.org/bot${telegramToken}` }),
])('a setting that cannot be right is a TypeError without a secret: %s', (make) => {
  expect(make).toThrow(TypeError);
  expect(make).not.toThrow(telegramToken);
});
