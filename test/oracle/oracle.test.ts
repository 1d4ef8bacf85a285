import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { during, secret, serving } from '../cli/serving.js';
import {
  type ChatStandIn,
  type GoogleChatStandInMessage,
  googleChatStandIn,
  type SlackStandInMessage,
  type SlackWorkflowStandInMessage,
  slackStandIn,
  slackWorkflowStandIn,
} from '../support/chat-stand-in.js';
import { type Adapter, eventIn, facts, type Request, type Shown, shownOf, statusOf } from './adapters.js';
import { type Case, cases } from './cases.js';
import { differences, otherMessages } from './differences.js';

const page = readFileSync(new URL('../../docs/migrate-from-the-python-adapters.md', import.meta.url), 'utf8');
const runs = Number(process.env.ORACLE_RUNS ?? 400);
const seed = Number(process.env.ORACLE_SEED ?? 15);
/** Each has a `serve` and a chat of its own, so that slow chats hold up the others only. */
const workers = Math.min(16, Math.ceil(runs / 100));
const consoleUrl = 'https://console.example';

interface Chat {
  readonly variable: string;
  readonly flag: string;
  start(): Promise<ChatStandIn<never>>;
  /** Characters within which nothing is cut. */
  readonly room: number;
  /** The same of a subject. */
  readonly subjectRoom: number;
  visible(message: unknown): { readonly text: string; readonly link: string };
}

const chats: Readonly<Record<Adapter, Chat>> = {
  Slack: {
    variable: 'SLACK_WEBHOOK_URL',
    flag: '--slack',
    start: slackStandIn as never,
    room: 30_000,
    subjectRoom: 30_000,
    visible: (message) => {
      const { blocks } = message as SlackStandInMessage;
      const textOf = (type: string) =>
        blocks.flatMap((block) => (block.type === type ? (block.text ?? block.elements?.[0] ?? []) : []));
      const [link, ...sections] = textOf('section').reverse();
      const parts = [...textOf('header'), { text: '\n' }, ...sections.reverse(), { text: '\n' }, ...textOf('context')];
      const entities: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>' };
      const text = parts.map((part) => part.text).join('');
      return { text: text.replace(/&\w+;/g, (entity) => entities[entity] ?? entity), link: link?.text ?? '' };
    },
  },
  'Slack workflow': {
    variable: 'SLACK_WEBHOOK_URL',
    flag: '--slack',
    start: slackWorkflowStandIn as never,
    room: 2_000,
    subjectRoom: 300,
    visible: (message) => {
      const { vast_notification_message: text = '', vast_action_url: link = '' } =
        message as SlackWorkflowStandInMessage;
      return { text, link };
    },
  },
  'Google Chat': {
    variable: 'GOOGLE_CHAT_URL',
    flag: '--google-chat',
    start: googleChatStandIn as never,
    room: 8_000,
    subjectRoom: 1_000,
    visible: (message) => ({ text: (message as GoogleChatStandInMessage).text, link: consoleUrl }),
  },
};

/** What a reader sees of a text, whatever keeps the chat from reading markup. */
const compact = (text: string) => text.normalize('NFC').replace(/[^\p{L}\p{N}]+/gu, '');

function expectToShow(chat: Chat, message: unknown, { texts, link }: Shown): void {
  const seen = chat.visible(message);
  expect(seen.link).toContain(consoleUrl + link);
  const [first = '', ...others] = texts;
  let rest = compact(seen.text);
  if (texts.join('').length > chat.room || first.length > chat.subjectRoom) {
    expect(rest).toContain(compact(first).slice(0, 100));
    return;
  }
  for (const text of [first, ...others].map(compact)) {
    expect(rest).toContain(text);
    rest = rest.slice(rest.indexOf(text) + text.length);
  }
}

let number = 0;

function requestOf({ json, encoding, signature, chat }: Case): Request {
  const text = json.replaceAll('@N@', String(++number + 1_000_000));
  if (encoding === 'with a byte-order mark') return { body: Buffer.from(`\uFEFF${text}`), signature, chat };
  const isObject = encoding === 'not UTF-8' && text.startsWith('{"');
  const body = isObject
    ? Buffer.concat([Buffer.from('{"odd":"'), Buffer.from([0xff]), Buffer.from(`",${text.slice(1)}`)])
    : Buffer.from(text);
  return { body, signature, chat };
}

/** Without what only `serve` can read. */
function readable(body: Buffer): string {
  return body.toString('utf8').replace(/^\uFEFF/, '');
}

function deliveryOf({ body, signature }: Request) {
  const now = Math.floor(Date.now() / 1000);
  const sign = signature === 'with a + before the timestamp' ? '+' : '';
  const timestamp = sign + (signature === 'stale' ? now - 400 : now);
  const key = signature === 'forged' ? 'another' : secret;
  const digest = createHmac('sha256', key).update(`${timestamp}.`).update(body).digest('hex');
  const proof = { 'X-Vast-Timestamp': timestamp, 'X-Vast-Signature-256': `sha256=${digest}` };
  return { body, headers: { 'Content-Type': 'application/json', ...(signature !== 'missing' && proof) } };
}

/** One `serve`, one chat, and what is done with them. */
async function worker(adapter: Adapter, isByFlag: boolean) {
  const { start, variable, flag } = chats[adapter];
  const chat = await during(start());
  const env = { ...(!isByFlag && { [variable]: chat.url }), VAST_CONSOLE: consoleUrl };
  const { url } = await serving(isByFlag ? [flag, chat.url] : [], { env });
  const late: unknown[] = [];
  /** The bodies that came already, because they have no number of their own. */
  const taken = new Set<string>();
  const refusal = JSON.stringify(
    adapter === 'Google Chat' ? { error: { status: 'NOT_FOUND' } } : { ok: false, error: 'no' },
  );
  const conduct = ({ chat: how }: Request) => {
    const answers: Record<string, (res: ServerResponse) => unknown> = {
      redirect: (res) => res.writeHead((how as { status: number }).status, { Location: 'http://127.0.0.1:9/' }).end(),
      reset: (res) => res.destroy(),
      refusal: (res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(refusal),
      slow: (res) => {
        late.push(JSON.parse(chat.requests.at(-1)?.body ?? ''));
        setTimeout(() => res.end('{"ok": true}'), (how as { seconds: number }).seconds * 1_000);
      },
      status: (res) => res.writeHead((how as { status: number }).status).end(),
    };
    return how.is === 'status' && how.status === 200 ? undefined : answers[how.is];
  };
  return async (each: Case) => {
    const request = requestOf(each);
    const before = chat.messages.length;
    late.length = 0;
    const received = () => [...late, ...chat.messages.slice(before)];
    const send = async () => {
      const response = await fetch(new URL(each.path, url), {
        method: 'POST',
        ...deliveryOf(request),
      } as never);
      await response.arrayBuffer();
      return response.status;
    };
    const event = eventIn(readable(request.body));
    // The page promises that the encoding makes no difference.
    const judged = each.encoding === 'utf8' ? request : { ...request, body: Buffer.from(readable(request.body)) };
    const status = statusOf(adapter, judged);
    const { serve } = differences.find(({ when }) => when(judged, status)) as (typeof differences)[number];
    const bytes = request.body.toString('latin1');
    if (serve.isShown && taken.has(bytes)) {
      expect(await send()).toBe(204);
      expect(received()).toEqual([]);
      return;
    }

    chat.misbehave = conduct(request);
    expect(await send()).toBe(serve.status);
    chat.misbehave = undefined;
    if (serve.isTakenLater) {
      let answer = await send();
      // A sink that is at it still.
      for (let left = 600; answer === 503 && left > 0; left--) {
        await sleep(100);
        answer = await send();
      }
      expect(answer).toBe(204);
    }
    if (serve.isShown) taken.add(bytes);
    if (serve.isShown && each.isRepeated) expect(await send()).toBe(204);
    expect(received()).toHaveLength(serve.isShown ? 1 : 0);
    if (serve.isShown) expectToShow(chats[adapter], received()[0], shownOf(adapter, event ?? {}));
  };
}

describe('serve beside the adapters of the guides', () => {
  it('has a table of what they do, and a sentence of the page for each difference', () => {
    expect(facts.length).toBeGreaterThan(10);
    const missing = [...differences.map(({ says }) => says), ...otherMessages].filter((text) => !page.includes(text));
    expect(missing).toEqual([]);
  });

  it.each(Object.keys(chats) as Adapter[])(
    'takes what the adapter for %s takes, once, and shows what it shows, or what the migration page says',
    async (adapter) => {
      const property = async (index: number) => {
        const judge = await worker(adapter, index % 2 === 1);
        const numRuns = Math.ceil(runs / workers);
        await fc.assert(fc.asyncProperty(cases, judge), { numRuns, seed: seed + index, endOnFailure: true });
      };
      await Promise.all(Array.from({ length: workers }, (_, index) => property(index)));
    },
    300_000 + runs * 600,
  );
});
