import type { Sink } from '../../contracts/sink.js';
import { cut, fitting, withoutMarkup } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for a Slack incoming webhook. */
export interface SlackMessage {
  /** Text in Slack's mrkdwn, 40,000 characters at most; beside `blocks`, what notifications show. */
  readonly text: string;
  /** Up to 50 blocks of Block Kit. */
  readonly blocks?: readonly object[];
}

/** Options of `slack`. */
export type SlackOptions<Event> = ChatOptions<Event, SlackMessage>;

/**
 * Delivers to a Slack incoming webhook. No text in an event can ping a channel or make markup.
 * Throws a `TypeError` for an invalid URL or option, and for the URL of a workflow's trigger
 * or of another service.
 */
export function slack<Event extends object>(webhookUrl: string, options: SlackOptions<Event> = {}): Sink<Event> {
  return chatSink(chat, webhookUrl, options);
}

// Source: docs.slack.dev, Block Kit and incoming webhooks. We assume that the limits count the escaped text.
const maxHeader = 150;
const maxSection = 3_000;
const maxText = 40_000;

const chat: Chat<SlackMessage> = {
  service: 'Slack',
  name: 'slack',
  // Legacy webhooks deliver elsewhere if a message has it.
  always: { channel: undefined },
  escape: (text) => entitiesOf(withoutMarkup(text)),
  messageOf({ subject, happened, message, url, details }: ChatParts) {
    // Slack shows this text where it shows no blocks, as in notifications.
    const text = [subject, happened, message, url, details].filter(Boolean).join('\n');
    const isCut = entitiesOf(subject).length > maxHeader;
    const body = [isCut ? subject : '', happened, message].filter(Boolean).join('\n');
    return {
      text: escapedUpTo(maxText, withoutMarkup(text)),
      blocks: [
        { type: 'header', text: plainText(maxHeader, subject) },
        ...piecesOf(body).map((piece) => ({ type: 'section', text: plainText(maxSection, piece) })),
        { type: 'section', text: { type: 'mrkdwn', text: `<${entitiesOf(url)}|Open the console>`, verbatim: true } },
        { type: 'context', elements: [plainText(maxSection, details)] },
      ],
    };
  },
  ofText: (text) => ({ text: cut(text, maxText) }),
};

/** Not `mrkdwn`, because asterisks and underscores in the event would be markup there. */
function plainText(max: number, text: string): object {
  return { type: 'plain_text', text: escapedUpTo(max, text), emoji: false };
}

/** As many sections as the text needs, within the limit of the whole message. */
function piecesOf(text: string): string[] {
  const measure = (part: string) => entitiesOf(part).length;
  const pieces: string[] = [];
  for (let rest = cut(text, maxText, measure); rest !== ''; ) {
    let piece = fitting(rest, maxSection, measure) || partOfCharacter(rest);
    const lineEnd = piece.lastIndexOf('\n') + 1;
    if (piece !== rest && lineEnd > piece.length / 2) piece = piece.slice(0, lineEnd);
    pieces.push(piece);
    rest = rest.slice(piece.length);
  }
  return pieces.filter((piece) => piece.trim() !== '');
}

/** A piece of one huge character, such as a letter with thousands of accents, that fits into a section. */
function partOfCharacter(text: string): string {
  const end = maxSection - 10;
  return text.slice(0, /[\uD800-\uDBFF]/.test(text[end - 1] as string) ? end - 1 : end);
}

function escapedUpTo(max: number, text: string): string {
  return entitiesOf(cut(text, max, (part) => entitiesOf(part).length));
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** Escapes the three characters that Slack reads as control characters: in mentions (`<!channel>`) and links. */
function entitiesOf(text: string): string {
  return text.replace(/[&<>]/g, (character) => entities[character] as string);
}
