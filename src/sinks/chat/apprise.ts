import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { aString } from '../../util/check-options.js';
import { cut, withoutMentions, withoutTags } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for an Apprise API server. */
export interface AppriseMessage {
  /** May be empty. */
  readonly title?: string;
  /** The text, never empty. */
  readonly body: string;
  /** `info`, `success`, `warning` or `failure`. Default: by the event's severity. */
  readonly type?: string;
  /** `text`, `markdown` or `html`. Default: `text`. */
  readonly format?: string;
}

/** Options of `apprise`. */
export interface AppriseOptions<Event> extends ChatOptions<Event, AppriseMessage> {
  /** Which of the configured services: `ops`, `ops,dev` for either, `ops dev` for both tags. Default: all of them. */
  readonly tag?: string;
}

/**
 * Delivers through an Apprise API server to the services that are configured there, at an address such as
 * `https://apprise.example/notify/KEY`. Mentions are broken, because the services behind it are not known. 204 is a
 * permanent failure, because nothing is configured and nobody is notified. 424 can be retried: at least one service has
 * failed, and the others get the message again.
 * Throws a `TypeError` for an invalid URL or option, and for an address without `/notify/KEY`.
 */
export function apprise<Event extends object>(url: string, options: AppriseOptions<Event> = {}): Sink<Event> {
  const sink = chatSink(chatWith(Object(options).tag), url, options);
  if (!/\/notify\/[\w-]{1,128}\/?$/.test(new URL(url).pathname)) {
    throw new TypeError(
      'Apprise: the URL must end with /notify/ and the key of a configuration on the Apprise API server',
    );
  }
  return sink;
}

// Source: github.com/caronc/apprise-api, README. Apprise cuts or splits texts for each service. We keep the whole below
// the limit of the strictest proxies.
const maxTitle = 250;
const maxBody = 30_000;

const types: Readonly<Record<Severity, string>> = {
  info: 'info',
  warning: 'warning',
  error: 'failure',
  critical: 'failure',
};

const chatWith = (tag: string | undefined): Chat<AppriseMessage> => ({
  service: 'Apprise',
  name: 'apprise',
  escape: escaped,
  messageOf({ subject, happened, message, url, details }: ChatParts) {
    const tail = `${url}\n${escaped(details)}`;
    const textWith = (body: string) => [happened, escaped(body), tail].filter(Boolean).join('\n\n');
    const body = textWith(cut(message, maxBody, (part) => textWith(part).length));
    return { title: escaped(cut(subject, maxTitle)), body };
  },
  ofText: (text) => ({ body: cut(text, maxBody) }),
  request: ({ title = '', body, type, format = 'text' }, { parts: { severity } }) => ({
    // These fields only, because others name addresses and files.
    body: JSON.stringify({ title, body, type: type ?? types[severity], format, tag }),
  }),
  answers: {
    isRefusal: ({ error }, _text, status) => status === 204 || (typeof error === 'string' && error !== ''),
    isPermanent: (status) => (status === 424 ? false : undefined),
  },
  checks: { tag: aString },
});

function escaped(text: string): string {
  return withoutMentions(withoutTags(text));
}
