import { createHash } from 'node:crypto';
import type { Sink } from 'vast-webhook';
import {
  apprise,
  discord,
  email,
  googleChat,
  gotify,
  matrix,
  mattermost,
  ntfy,
  pagerDuty,
  pushover,
  slack,
  teams,
  telegram,
  zulip,
} from 'vast-webhook/sinks';
import type { LoggedDelivery } from './delivery-log.js';

/** A part of a message, as the chat shows it. */
interface MessagePart {
  readonly kind: 'title' | 'text' | 'link' | 'small';
  readonly text: string;
}

/** How the message about a delivery looks in one chat. */
export interface ChatMessage {
  readonly chat: string;
  readonly title: string;
  readonly parts: readonly MessagePart[];
  /** Of the edge, where the chat has one. */
  readonly color: string | undefined;
  /** What is sent. */
  readonly json: string;
}

type Fields = Readonly<Record<string, unknown>>;
type Maker = (fetch: typeof globalThis.fetch) => Sink<object>;

/** Addresses of nobody. Nothing is sent to them, because each sink gets a `fetch` that only looks. */
const example = 'https://chat.example';
const thirty = 'x'.repeat(30);

const makers: Readonly<Record<string, readonly [title: string, make: Maker]>> = {
  slack: ['Slack', (fetch) => slack('https://hooks.slack.com/services/T0/B0/x', { fetch })],
  googleChat: [
    'Google Chat',
    (fetch) => googleChat('https://chat.googleapis.com/v1/spaces/x/messages?key=x&token=x', { fetch }),
  ],
  discord: ['Discord', (fetch) => discord('https://discord.com/api/webhooks/1/x', { fetch })],
  teams: ['Teams', (fetch) => teams(example, { fetch })],
  telegram: ['Telegram', (fetch) => telegram({ token: '1:x', chatId: 1, fetch })],
  mattermost: ['Mattermost', (fetch) => mattermost(`${example}/hooks/x`, { fetch })],
  matrix: ['Matrix', (fetch) => matrix({ homeserver: example, accessToken: 'x', roomId: '!x:example', fetch })],
  zulip: ['Zulip', (fetch) => zulip({ site: example, email: 'x@chat.example', apiKey: 'x', channel: 'x', fetch })],
  ntfy: ['ntfy', (fetch) => ntfy(`${example}/x`, { fetch })],
  pushover: ['Pushover', (fetch) => pushover({ token: thirty, user: thirty, fetch })],
  gotify: ['Gotify', (fetch) => gotify(example, { token: 'x', fetch })],
  email: ['E-mail', mailLooker],
  pagerDuty: ['PagerDuty', (fetch) => pagerDuty('x', { fetch })],
  apprise: ['Apprise', (fetch) => apprise(`${example}/notify/x`, { fetch })],
};

/** Fields that say where a message goes: here they are made up. */
const addressFields = ['routing_key', 'token', 'user', 'chat_id', 'topic', 'to', 'channel'];

export const chatTitles: readonly (readonly [chat: string, title: string])[] = Object.entries(makers).map(
  ([chat, [title]]) => [chat, title],
);

/** The messages that the sinks would send about a delivery. Empty for one that is no event. */
export async function chatMessages(delivery: LoggedDelivery): Promise<ChatMessage[]> {
  const event = eventIn(delivery);
  if (event === undefined) return [];
  const looks = Object.keys(makers).map((chat) => look(chat, event, delivery));
  return (await Promise.all(looks)).filter((message) => message !== undefined);
}

function eventIn({ body, isBase64, isCut }: LoggedDelivery): object | undefined {
  if (isBase64 || isCut) return undefined;
  try {
    const event: unknown = JSON.parse(body.replace(/^\ufeff/, ''));
    return typeof event === 'object' && event !== null && !Array.isArray(event) ? event : undefined;
  } catch {
    return undefined;
  }
}

async function look(chat: string, event: object, logged: LoggedDelivery): Promise<ChatMessage | undefined> {
  const [title, make] = makers[chat] as (typeof makers)[string];
  let sent: Fields | undefined;
  const fetch = async (_url: unknown, init?: RequestInit) => {
    sent = fieldsIn(String(init?.body));
    return new Response('{"ok":true,"id":"1","status":1,"result":"success"}', { status: 200 });
  };
  const rawBody = Buffer.from(logged.body);
  const delivery = {
    provider: 'vast',
    source: 'webhook' as const,
    verified: logged.id !== undefined,
    id: logged.id ?? `sha256:${createHash('sha256').update(rawBody).digest('hex')}`,
    attempt: logged.attempt ?? 1,
    timestamp: Math.floor(logged.at / 1000),
    receivedAt: logged.at,
    rawBody,
  };
  try {
    await make(fetch as typeof globalThis.fetch).deliver(event, { delivery, signal: new AbortController().signal });
  } catch {
    // Also an answer that is none of the service's: the message is here by then.
  }
  if (sent === undefined) return undefined;
  const shown = Object.fromEntries(Object.entries(sent).filter(([name]) => !addressFields.includes(name)));
  return { chat, title, ...partsOf(chat, sent), json: JSON.stringify(shown, undefined, 2) };
}

function mailLooker(fetch: typeof globalThis.fetch): Sink<object> {
  const sendMail = ({ subject, text }: { subject: string; text: string }) =>
    fetch(example, { body: JSON.stringify({ subject, text }) });
  return email({ sendMail }, { from: 'vast-webhook@chat.example', to: 'x@chat.example' });
}

function fieldsIn(body: string): Fields {
  try {
    return Object(JSON.parse(body));
  } catch {
    return Object.fromEntries(new URLSearchParams(body));
  }
}

function partsOf(chat: string, sent: Fields): Pick<ChatMessage, 'parts' | 'color'> {
  const found = chat === 'slack' ? slackParts(sent) : chat === 'teams' ? teamsParts(sent) : plainParts(chat, sent);
  return {
    color: found.color,
    // What breaks mentions and markup shows nothing in a chat.
    parts: found.parts
      .map(({ kind, text }) => ({ kind, text: text.replace(/[\u200b-\u200d\u2060\ufeff]/g, '').trim() }))
      .filter(({ text }) => text !== ''),
  };
}

interface Found {
  readonly parts: readonly MessagePart[];
  readonly color?: string;
}

const entities: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>' };

function slackParts({ blocks }: Fields): Found {
  const kinds = { header: 'title', context: 'small' } as const;
  const parts = listOf(blocks).flatMap(({ type, text, elements }): MessagePart[] => {
    const kind = kinds[type as keyof typeof kinds] ?? 'text';
    return [text, ...listOf(elements)].filter(Boolean).map((each) => {
      const { type: format, text: written } = Object(each) as Fields;
      const plain = textOf(written).replace(/&(amp|lt|gt);/g, (entity) => entities[entity] as string);
      const link = format === 'mrkdwn' ? /^<(.*)\|(.*)>$/.exec(plain) : null;
      return link ? { kind: 'link', text: link[1] as string } : { kind, text: plain };
    });
  });
  return { parts };
}

function teamsParts({ attachments }: Fields): Found {
  const { body, actions } = Object(Object(listOf(attachments)[0]).content) as Fields;
  const texts = listOf(body).flatMap(({ inlines }) =>
    listOf(inlines).map(({ text, weight, isSubtle }): MessagePart => {
      const kind = weight === 'Bolder' ? 'title' : isSubtle === true ? 'small' : 'text';
      return { kind, text: textOf(text) };
    }),
  );
  return {
    parts: [...texts, ...listOf(actions).map(({ url }): MessagePart => ({ kind: 'link', text: textOf(url) }))],
  };
}

/** Backslashes break Markdown in these, and are not shown. */
const markdown = ['discord', 'mattermost'];

function plainParts(chat: string, sent: Fields): Found {
  const [embed] = [...listOf(sent.embeds), ...listOf(sent.attachments)];
  const fields = embed ?? (Object(sent.payload).summary === undefined ? sent : (sent.payload as Fields));
  const { title, subject, summary, description, message, body, text, content, footer, color } = fields;
  const click = Object(Object(sent.extras)['client::notification']).click;
  const link =
    fields.url ?? fields.title_link ?? fields.click ?? Object(click).url ?? Object(listOf(sent.links)[0]).href;
  const details = Object(fields.custom_details).message;
  const unmarked = (value: unknown) =>
    markdown.includes(chat) ? textOf(value).replace(/\\([!-/:-@[-`{-~])/g, '$1') : textOf(value);
  const quoted = zulipQuote.exec(textOf(content).replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(code)));
  return {
    color: typeof color === 'number' ? `#${color.toString(16).padStart(6, '0')}` : textOf(color) || undefined,
    parts: [
      { kind: 'title', text: unmarked(title ?? subject ?? summary ?? quoted?.[1]) },
      { kind: 'text', text: unmarked(description ?? message ?? body ?? text ?? quoted?.[2] ?? content ?? details) },
      { kind: 'link', text: textOf(link) },
      { kind: 'small', text: textOf(Object(footer).text) },
    ],
  };
}

const zulipQuote = /^`{3,}quote\n\*\*(.*)\*\*\n(.*)\n`{3,}$/s;

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
