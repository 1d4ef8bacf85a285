import { describe, it } from 'vitest';
import type { Sink } from '../../src/index.js';
import {
  cloudEvents,
  discord,
  googleChat,
  http,
  ntfy,
  pagerDuty,
  pushover,
  slack,
  slackWorkflow,
  teams,
  telegram,
} from '../../src/sinks/index.js';
import { chatSink, cut, withoutMarkup } from '../../src/sinks/kit.js';
import {
  type ConformingSinkOptions,
  type SinkRequest,
  type SinkStandIn,
  sinkConformance,
} from '../../src/testing/index.js';
import { inFakeTime } from '../support/in-fake-time.js';
import { pushoverToken, pushoverUser, telegramToken } from '../support/service-stand-in.js';

type Make = (options: ConformingSinkOptions) => Sink<object>;

const token = 'secret4711TokenOfTheUrl';
const bytesOf = (text: string) => Buffer.byteLength(text);
const isText = (value: unknown, max: number) =>
  typeof value === 'string' && value.trim() !== '' && value.length <= max && value.isWellFormed();

/** A judge of the message in a request. */
const judging =
  <Message extends object>(judge: (message: Message, body: string) => boolean) =>
  ({ method, body }: SinkRequest) => {
    if (method !== 'POST') return `it is a ${method}`;
    return judge(JSON.parse(body), body) ? undefined : `it has a part over its limit: ${body.slice(0, 200)}`;
  };

const ok = { status: 200, body: '{"ok":true}' };
const sinks: Readonly<Record<string, readonly [Make, SinkStandIn]>> = {
  slack: [
    (options) => slack(`https://hooks.slack.com/services/T0/B0/${token}`, options),
    {
      success: { status: 200, body: 'ok' },
      judge: judging(
        ({ text, blocks = [] }: { text?: string; blocks?: unknown[] }) => isText(text, 40_000) && blocks.length <= 50,
      ),
    },
  ],
  slackWorkflow: [
    (options) => slackWorkflow(`https://hooks.slack.com/triggers/T0/1/${token}`, options),
    { success: ok, judge: judging((message) => Object.values(message).every((text) => isText(text, 3_000))) },
  ],
  googleChat: [
    (options) => googleChat(`https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=${token}`, options),
    {
      success: ok,
      judge: judging(({ text }: { text?: string }, body) => isText(text, 32_000) && bytesOf(body) <= 32_000),
    },
  ],
  discord: [
    (options) => discord(`https://discord.com/api/webhooks/1/${token}`, options),
    {
      success: { status: 200, body: '{"id":"1"}' },
      judge: judging(
        ({ embeds: [embed] = [{}] }: { embeds?: Record<string, string>[] }) =>
          isText(embed?.title, 256) &&
          (embed?.description ?? '').length <= 4_096 &&
          !Number.isNaN(Date.parse(String(embed?.timestamp))),
      ),
    },
  ],
  teams: [
    (options) => teams(`https://x.api.powerplatform.com/workflows/1?sig=${token}`, options),
    { success: { status: 202 }, judge: judging((_: object, body) => bytesOf(body) <= 28_000) },
  ],
  telegram: [
    (options) => telegram({ token: telegramToken, chatId: 1, ...options }),
    {
      success: ok,
      judge: judging(
        ({ text, chat_id: chat }: { text?: string; chat_id?: number }) => isText(text, 4_096) && chat === 1,
      ),
    },
  ],
  ntfy: [
    (options) => ntfy('https://ntfy.sh/secret4711Topic', { token: 'tk_secret4711Token', ...options }),
    {
      success: { status: 200, body: '{"id":"1"}' },
      judge: judging(
        ({ message = '', title = '' }: { message?: string; title?: string }, body) =>
          isText(title, 250) && bytesOf(message) <= 4_096 && bytesOf(body) <= 8_192,
      ),
      secrets: ['secret4711Topic'],
    },
  ],
  pushover: [
    (options) => pushover({ token: pushoverToken, user: pushoverUser, ...options }),
    {
      success: { status: 200, body: '{"status":1}' },
      judge({ body }) {
        const { message, title, url } = Object.fromEntries(new URLSearchParams(body));
        return isText(message, 1_024) && isText(title, 250) && isText(url, 512) ? undefined : body.slice(0, 200);
      },
      secrets: [pushoverToken, pushoverUser],
    },
  ],
  pagerDuty: [
    (options) => pagerDuty('e93facc04764012d7bfb002500d5d1a6', options),
    {
      success: { status: 202, body: '{"status":"success"}' },
      judge: judging(
        ({ dedup_key: key, payload }: { dedup_key?: string; payload?: { summary: string } }) =>
          isText(key, 255) && (payload === undefined || isText(payload.summary, 1_024)),
      ),
      secrets: ['e93facc04764012d7bfb002500d5d1a6'],
    },
  ],
  http: [
    (options) =>
      http(`https://mine.example/${token}`, {
        secret: `whsec_${Buffer.alloc(32, token).toString('base64')}`,
        ...options,
      }),
    { success: { status: 204 } },
  ],
  cloudEvents: [
    (options) => cloudEvents(`https://broker.example/${token}`, options),
    {
      success: { status: 202 },
      judge: judging(
        ({ specversion, id }: { specversion?: string; id?: string }) => specversion === '1.0' && isText(id, 300),
      ),
    },
  ],
  'a sink of the kit': [
    (options) =>
      chatSink({
        name: 'mine',
        url: `https://mine.example/${token}`,
        message: ({ title, text, when }) => ({ text: withoutMarkup(cut(`${title}\n${text}\n${when}`, 500)) }),
        ...options,
      }),
    { success: ok, judge: judging(({ text }: { text?: string }) => isText(text, 2_000)) },
  ],
};

describe.each(Object.entries(sinks))('%s', (_name, [makeSink, standIn]) => {
  for (const { name, run } of sinkConformance(makeSink as never, standIn)) it(name, () => inFakeTime(run));
});
