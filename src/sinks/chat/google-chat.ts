import { Buffer } from 'node:buffer';
import type { Sink } from '../../contracts/sink.js';
import { cut, withoutMarkup } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message of the Google Chat API: `text`, `cardsV2`, `thread` and so on. */
export interface GoogleChatMessage {
  /** Text in Google Chat's markup. The whole message may have up to 32,000 bytes. */
  readonly text?: string;
  readonly [field: string]: unknown;
}

/** Options of `googleChat`. */
export type GoogleChatOptions<Event> = ChatOptions<Event, GoogleChatMessage>;

/**
 * Delivers to a Google Chat incoming webhook. No text in an event can ping a space or make markup.
 * Throws a `TypeError` for an invalid URL or option, and for the URL of another service.
 */
export function googleChat<Event extends object>(
  webhookUrl: string,
  options: GoogleChatOptions<Event> = {},
): Sink<Event> {
  return chatSink(chat, webhookUrl, options);
}

/** Limit of the whole message. Source: developers.google.com/workspace/chat, incoming webhooks. */
const maxBytes = 32_000;
const maxSubject = 1_000;

const chat: Chat<GoogleChatMessage> = {
  service: 'Google Chat',
  name: 'googleChat',
  escape: withoutMarkup,
  messageOf({ subject, happened, message, url, details }: ChatParts) {
    const head = withoutMarkup(cut(subject, maxSubject));
    const tail = `${url}\n${withoutMarkup(details)}`;
    const textWith = (body: string) => [head, happened, withoutMarkup(body), tail].filter(Boolean).join('\n\n');
    // Only the message is cut, so that the link and the id always arrive.
    return { text: textWith(cut(message, maxBytes, (body) => bytesOf({ text: textWith(body) }))) };
  },
  ofText: (text) => ({ text: cut(text, maxBytes, (part) => bytesOf({ text: part })) }),
  // On success Google answers with the message, which has no field of this name.
  answers: { isRefusal: ({ error }) => typeof Object(error).status === 'string' },
};

function bytesOf(message: GoogleChatMessage): number {
  return Buffer.byteLength(JSON.stringify(message));
}
