import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { cut, withoutMarkdown, withoutTags } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for a Discord webhook: `content`, `embeds`, `username` and so on, without `allowed_mentions`. */
export interface DiscordMessage {
  /** Text in Discord's Markdown, 2,000 characters at most. */
  readonly content?: string;
  /** Up to ten embeds. */
  readonly embeds?: readonly object[];
  readonly [field: string]: unknown;
}

/** Options of `discord`. */
export type DiscordOptions<Event> = ChatOptions<Event, DiscordMessage>;

/**
 * Delivers to a Discord webhook as an embed: title up to 256 characters, description up to 4,096. No text in an event
 * can ping anybody or make markup. A message from `format` cannot ping either, because `allowed_mentions` is always
 * empty. The URL may have `?thread_id=`. Throws a `TypeError` for an invalid URL or option, and
 * for the URL of another service or with `/slack` or `/github` at its end.
 */
export function discord<Event extends object>(webhookUrl: string, options: DiscordOptions<Event> = {}): Sink<Event> {
  return chatSink(chat, withWait(webhookUrl), options);
}

// Source: discord.com/developers, Webhook and Message resources. We count UTF-16 units, which are never fewer than
// Discord counts. Title, description and footer together stay below the limit of 6,000 for an embed.
const maxTitle = 256;
const maxDescription = 4_096;
const maxContent = 2_000;

/** Colour of the embed's edge: blue, yellow, orange, red. */
const colors: Readonly<Record<Severity, number>> = {
  info: 0x3498db,
  warning: 0xf1c40f,
  error: 0xe67e22,
  critical: 0xe74c3c,
};

const chat: Chat<DiscordMessage> = {
  service: 'Discord',
  name: 'discord',
  escape: withoutMarkdown,
  messageOf({ subject, message, url, details, severity, when }: ChatParts) {
    const description = escapedUpTo(maxDescription, message);
    const title = escapedUpTo(maxTitle, subject);
    // A footer is plain text, so it would show backslashes.
    const footer = { text: withoutTags(details) };
    // Discord shows the time in the reader's own zone.
    const embed = { title, url, color: colors[severity], timestamp: when, footer };
    return { embeds: [{ ...embed, ...(description && { description }) }] };
  },
  ofText: (text) => ({ content: cut(text, maxContent) }),
  always: { allowed_mentions: { parse: [] } },
  // With `wait`, Discord answers with the message, which has an id. An error has a code.
  answers: {
    isRefusal: ({ id, code }) => id === undefined && typeof code === 'number' && code !== 0,
    retryAfterSecondsIn: ({ retry_after }) => retry_after,
  },
};

function escapedUpTo(max: number, text: string): string {
  return withoutMarkdown(cut(text, max, (part) => withoutMarkdown(part).length));
}

/** Makes Discord answer after it has stored the message. Without `wait`, it answers before it has checked it. */
function withWait(webhookUrl: string): string {
  if (!URL.canParse(webhookUrl)) return webhookUrl;
  const url = new URL(webhookUrl);
  url.searchParams.set('wait', 'true');
  return url.href;
}
