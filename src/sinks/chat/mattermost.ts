import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { cut, withoutIndents, withoutMarkdown, withoutMentions, withoutShortcodes, withoutTags } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for an incoming webhook of Mattermost or Rocket.Chat, without a channel. */
export interface MattermostMessage {
  /** Text in Markdown, 16,383 characters at most. */
  readonly text?: string;
  /** Message attachments. */
  readonly attachments?: readonly object[];
  readonly [field: string]: unknown;
}

/** Options of `mattermost`. */
export type MattermostOptions<Event> = ChatOptions<Event, MattermostMessage>;

/**
 * Delivers to an incoming webhook of Mattermost or Rocket.Chat, as an attachment with the colour of the severity: an
 * attachment has no link previews. No text in an event can ping anybody or make markup. Rocket.Chat may show some
 * backslashes. A webhook that is switched off (501) is a permanent failure, and so is Rocket.Chat's `success: false`.
 * Throws a `TypeError` for an invalid URL or option, and for an address without `/hooks/`.
 */
export function mattermost<Event extends object>(
  webhookUrl: string,
  options: MattermostOptions<Event> = {},
): Sink<Event> {
  const sink = chatSink(chat, webhookUrl, options);
  if (!/\/hooks\/[^/]/.test(new URL(webhookUrl).pathname)) {
    throw new TypeError('Mattermost: the URL of an incoming webhook has /hooks/ in it, also at Rocket.Chat');
  }
  return sink;
}

// Source: developers.mattermost.com, Incoming webhooks and Message attachments; docs.rocket.chat, Integrations.
// Mattermost splits a longer text into several posts. It has no documented limit for the text of an attachment.
const maxText = 16_383;
const maxTitle = 1_000;

/** Blue, yellow, orange, red. */
const colors: Readonly<Record<Severity, string>> = {
  info: '#3498db',
  warning: '#f1c40f',
  error: '#e67e22',
  critical: '#e74c3c',
};

const chat: Chat<MattermostMessage> = {
  service: 'Mattermost',
  name: 'mattermost',
  escape: escaped,
  messageOf({ subject, happened, message, url, details, severity }: ChatParts) {
    // A title with a link and a fallback are plain text, so they would show backslashes.
    const title = withoutShortcodes(withoutMentions(withoutTags(cut(subject, maxTitle))));
    const textWith = (body: string) => [happened, escaped(body), escaped(details)].filter(Boolean).join('\n');
    const text = textWith(cut(message, maxText, (body) => textWith(body).length));
    return { attachments: [{ fallback: title, color: colors[severity], title, title_link: url, text }] };
  },
  // `parseUrls` switches link previews off at Rocket.Chat. Mattermost does not know it.
  ofText: (text) => ({ text: cut(text, maxText), parseUrls: false }),
  // The webhook has a channel.
  always: { channel: undefined, roomId: undefined },
  // Mattermost answers 501 while incoming webhooks are switched off for all.
  answers: { isPermanent: (status) => (status === 501 ? true : undefined) },
};

function escaped(text: string): string {
  return withoutIndents(withoutShortcodes(withoutMentions(withoutMarkdown(text))));
}
