import type { Sink } from '../forward/sink.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';
import { cut, withoutMarkup } from './text.js';

/** A message for a Slack incoming webhook. */
export interface SlackMessage {
  /** Text in Slack's mrkdwn, 40,000 characters at most; beside `blocks`, what notifications show. */
  readonly text: string;
  /** Up to 50 blocks of Block Kit. */
  readonly blocks?: readonly object[];
}

/** What `slack` takes beside the URL. */
export type SlackOptions<Event> = ChatOptions<Event, SlackMessage>;

/**
 * Tells a Slack incoming webhook. Nothing in an event can ping a channel or make markup.
 * Throws a `TypeError` for a URL or an option that nobody can have meant.
 */
export function slack<Event extends object>(webhookUrl: string, options: SlackOptions<Event> = {}): Sink<Event> {
  return chatSink(chat, webhookUrl, options);
}

// docs.slack.dev, Block Kit and incoming webhooks. The limits are taken to count the text as it is sent.
const maxHeader = 150;
const maxSection = 3_000;
const maxText = 40_000;

const chat: Chat<SlackMessage> = {
  service: 'Slack',
  name: 'slack',
  safe: (text) => entitiesOf(withoutMarkup(text)),
  messageOf({ subject, message, url, details }: ChatParts) {
    // Shown where blocks are not, as in notifications.
    const text = [subject, message, url, details].filter(Boolean).join('\n');
    return {
      text: safeUpTo(maxText, withoutMarkup(text)),
      blocks: [
        { type: 'header', text: plainText(maxHeader, subject) },
        ...(message ? [{ type: 'section', text: plainText(maxSection, message) }] : []),
        { type: 'section', text: { type: 'mrkdwn', text: `<${entitiesOf(url)}|Open the console>`, verbatim: true } },
        { type: 'context', elements: [plainText(maxSection, details)] },
      ],
    };
  },
  ofText: (text) => ({ text: cut(text, maxText) }),
};

/** Not `mrkdwn`, in which the sender's asterisks and underscores would be markup. */
function plainText(max: number, text: string): object {
  return { type: 'plain_text', text: safeUpTo(max, text), emoji: false };
}

function safeUpTo(max: number, text: string): string {
  return entitiesOf(cut(text, max, (part) => entitiesOf(part).length));
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** The three characters that Slack reads as control characters: in mentions (`<!channel>`) and links. */
function entitiesOf(text: string): string {
  return text.replace(/[&<>]/g, (character) => entities[character] as string);
}
