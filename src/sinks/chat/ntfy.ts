import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { anything } from '../../util/check-options.js';
import { asOneWord, checkSecret } from '../post.js';
import { bytesOf, cut } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for an ntfy server, without the topic. Source: docs.ntfy.sh/publish, "Publish as JSON". */
export interface NtfyMessage {
  /** One line above the text. */
  readonly title?: string;
  /** The text, 4,096 bytes at most. A longer one becomes an attachment. */
  readonly message?: string;
  /** 1 to 5, where 3 is the default. */
  readonly priority?: number;
  /** Short names of emoji become emoji. */
  readonly tags?: readonly string[];
  /** What a tap opens. */
  readonly click?: string;
  readonly [field: string]: unknown;
}

/** Options of `ntfy`. */
export interface NtfyOptions<Event> extends ChatOptions<Event, NtfyMessage> {
  /** An access token, where the topic is protected. */
  readonly token?: string;
}

/**
 * Delivers to a topic of ntfy.sh or of an ntfy server of your own: `ntfy('https://ntfy.sh/my-secret-topic')`. Whoever
 * knows the topic can read it, so treat it as a secret. The severity becomes priority 3, 4 or 5, the link what a tap
 * opens. The text has 4,096 bytes at most, because ntfy makes an attachment of a longer one.
 * Throws a `TypeError` for an invalid URL, topic or option.
 */
export function ntfy<Event extends object>(topicUrl: string, options: NtfyOptions<Event> = {}): Sink<Event> {
  const { token } = Object(options) as NtfyOptions<Event>;
  const [, server = topicUrl, topic = ''] = /^([^?#]*\/)([^/?#]+)\/?$/.exec(String(topicUrl)) ?? [];
  if (
    URL.canParse(topicUrl) &&
    (!/^(?!(json|sse|raw|ws|publish|send|trigger)$)[\w-]{1,64}$/.test(topic) || new URL(topicUrl).pathname.length < 2)
  ) {
    throw new TypeError(
      'ntfy: the URL must end with a topic, as in https://ntfy.sh/topic: is the environment variable set?',
    );
  }
  if (token !== undefined) checkSecret(service, 'token', token);
  return chatSink(chatOf(topic, token), URL.canParse(topicUrl) ? server : topicUrl, options);
}

const service = 'ntfy';

// The server's `message-size-limit` is 4,096 bytes. A body of JSON may be twice as long. Source: docs.ntfy.sh,
// "Limitations", and binwiederhier/ntfy, server.go.
const maxBytes = 4_096;
const maxTitle = 250;
const maxTag = 50;

/** Priority and emoji. Source: docs.ntfy.sh/publish, "Message priority" and "Tags & emojis". */
const levels: Readonly<Record<Severity, readonly [priority: number, tag: string]>> = {
  info: [3, 'information_source'],
  warning: [4, 'warning'],
  error: [5, 'x'],
  critical: [5, 'rotating_light'],
};

function chatOf(topic: string, token: string | undefined): Chat<NtfyMessage> {
  return {
    service,
    name: 'ntfy',
    // The message is plain text, unless it has a field that says otherwise.
    escape: (text) => text,
    messageOf({ subject, happened, message, url, details, severity, type }: ChatParts) {
      const [priority, tag] = levels[severity];
      const tags = /^[\w:.-]+$/.test(type) && type.length <= maxTag ? [tag, type] : [tag];
      const messageWith = (body: string): NtfyMessage => ({
        title: cut(subject, maxTitle),
        message: [happened, body, details].filter(Boolean).join('\n'),
        priority,
        tags,
        click: url,
      });
      return messageWith(cut(message, maxBytes, (body) => sizeOf(messageWith(body), topic)));
    },
    ofText: (text, url) => {
      const messageWith = (part: string): NtfyMessage => ({ message: part, click: url });
      return messageWith(cut(text, maxBytes, (part) => sizeOf(messageWith(part), topic)));
    },
    // A message may also ask for a mail or a phone call.
    always: { topic, email: undefined, call: undefined },
    ...(token !== undefined && { request: () => ({ headers: { Authorization: `Bearer ${token}` } }) }),
    checks: { token: anything },
    // An error is `{code, http, error, link}`.
    answers: { reasonIn: ({ error }) => asOneWord(error), secrets: [topic] },
  };
}

/** Bytes of the text, or half of those of the whole body, if that is more. */
function sizeOf(message: NtfyMessage, topic: string): number {
  return Math.max(bytesOf(message.message ?? ''), bytesOf(JSON.stringify({ ...message, topic })) / 2);
}
