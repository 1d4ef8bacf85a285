import { Buffer } from 'node:buffer';
import type { Sink } from '../../contracts/sink.js';
import { anything } from '../../util/check-options.js';
import { checkSecret, formOf } from '../post.js';
import { bytesOf, cut, withoutIndents, withoutMentions, withoutShortcodes } from '../text.js';
import { baseOf } from './base-address.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for Zulip. */
export interface ZulipMessage {
  /** Text in Zulip's Markdown, 10,000 bytes at most. */
  readonly content: string;
  /** In a channel: the topic, 60 characters at most. Default: the option `topic`. */
  readonly topic?: string;
}

/** Where to. Names of channels are exact. */
export type ZulipRecipient =
  | {
      /** Name or id of the channel (formerly called stream). */
      readonly channel: string | number;
      /** The topic, 60 characters at most. Default: the event's subject. */
      readonly topic?: string;
      /** Not with a channel. */
      readonly to?: undefined;
    }
  | {
      /** For a direct message: e-mail addresses, or ids, of users. */
      readonly to: readonly string[] | readonly number[];
      /** Not in a direct message. */
      readonly channel?: undefined;
      /** Not in a direct message. */
      readonly topic?: undefined;
    };

/** Options of `zulip`. */
export type ZulipOptions<Event> = ChatOptions<Event, ZulipMessage> & {
  /** The organization's address, such as `https://example.zulipchat.com`. */
  readonly site: string;
  /** The bot's e-mail address. */
  readonly email: string;
  /** The bot's API key. */
  readonly apiKey: string;
} & ZulipRecipient;

/**
 * Delivers to Zulip as a bot: to a channel, or as a direct message. The text is a quotation, in which Zulip shows no
 * previews and pings nobody. No text in an event can make markup or a poll.
 * Throws a `TypeError` for an invalid address, key, recipient or option.
 */
export function zulip<Event extends object>(options: ZulipOptions<Event>): Sink<Event> {
  const { site, email, apiKey, ...rest } = Object(options) as Partial<ZulipOptions<Event>>;
  const key = checkSecret(service, 'apiKey', apiKey);
  const bot = checkSecret(service, 'email', email, /^[!-9;-~]+@[!-9;-~]+$/);
  const address = baseOf(service, site, 'api/v1/messages', 'site must be the address of the organization alone');
  return chatSink(
    chatFor(key, `Basic ${Buffer.from(`${bot}:${key}`).toString('base64')}`, recipientOf(rest)),
    address,
    options,
  );
}

const service = 'Zulip';

interface Recipient {
  readonly fields: Readonly<Record<string, string>>;
  /** Undefined for a direct message. */
  topicFor?(topic: string | undefined, subject: string): string;
}

function recipientOf({ channel, topic, to }: { channel?: unknown; topic?: unknown; to?: unknown }): Recipient {
  const isChannel = (typeof channel === 'string' && channel.trim() !== '') || Number.isSafeInteger(channel);
  if (isChannel && to === undefined && (topic === undefined || (typeof topic === 'string' && topic.trim() !== ''))) {
    return {
      // `stream` is the only word that all versions know. JSON, because a bare `12` would be an id.
      fields: { type: 'stream', to: JSON.stringify(channel) },
      topicFor: (given, subject) => topicOf(given ?? (topic as string | undefined) ?? subject),
    };
  }
  const isUser = (user: unknown) => Number.isSafeInteger(user) || (typeof user === 'string' && user.includes('@'));
  if (channel === undefined && topic === undefined && Array.isArray(to) && to.length > 0 && to.every(isUser)) {
    return { fields: { type: 'direct', to: JSON.stringify(to) } };
  }
  throw new TypeError(
    'Zulip: give either a channel, possibly with a topic, or to: the e-mail addresses or ids of users for a direct message',
  );
}

// Source: zulip.com/api, Send a message, which says 10,000 bytes on one page and characters on another; the latter are
// never more. A longer text or topic is cut by Zulip. Zulip refuses control characters in a topic.
const maxBytes = 10_000;
const maxTopic = 60;
const maxSubject = 500;

function topicOf(text: string): string {
  const clean = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ').trim();
  // A topic that begins with a tick counts as resolved.
  return cut(clean.replace(/^(?:✔\s*)+/, '') || 'Notification', maxTopic);
}

const chatFor = (apiKey: string, authorization: string, { fields, topicFor }: Recipient): Chat<ZulipMessage> => ({
  service,
  name: 'zulip',
  escape: escaped,
  messageOf({ subject, happened, message, url, details }: ChatParts) {
    const head = `**${escaped(cut(subject, maxSubject))}**`;
    const tail = `${url}\n${escaped(details)}`;
    const textWith = (body: string) => quoted([head, happened, escaped(body), tail].filter(Boolean).join('\n'));
    // Only the message is cut, so that the link and the id always arrive.
    return { content: textWith(cut(message, maxBytes, (body) => bytesOf(textWith(body)))) };
  },
  ofText: (text) => ({ content: cut(text, maxBytes, bytesOf) }),
  request(message, { parts }) {
    const { content, topic } = message;
    const { body, headers } = formOf({
      ...fields,
      ...(topicFor && { topic: topicFor(topic, parts.subject) }),
      // Zulip refuses a text with a NUL character.
      content: String(content).replaceAll('\0', ''),
    });
    return { body, headers: { ...headers, Authorization: authorization } };
  },
  answers: {
    reasonIn: ({ code }) => code,
    isRefusal: ({ result }) => result === 'error',
    retryAfterSecondsIn: (answer) => answer['retry-after'],
    secrets: [apiKey],
  },
  checks: { site: anything, email: anything, apiKey: anything, channel: anything, topic: anything, to: anything },
});

/** No text can end the quotation, because `escaped` leaves no backtick. */
function quoted(text: string): string {
  return `\`\`\`quote\n${text}\n\`\`\``;
}

/**
 * Zulip knows no backslashes, but it shows an entity as its character, and reads that no further. Zero-width spaces
 * break the rest: strikethrough, formulas, times, links, tables and, at the start of a line, lists, headings,
 * quotations and commands. Source: zulip/zulip, zerver/lib/markdown.
 */
function escaped(text: string): string {
  // Python-Markdown drops U+0002 and U+0003, and joins what they separate.
  const plain = text
    .replaceAll('\u0002', '')
    .replaceAll('\u0003', '')
    .replace(/&(?=#?\w+;)/g, '&amp;');
  const inLine = withoutShortcodes(withoutMentions(plain))
    .replaceAll('*', '&#42;')
    .replaceAll('`', '&#96;')
    .replace(/~(?=~)|\$(?=\$)|<(?=time:)|\](?=\()|\|/g, '$&\u200B');
  return withoutIndents(inLine.replace(/^([ \t]*)(?=[->#+_/:]|\d+[.)])/gm, '$1\u200B'));
}
