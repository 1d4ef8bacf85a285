import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { anything } from '../../util/check-options.js';
import { checkSecret } from '../post.js';
import { bytesOf, cut } from '../text.js';
import { baseOf } from './base-address.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for Gotify's `POST /message`. */
export interface GotifyMessage {
  /** Default: the application's name. */
  readonly title?: string;
  /** The text, never empty. */
  readonly message: string;
  /** 0 to 10. Default: by the event's severity. */
  readonly priority?: number;
  /** Default: plain text, and a click opens the console. */
  readonly extras?: Readonly<Record<string, unknown>>;
}

/** Options of `gotify`. */
export interface GotifyOptions<Event> extends ChatOptions<Event, GotifyMessage> {
  /** The token of a Gotify application (not of a client). */
  readonly token: string;
}

/**
 * Delivers to an application of a Gotify server, at the server's address. Texts are plain, so nothing in an event is
 * markup or an image. The priority is 2, 5 or 8 by severity, unless `format` returns another.
 * Throws a `TypeError` for an invalid URL, token or option.
 */
export function gotify<Event extends object>(url: string, options: GotifyOptions<Event>): Sink<Event> {
  const token = checkSecret(service, 'token', Object(options).token);
  const address = baseOf(service, url, 'message', "give the server's address, and the token as an option");
  return chatSink(chatWith(token), address, options);
}

const service = 'Gotify';

// Source: gotify.net, Message Extras, and the API's description in gotify/server. The server has no limit of its own,
// but keeps title and message in columns of the type TEXT, which hold 65,535 bytes in MySQL.
const maxBytes = 60_000;
const maxTitle = 1_000;

/** Android makes a sound from 4 on, and vibrates from 8 on. Source: gotify/android, Message Priorities. */
const priorities: Readonly<Record<Severity, number>> = { info: 2, warning: 5, error: 8, critical: 8 };

const chatWith = (token: string): Chat<GotifyMessage> => ({
  service,
  name: 'gotify',
  escape: (text) => text,
  messageOf({ subject, happened, message, details }: ChatParts) {
    const textWith = (body: string) => [happened, body, details].filter(Boolean).join('\n\n');
    return {
      title: cut(subject, maxTitle),
      message: textWith(cut(message, maxBytes, (body) => bytesOf(textWith(body)))),
    };
  },
  ofText: (text) => ({ message: cut(text, maxBytes, bytesOf) }),
  request: (message, { parts: { severity, url } }) => ({
    // The header, because the query stands in access logs.
    headers: { 'X-Gotify-Key': token },
    body: JSON.stringify({ priority: priorities[severity], extras: extrasFor(url), ...message }),
  }),
  answers: { reasonIn: ({ error }) => error },
  checks: { token: anything },
});

/** `text/plain`, because Markdown could load images from a foreign server. */
function extrasFor(url: string): object {
  return { 'client::display': { contentType: 'text/plain' }, 'client::notification': { click: { url } } };
}
