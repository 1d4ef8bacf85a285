import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TelegramOptions, telegram } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type ServiceStandIn, telegramStandIn, telegramToken as token } from '../support/service-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { clusters, isMadeOf, isWellFormed, nasty, nastyMarkdown } from './nasty.js';

let service: ServiceStandIn;
beforeEach(async () => {
  service = await telegramStandIn({ '-42': -1_001_234_567_890 });
});
afterEach(() => service.close());

const sinkWith = (options: Partial<TelegramOptions<object>> = {}) =>
  telegram<object>({ token, chatId: '-7', url: service.url, ...options });

async function messageFor(event: object, options?: Partial<TelegramOptions<object>>) {
  await deliverTo(sinkWith(options), event);
  return JSON.parse(service.requests.at(-1)?.body ?? '');
}

describe('telegram sends', () => {
  it('subject, message, link, type, id and severity as plain text without previews', async () => {
    const event = sampleEvent('outbid');
    expect(await messageFor(event)).toEqual({
      chat_id: '-7',
      text: `${event.subject}\n\n${event.message}\n\nhttps://cloud.vast.ai/instances/\ntype=outbid event_id=${event.event_id} severity=error`,
      link_preview_options: { is_disabled: true },
    });
  });

  it('to a topic', async () => {
    expect(await messageFor(eventWith({}), { threadId: 5 })).toMatchObject({ chat_id: '-7', message_thread_id: 5 });
  });

  it('nothing that Telegram reads as a mention or a command', async () => {
    for (const text of [...nasty, ...nastyMarkdown, '@name', 'a (@name)', '/stop', 'do /stop@bot now', 'x\n/help']) {
      const { text: sent, parse_mode: mode } = await messageFor(eventWith({ subject: text, message: text }));
      expect(mode).toBeUndefined();
      expect(sent).not.toMatch(/(?<!\w)@\w|(?<![\w/<>])\/\w+(?![\w/<>])/);
      expect(sent.replaceAll('\u200B', '')).toContain(
        text.replace(/\r|[\u2028-\u202E]|\u030A|\u0333|\u033F/g, '').trim(),
      );
    }
  });

  it('addresses and paths as they are', async () => {
    const message = 'see https://cloud.vast.ai/instances/ and /var/log/x and write to a@b.example';
    expect((await messageFor(eventWith({ message }))).text).toContain(message);
  });

  it('a text or fields of format, never to another chat', async () => {
    expect((await messageFor(eventWith({}), { format: () => 'x'.repeat(4_097) })).text).toBe(`${'x'.repeat(4_095)}…`);
    const format = () => ({ text: '<b>x</b>', parse_mode: 'HTML' as const, chat_id: 1 });
    expect(await messageFor(eventWith({}), { format })).toMatchObject({ chat_id: '-7', parse_mode: 'HTML' });
  });
});

describe("telegram's limit of 4,096 characters", () => {
  it.each([
    [4_095, false],
    [4_096, false],
    [4_097, true],
  ])('leaves a text of %i', async (length, isCut) => {
    const rest = (await messageFor(eventWith({ message: 'm' }))).text.length - 1;
    const { text } = await messageFor(eventWith({ message: 'm'.repeat(length - rest) }));
    expect(text).toHaveLength(Math.min(length, 4_096));
    expect(text.includes('…')).toBe(isCut);
    expect(text).toMatch(/severity=error$/);
  });

  it.each(Object.entries(clusters))('does not cut %s in two', async (_what, cluster) => {
    const rest = (await messageFor(eventWith({ message: 'm' }))).text.length - 1;
    for (const before of [0, 1, 2, 3, 5, 12]) {
      const message = 'x'.repeat(4_096 - rest - before) + cluster.repeat(20);
      const { text } = await messageFor(eventWith({ message }));
      const kept = text.split('\n\n')[1].slice(0, -1);
      expect([isMadeOf(cluster, kept), isWellFormed(text), text.length <= 4_096]).toEqual([true, true, true]);
    }
  });

  it('holds for huge texts that are disarmed', async () => {
    const huge = '@a'.repeat(30_000);
    expect((await messageFor({ subject: huge, message: huge, notif_type: huge })).text.length).toBeLessThanOrEqual(
      4_096,
    );
  });
});

describe('a group that has become a supergroup', () => {
  it('gets the message under its new id at once, which is reported once and used from then on', async () => {
    const errors: Error[] = [];
    const sink = sinkWith({ chatId: -42, onError: (error) => errors.push(error) });
    await Promise.all([deliverTo(sink), deliverTo(sink)]);
    await deliverTo(sink);
    const chats = service.requests.map(({ body }) => JSON.parse(body).chat_id);
    expect(chats.filter((id) => id === -42)).toHaveLength(2);
    expect(chats.filter((id) => id === -1_001_234_567_890)).toHaveLength(3);
    expect(errors.map(String)).toEqual([
      'Error: Telegram: the group has become a supergroup: its chat id is now -1001234567890, so change it',
    ]);
  });

  it('is delivered to although onError throws', async () => {
    const onError = () => {
      throw new Error('mine');
    };
    await expect(deliverTo(sinkWith({ chatId: -42, onError }))).resolves.toBeUndefined();
  });

  it('is asked no third time', async () => {
    const moved = { status: 400, body: '{"ok":false,"parameters":{"migrate_to_chat_id":-9}}' };
    service.next.push(moved, moved);
    const failure = await failureOf(deliverTo(sinkWith({ onError() {} })));
    expect(failure).toMatchObject({ status: 400, permanent: true });
    expect(service.requests).toHaveLength(2);
  });
});

describe('telegram fails', () => {
  const answering = async (status: number, body: object) => {
    service.next.push({ status, body: JSON.stringify(body) });
    return failureOf(deliverTo(sinkWith()));
  };

  it.each([
    ['429', 429, { retry_after: 34 }, { status: 429, permanent: false, retryAfterMs: 34_000 }],
    ['400', 400, undefined, { status: 400, permanent: true }],
    ['403', 403, undefined, { status: 403, permanent: true }],
    ['502', 502, undefined, { status: 502, permanent: false }],
  ])('on %s, in its status or only in its body', async (_what, code, parameters, expected) => {
    const body = { ok: false, error_code: code, description: 'Forbidden: bot was kicked', parameters };
    expect(await answering(code, body)).toMatchObject(expected);
    expect(await answering(200, body)).toMatchObject(expected);
  });

  it('with the description, and without the token', async () => {
    const failure = await answering(400, { ok: false, error_code: 400, description: 'Bad Request: chat not found' });
    expect(failure.message).toBe('Telegram answered 400 (Bad_Request_chat_not_found)');
    const repeating = await answering(404, { ok: false, description: `no /bot${token}/ here` });
    expect(repeating.message).toBe('Telegram answered 404');
    expect(inspect(repeating, { showHidden: true })).not.toContain(token.slice(10));
  });
});

it.each([
  ['token', { token: 'secretTokenNoColon' }],
  ['token', { token: '1:with space' }],
  ['token', { token: undefined }],
  ['chatId', { chatId: '' }],
  ['chatId', { chatId: 1.5 }],
  ['chatId', { chatId: 'https://t.me/x' }],
  ['threadId', { threadId: 0 }],
  ['onError', { onError: 'x' }],
  ['URL', { url: 'ftp://secretHost' }],
])('telegram refuses a bad %s at the start, without it', (option, options) => {
  expect(() => sinkWith(options as never)).toThrow(TypeError);
  expect(() => sinkWith(options as never)).toThrow(option);
  expect(() => sinkWith(options as never)).not.toThrow(/secret|with space/);
  expect(() => telegram(undefined as never)).toThrow(TypeError);
});
