import type { Sink } from '../../contracts/sink.js';
import { aFunction, anything, type Check, isWholeUpTo } from '../../util/check-options.js';
import { swallowErrors } from '../../util/swallow-errors.js';
import { type AnswerReader, asOneWord, checkSecret, saysNo } from '../post.js';
import { cut, withoutNames } from '../text.js';
import { baseOf } from './base-address.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** Fields of `sendMessage`, without the chat. Source: core.telegram.org/bots/api, sendMessage. */
export interface TelegramMessage {
  /** The text, 4,096 characters at most. */
  readonly text?: string;
  /** How Telegram reads the text. The built-in message has none, so that nothing in an event is markup. */
  readonly parse_mode?: 'HTML' | 'MarkdownV2';
  readonly [field: string]: unknown;
}

/** Options of `telegram`. */
export interface TelegramOptions<Event> extends ChatOptions<Event, TelegramMessage> {
  /** The bot's token, from BotFather. */
  readonly token: string;
  /** The chat's number, or the `@name` of a public channel or group. */
  readonly chatId: string | number;
  /** A topic of the chat, if it is a forum. */
  readonly threadId?: number;
  /** A Bot API server of your own. Default: `https://api.telegram.org`. */
  readonly url?: string;
  /**
   * Is called when Telegram says that the group has become a supergroup, with an error that has the new id. This sink
   * uses the new id from then on, until the process ends. Default: `console.error`.
   */
  readonly onError?: (error: Error) => void;
}

/**
 * Delivers to a Telegram chat, by a bot that is in it. The message is plain text of 4,096 characters at most, without
 * link previews. No text in an event can mention anybody, be a command or make markup.
 * Throws a `TypeError` for an invalid token, chat, URL or option.
 */
export function telegram<Event extends object>(options: TelegramOptions<Event>): Sink<Event> {
  const {
    token,
    chatId,
    threadId,
    url = 'https://api.telegram.org',
    onError = report,
  } = Object(options) as TelegramOptions<Event>;
  checkSecret(service, 'token', token, /^\d{1,20}:[\w-]{1,100}$/);
  if (!isChat(chatId)) {
    throw new TypeError(
      "Telegram: the option chatId must be a chat's number or @name: is the environment variable set?",
    );
  }
  // Undefined, where there is no topic, overrides what `format` gives.
  const address = { chat_id: chatId, message_thread_id: threadId };
  return chatSink(
    chatOf(address, token, onError),
    baseOf(service, url, `bot${token}/sendMessage`, 'give the root of a Bot API server'),
    options,
  );
}

const service = 'Telegram';

/**
 * "1-4096 characters after entities parsing". Source: core.telegram.org/bots/api, sendMessage. We count UTF-16 units,
 * as Telegram does for entities, because they are never fewer than characters.
 */
const maxText = 4_096;
const maxSubject = 300;

/** Fields of every message that say where it goes. */
interface Address {
  chat_id: string | number;
  readonly message_thread_id: number | undefined;
}

function chatOf(address: Address, token: string, onError: (error: Error) => void): Chat<TelegramMessage> {
  return {
    service,
    name: 'telegram',
    // Without a parse mode there is no markup, but Telegram finds names and commands by itself.
    escape: withoutNames,
    messageOf({ subject, happened, message, url, details }: ChatParts) {
      const head = [withoutNames(cut(subject, maxSubject)), happened].filter(Boolean).join('\n');
      const tail = `${url}\n${withoutNames(details)}`;
      const textWith = (body: string) => [head, withoutNames(body), tail].filter(Boolean).join('\n\n');
      return { text: textWith(cut(message, maxText, (body) => textWith(body).length)) };
    },
    ofText: (text) => ({ text: cut(text, maxText) }),
    get always() {
      return {
        ...address,
        business_connection_id: undefined,
        direct_messages_topic_id: undefined,
        link_preview_options: { is_disabled: true },
      };
    },
    checks: { token: anything, chatId: anything, threadId: aThread, url: anything, onError: aFunction },
    answers: { ...answersOf(address, onError), secrets: [token] },
  };
}

/**
 * A refusal is `{ok: false, error_code, description, parameters?: {retry_after?, migrate_to_chat_id?}}`, usually with
 * the same status as its code. Source: core.telegram.org/bots/api, Making requests and ResponseParameters.
 */
function answersOf(address: Address, onError: (error: Error) => void): AnswerReader {
  const notify = swallowErrors(onError);
  return {
    isRefusal: saysNo,
    reasonIn: ({ description }) => asOneWord(description),
    statusIn(text) {
      const [, code] = /"error_code"\s*:\s*(\d{3})\b/.exec(text) ?? [];
      return code === undefined ? undefined : Number(code);
    },
    retryAfterSecondsIn: ({ parameters }) => Object(parameters).retry_after,
    insteadOf(body, { parameters }) {
      const { migrate_to_chat_id: chat } = Object(parameters) as { migrate_to_chat_id?: unknown };
      if (!isChat(chat)) return undefined;
      if (address.chat_id !== chat) {
        address.chat_id = chat;
        notify(new Error(`Telegram: the group has become a supergroup: its chat id is now ${chat}, so change it`));
      }
      return JSON.stringify({ ...JSON.parse(body), chat_id: chat });
    },
  };
}

function isChat(value: unknown): value is string | number {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value !== 0;
  return typeof value === 'string' && /^(-?\d{1,16}|@\w{1,64})$/.test(value);
}

const aThread: Check = [isWholeUpTo(1, Number.MAX_SAFE_INTEGER), "a topic's number"];

function report(error: Error): void {
  console.error(`vast-webhook: ${error.message}`);
}
