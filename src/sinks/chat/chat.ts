import type { Delivery } from '../../contracts/delivery.js';
import type { Sink } from '../../contracts/sink.js';
import { eventFormat } from '../../providers/index.js';
import { vastConsole } from '../../providers/vast.js';
import { aFunction, type Check, checkOptions } from '../../util/check-options.js';
import { type AnswerReader, type HttpSinkOptions, httpSinkChecks, poster, saysNo } from '../post.js';
import { cut, oneLine } from '../text.js';

/** What a chat message says of an event. */
export interface ChatParts {
  /** One line, never empty. */
  readonly subject: string;
  /** May be empty. */
  readonly message: string;
  /** Where to act on it. */
  readonly url: string;
  /** `type=... event_id=...` */
  readonly details: string;
}

/** What every sink for a chat takes beside the URL. */
export interface ChatOptions<Event, Message> extends HttpSinkOptions {
  /** The console that messages of Vast.ai's events link to, in place of `https://cloud.vast.ai`. */
  readonly consoleUrl?: string;
  /**
   * Makes the message in place of the built-in one: its text, or the whole of it. `parts` are the event's texts,
   * escaped for the chat; what is taken from `event` itself is not.
   */
  readonly format?: (event: Event, parts: ChatParts) => string | Message;
}

/** What one chat does differently from another. */
export interface Chat<Message> {
  /** For errors. */
  readonly service: string;
  /** The sink's name unless the user gives another. */
  readonly name: string;
  /** Disarms what the chat would read as a mention or markup. */
  escape(text: string): string;
  /** The built-in message. Its parts are as the sender wrote them. */
  messageOf(parts: ChatParts): Message;
  /** A text of the user's own as a message, cut to the chat's limit. `url` is where to act on the event. */
  ofText(text: string, url: string): Message;
  /** Stands in every message, whatever `format` made of it. */
  readonly always?: Partial<Message>;
  readonly answers?: AnswerReader;
}

export function chatSink<Event extends object, Message extends object>(
  chat: Chat<Message>,
  webhookUrl: string,
  options: ChatOptions<Event, Message>,
): Sink<Event> {
  checkOptions(options, { ...httpSinkChecks, consoleUrl, format: aFunction }, chat.service);
  const post = poster(chat.service, webhookUrl, options, { isRefusal: saysNo, ...chat.answers });
  const { name = chat.name, format } = options;
  const linkOf = linker(options.consoleUrl);
  const messageOf = (event: Event, parts: ChatParts): Message => {
    if (format === undefined) return chat.messageOf(parts);
    const message = format(event, escaped(parts, chat));
    return typeof message === 'string' ? chat.ofText(message, parts.url) : message;
  };
  return {
    name,
    async deliver(event, context) {
      const message = messageOf(event, partsOf(event, context.delivery, linkOf));
      await post(JSON.stringify({ ...message, ...chat.always }), context);
    },
  };
}

const maxTypeLength = 100;

type Linker = (url: string) => string;

const consoleUrl: Check = [
  (value) => typeof value === 'string' && /^https?:\/\//i.test(value) && URL.canParse(value),
  `an address such as ${vastConsole}`,
];

function linker(consoleUrl: string | undefined): Linker {
  if (consoleUrl === undefined) return (url) => url;
  const base = consoleUrl.replace(/\/+$/, '');
  return (url) => (url.startsWith(vastConsole) ? base + url.slice(vastConsole.length) : url);
}

function partsOf(event: object, delivery: Delivery, linkOf: Linker): ChatParts {
  const { subject, message, type: anyType, url } = eventFormat(delivery.provider).summarize(event);
  const type = oneLine(anyType);
  return {
    subject: oneLine(subject) || type || 'Notification',
    message: message.trim(),
    url: linkOf(url),
    details: `type=${cut(type, maxTypeLength)} event_id=${delivery.id}`,
  };
}

function escaped(parts: ChatParts, { escape: safe }: Chat<unknown>): ChatParts {
  return {
    subject: safe(parts.subject),
    message: safe(parts.message),
    url: parts.url,
    details: safe(parts.details),
  };
}
