import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { anything, type Check, isWholeUpTo } from '../../util/check-options.js';
import { asOneWord, checkSecret, formOf } from '../post.js';
import { cut } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** Parameters of a message, without `token` and `user`. Source: pushover.net/api. */
export interface PushoverMessage {
  /** The text, 1,024 characters at most. */
  readonly message: string;
  /** 250 characters at most. */
  readonly title?: string;
  /** -2 to 2. With 2, `retry` and `expire` are required. */
  readonly priority?: number;
  readonly [parameter: string]: string | number | undefined;
}

/** Options of `pushover`. */
export interface PushoverOptions<Event> extends ChatOptions<Event, PushoverMessage> {
  /** The application's API token. */
  readonly token: string;
  /** The key of the user or group. */
  readonly user: string;
  /**
   * Gives critical events emergency priority: Pushover repeats the alarm every `retry` seconds (30 at least) until
   * somebody confirms it, for `expire` seconds (10,800 at most). Default: high priority, without a repeat.
   */
  readonly emergency?: {
    /** Seconds between two alarms. */
    readonly retry: number;
    /** Seconds until the alarm ends unconfirmed. */
    readonly expire: number;
  };
  /** Default: `https://api.pushover.net/1/messages.json`. */
  readonly url?: string;
}

/**
 * Delivers to a user or group of Pushover. Errors and critical events have high priority. The text has 1,024 characters
 * at most, the title 250. No text in an event can make markup. When the month's quota is used up, a retry is not due
 * before the next month. Throws a `TypeError` for an invalid token, key, URL or option.
 */
export function pushover<Event extends object>(options: PushoverOptions<Event>): Sink<Event> {
  const given = Object(options) as PushoverOptions<Event>;
  // 30 letters and digits. Source: pushover.net/api, "Application registration" and "User & group identifiers".
  for (const option of ['token', 'user'] as const) checkSecret(service, option, given[option], /^[A-Za-z\d]{30}$/);
  return chatSink(chatOf(given), given.url ?? 'https://api.pushover.net/1/messages.json', options);
}

const service = 'Pushover';

// Source: pushover.net/api, "Limitations". We count UTF-16 units, which are never fewer than Pushover counts.
const maxMessage = 1_024;
const maxTitle = 250;
const maxUrl = 512;
const maxDetails = 400;
/** After a 5xx or no answer. Source: pushover.net/api, "Being friendly to our API". */
const minRetryMs = 5_000;

/** Source: pushover.net/api, "Message priority". */
const priorities: Readonly<Record<Severity, number>> = { info: 0, warning: 0, error: 1, critical: 1 };

function chatOf({ token, user, emergency }: PushoverOptions<never>): Chat<PushoverMessage> {
  return {
    service,
    name: 'pushover',
    // Pushover reads HTML only if it is asked to.
    escape: (text) => text,
    messageOf({ subject, message, url, details, severity, when }: ChatParts) {
      const tail = cut(details, maxDetails);
      const textWith = (body: string) => [body, tail].filter(Boolean).join('\n');
      return {
        title: cut(subject, maxTitle),
        message: textWith(cut(message, maxMessage, (body) => textWith(body).length)),
        // The apps show this time in place of the arrival's.
        timestamp: Math.floor(Date.parse(when) / 1000),
        ...(url.length <= maxUrl && { url }),
        ...(severity === 'critical' && emergency !== undefined
          ? { priority: 2, retry: emergency.retry, expire: emergency.expire }
          : { priority: priorities[severity] }),
      };
    },
    ofText: (text, url) => ({ message: cut(text, maxMessage), ...(url.length <= maxUrl && { url }) }),
    always: { token, user, device: undefined },
    request(message) {
      const fields = Object.entries(message).filter(([, value]) => value !== undefined);
      return formOf(Object.fromEntries(fields.map(([name, value]) => [name, String(value)])));
    },
    checks: { token: anything, user: anything, url: anything, emergency: anEmergency },
    answers: {
      // Success is `status: 1`. Otherwise there is a list of errors.
      isRefusal: ({ status }) => typeof status === 'number' && status !== 1,
      reasonIn: ({ errors }) => asOneWord(Object(errors)[0]),
      // It is no rate limit: the month's quota is used up until this time.
      retryAfterSecondsIn(_, { status, headers }) {
        const resetAt = Number(headers.get('x-limit-app-reset') ?? Number.NaN);
        return status === 429 && resetAt > 0 ? Math.max(0, resetAt - Date.now() / 1000) : undefined;
      },
      minRetryMs,
      secrets: [token, user],
    },
  };
}

const isEmergency = (value: unknown): boolean => {
  const { retry, expire } = Object(value) as { retry?: unknown; expire?: unknown };
  return isWholeUpTo(30, 10_800)(retry) && isWholeUpTo(1, 10_800)(expire);
};

const anEmergency: Check = [
  isEmergency,
  'as { retry: 60, expire: 3600 }, in seconds: retry 30 at least, expire 10,800 at most',
];
