import type { Delivery } from '../../contracts/delivery.js';
import type { Sink } from '../../contracts/sink.js';
import { eventFormat } from '../../providers/index.js';
import { vastConsole } from '../../providers/vast.js';
import { aFunction, type Check, checkOptions } from '../../util/check-options.js';
import { type AnswerReader, type HttpSinkOptions, httpSinkChecks, poster, saysNo } from '../post.js';
import { cut, oneLine } from '../text.js';

/** The texts of a chat message about an event. */
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

/** Options of every chat sink. */
export interface ChatOptions<Event, Message> extends HttpSinkOptions {
  /** The console that messages about Vast.ai events link to. Default: `https://cloud.vast.ai`. */
  readonly consoleUrl?: string;
  /**
   * Replaces the built-in message: returns its text, or the whole message object. The texts in `parts` are escaped for
   * the chat. The fields of `event` are not.
   */
  readonly format?: (event: Event, parts: ChatParts) => string | Message;
}

/** Everything that differs between chats. */
export interface Chat<Message> {
  /** Name of the service in errors. */
  readonly service: string;
  /** The sink's name unless the user gives another. */
  readonly name: string;
  /** Escapes everything that the chat would read as a mention or markup. */
  escape(text: string): string;
  /** The built-in message. Its parts are not escaped yet. */
  messageOf(parts: ChatParts): Message;
  /** A text that `format` returned, as a message, cut to the chat's limit. `url` is where to act on the event. */
  ofText(text: string, url: string): Message;
  /** Fields of every message, which override those that `format` returned. */
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

function escaped(parts: ChatParts, chat: Chat<unknown>): ChatParts {
  return {
    subject: chat.escape(parts.subject),
    message: chat.escape(parts.message),
    url: parts.url,
    details: chat.escape(parts.details),
  };
}
