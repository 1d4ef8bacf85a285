import { Buffer } from 'node:buffer';
import type { Sink } from '../../contracts/sink.js';
import type { Severity } from '../../providers/provider.js';
import { cut, withoutMarkdown, withoutTags } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** A message for a Teams workflow: one adaptive card as an attachment. */
export interface TeamsMessage {
  /** Workflows require this value. */
  readonly type: 'message';
  /** One attachment, the adaptive card. The whole message may have up to 28,000 bytes. */
  readonly attachments: readonly object[];
}

/** Options of `teams`. */
export type TeamsOptions<Event> = ChatOptions<Event, TeamsMessage>;

/**
 * Delivers to a Microsoft Teams workflow ("When a Teams webhook request is received") as an adaptive card of 28,000
 * bytes at most. A longer message is cut. No text in an event can mention anybody or make markup. A text from `format`
 * is read as Markdown. Any https host is accepted, because workflows have many hosts.
 * Throws a `TypeError` for an invalid URL or option, and for the URL of a connector or of another service.
 */
export function teams<Event extends object>(webhookUrl: string, options: TeamsOptions<Event> = {}): Sink<Event> {
  return chatSink(chat, webhookUrl, options);
}

/** Limit of a message, "approximately 28 KB". Source: learn.microsoft.com, Teams connector and incoming webhooks. */
const maxBytes = 28_000;
const maxSubject = 1_000;

/**
 * A connector's URL (`...webhook.office.com`) answers 200 with `1`, or with this text about a failure. A workflow
 * answers 202 with an empty body. Source: learn.microsoft.com, Teams connectors, "Rate limiting for connectors".
 */
const connectorFailure = /\bdelivery failed\b|\breturned HTTP error\b/i;

/** Colour of the subject. Source: adaptivecards.io, Colors. */
const colors: Readonly<Record<Severity, string>> = {
  info: 'Default',
  warning: 'Warning',
  error: 'Attention',
  critical: 'Attention',
};

const chat: Chat<TeamsMessage> = {
  answers: {
    isRefusal: (_, text) => connectorFailure.test(text),
    statusIn(text) {
      const [, status] = /\bHTTP error (\d{3})\b/i.exec(text) ?? [];
      return status === undefined ? undefined : Number(status);
    },
  },
  service: 'Teams',
  name: 'teams',
  // Escape entities, because Markdown could resolve one to a tag.
  escape: (text) =>
    withoutMarkdown(text)
      .replace(/&(?=#?\w+;)/g, '\\&')
      .replace(templates, separated),
  messageOf({ subject, happened, message, url, details, severity }: ChatParts) {
    const cardWith = (body: string) =>
      card(
        [
          plain(cut(subject, maxSubject), { size: 'Medium', weight: 'Bolder', color: colors[severity] }),
          ...(happened ? [plain(happened)] : []),
          ...(body ? [plain(body)] : []),
          plain(details, { size: 'Small', isSubtle: true }),
        ],
        { actions: [{ type: 'Action.OpenUrl', title: 'Open the console', url }] },
      );
    return cardWith(cut(message, maxBytes, (body) => bytesOf(cardWith(body))));
  },
  ofText(text) {
    const cardOf = (part: string) => card([{ type: 'TextBlock', text: part, wrap: true }]);
    return cardOf(cut(text, maxBytes, (part) => bytesOf(cardOf(part))));
  },
};

function card(body: readonly object[], more: object = {}): TeamsMessage {
  const content = { type: 'AdaptiveCard', version: '1.4', body, ...more };
  const contentType = 'application/vnd.microsoft.card.adaptive';
  return { type: 'message', attachments: [{ contentType, contentUrl: null, content }] };
}

/** Cards replace templates such as `{{DATE(...)}}`. */
const templates = /\{(?=\{)/g;
const separated = '{\u200B';

/** A text run, because Teams reads a text block as Markdown. Source: adaptivecards.io, TextRun. */
function plain(text: string, style: object = {}): object {
  const inline = { type: 'TextRun', text: withoutTags(text).replace(templates, separated), ...style };
  return { type: 'RichTextBlock', inlines: [inline] };
}

function bytesOf(message: TeamsMessage): number {
  return Buffer.byteLength(JSON.stringify(message));
}
