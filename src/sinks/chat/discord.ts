import type { Sink } from '../../contracts/sink.js';
import { cut, withoutMarkdown, withoutTags } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for a Discord webhook: `content`, `embeds`, `username` and so on, but for `allowed_mentions`. */
export interface DiscordMessage {
  /** Text in Discord's Markdown, 2,000 characters at most. */
  readonly content?: string;
  /** Up to ten embeds. */
  readonly embeds?: readonly object[];
  readonly [field: string]: unknown;
}

/** What `discord` takes beside the URL. */
export type DiscordOptions<Event> = ChatOptions<Event, DiscordMessage>;

/**
 * Tells a Discord webhook, with an embed: title 256 characters, description 4,096. Nothing in an event can ping
 * anybody or make markup; a message of `format`'s cannot ping either, since `allowed_mentions` is always empty.
 * The URL may hold `?thread_id=`. Throws a `TypeError` for a URL or an option that nobody can have meant.
 */
export function discord<Event extends object>(webhookUrl: string, options: DiscordOptions<Event> = {}): Sink<Event> {
  return chatSink(chat, withWait(webhookUrl), options);
}

// Source: discord.com/developers, Webhook and Message resources. Counted in UTF-16 units: never fewer than Discord
// counts. With the footer, which is far below its 2,048, they stay below the 6,000 of an embed.
const maxTitle = 256;
const maxDescription = 4_096;
const maxContent = 2_000;

const chat: Chat<DiscordMessage> = {
  service: 'Discord',
  name: 'discord',
  escape: withoutMarkdown,
  messageOf({ subject, message, url, details }: ChatParts) {
    const description = safeUpTo(maxDescription, message);
    const title = safeUpTo(maxTitle, subject);
    // A footer is plain text, in which a backslash would be seen.
    return { embeds: [{ title, url, ...(description && { description }), footer: { text: withoutTags(details) } }] };
  },
  ofText: (text) => ({ content: cut(text, maxContent) }),
  always: { allowed_mentions: { parse: [] } },
  // With `wait`, it answers with the message, which has an id. An error has a code.
  answers: {
    isRefusal: ({ id, code }) => id === undefined && typeof code === 'number' && code !== 0,
    retryAfterSecondsIn: ({ retry_after }) => retry_after,
  },
};

function safeUpTo(max: number, text: string): string {
  return withoutMarkdown(cut(text, max, (part) => withoutMarkdown(part).length));
}

/** Has Discord answer when the message is kept, and not before it has looked at it. */
function withWait(webhookUrl: string): string {
  if (!URL.canParse(webhookUrl)) return webhookUrl;
  const url = new URL(webhookUrl);
  url.searchParams.set('wait', 'true');
  return url.href;
}
