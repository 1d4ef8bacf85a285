import type { Delivery } from '../../contracts/delivery.js';
import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { vastConsole } from '../../providers/vast.js';
import { aFunction, type Check, type Checks, checkOptions } from '../../util/check-options.js';
import { type Clock, systemClock } from '../../util/clock.js';
import {
  type AnswerReader,
  checkMessage,
  type HttpSinkOptions,
  httpSinkChecks,
  poster,
  type RequestOptions,
  saysNo,
} from '../post.js';
import { checkAddress } from '../service-address.js';
import { happened, summaryOf } from '../summary.js';
import { cut } from '../text.js';

/** The texts of a chat message about an event. */
export interface ChatParts {
  /** One line, never empty. */
  readonly subject: string;
  /** May be empty. */
  readonly message: string;
  /** Where to act on it. */
  readonly url: string;
  /** `type=... event_id=... severity=...` */
  readonly details: string;
  /** The event's type, on one line. May be empty, and is not escaped. */
  readonly type: string;
  /** How serious it is. */
  readonly severity: Severity;
  /** When it happened, as an ISO date in UTC. */
  readonly when: string;
  /** `Happened at 2026-11-26 22:13 UTC`. Empty if that is less than a minute ago. */
  readonly happened: string;
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

/** An event that a message is about. */
interface ChatContext {
  readonly event: object;
  readonly delivery: Delivery;
  /** Not escaped yet. */
  readonly parts: ChatParts;
  /** The sink's name. */
  readonly name: string;
}

/** A request, where it is not a POST of the message as JSON to the sink's URL. */
interface ChatRequest extends RequestOptions {
  /** Default: the message as JSON. */
  readonly body?: string;
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
  readonly always?: Readonly<Record<string, unknown>>;
  /** The request that carries a message, which has the fields of `always` already. */
  request?(message: Message, about: ChatContext): ChatRequest;
  readonly answers?: AnswerReader;
  /** Checks of the options that only this chat has. */
  readonly checks?: Checks;
}

export function chatSink<Event extends object, Message extends object>(
  chat: Chat<Message>,
  url: string,
  options: ChatOptions<Event, Message>,
  clock: Clock = systemClock,
): Sink<Event> {
  checkOptions(options, { ...httpSinkChecks, consoleUrl, format: aFunction, ...chat.checks }, chat.service);
  checkAddress(chat.service, url);
  const post = poster(chat.service, url, options, { isRefusal: saysNo, ...chat.answers });
  const { name = chat.name, format } = options;
  const partsOf = partsFor(options.consoleUrl, clock);
  const messageOf = (event: Event, parts: ChatParts): Message => {
    if (format === undefined) return chat.messageOf(parts);
    const message = checkMessage(chat.service, 'format', format(event, escaped(parts, chat)));
    return typeof message === 'string' ? chat.ofText(message, parts.url) : message;
  };
  return {
    name,
    async deliver(event, context) {
      const { delivery } = context;
      const parts = partsOf(event, delivery);
      const message = { ...messageOf(event, parts), ...chat.always };
      const { body = JSON.stringify(message), ...request } =
        chat.request?.(message, { event, delivery, parts, name }) ?? {};
      await post(body, context, request);
    },
  };
}

const maxTypeLength = 100;

type Linker = (url: string) => string;

/** Checks the option of that name. */
export const consoleUrl: Check = [
  (value) => typeof value === 'string' && /^https?:\/\//i.test(value) && URL.canParse(value),
  `an address such as ${vastConsole}`,
];

function linker(consoleUrl: string | undefined): Linker {
  if (consoleUrl === undefined) return (url) => url;
  const base = consoleUrl.replace(/\/+$/, '');
  return (url) => (url.startsWith(vastConsole) ? base + url.slice(vastConsole.length) : url);
}

/** Makes the texts about an event, with links to that console. */
export function partsFor(
  consoleUrl: string | undefined,
  clock: Clock,
): (event: object, delivery: Delivery) => ChatParts {
  const linkOf = linker(consoleUrl);
  return (event, delivery) => partsOf(event, delivery, linkOf, clock.date());
}

function partsOf(event: object, delivery: Delivery, linkOf: Linker, now: number): ChatParts {
  const { title, text, when, severity, link, type } = summaryOf(event, delivery);
  return {
    subject: title,
    message: text,
    url: linkOf(link),
    details: `type=${cut(type, maxTypeLength)} event_id=${delivery.id} severity=${severity}`,
    type,
    severity,
    when,
    happened: happened(when, now),
  };
}

function escaped(parts: ChatParts, chat: Pick<Chat<object>, 'escape'>): ChatParts {
  return {
    ...parts,
    subject: chat.escape(parts.subject),
    message: chat.escape(parts.message),
    details: chat.escape(parts.details),
  };
}
