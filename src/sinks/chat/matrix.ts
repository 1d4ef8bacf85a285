import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { eventKey } from '../../contracts/delivery.js';
import type { Sink } from '../../contracts/sink.js';
import { anything } from '../../util/check-options.js';
import { checkSecret } from '../post.js';
import { cut, withoutMentions } from '../text.js';
import { baseOf } from './base-address.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** Content of an `m.room.message`, without `m.mentions`. */
export interface MatrixMessage {
  /** Default: `m.text`. `m.notice` notifies nobody. */
  readonly msgtype?: string;
  /** The plain text. */
  readonly body: string;
  readonly [field: string]: unknown;
}

/** Options of `matrix`. */
export interface MatrixOptions<Event> extends ChatOptions<Event, MatrixMessage> {
  /** The homeserver's address for clients, such as `https://matrix-client.matrix.org`. */
  readonly homeserver: string;
  /** Access token of a user who is in the room. */
  readonly accessToken: string;
  /** The room's id, such as `!abc:example.org`. Not an alias (`#room:example.org`). */
  readonly roomId: string;
}

/**
 * Delivers to a Matrix room as plain text, which mentions nobody. A repeated attempt makes no second message, because
 * its transaction id is a hash of the sink's name and the event's id; homeservers remember it for a limited time. In an
 * encrypted room the message is not encrypted.
 * Throws a `TypeError` for an invalid address, token, room or option. An alias is refused, because it can be moved to
 * another room, and resolving it would take another request for each event.
 */
export function matrix<Event extends object>(options: MatrixOptions<Event>): Sink<Event> {
  const { homeserver, accessToken, roomId } = Object(options) as Partial<MatrixOptions<Event>>;
  const token = checkSecret(service, 'accessToken', accessToken);
  const room = checkRoom(roomId);
  const rooms = baseOf(
    service,
    homeserver,
    '_matrix/client/v3/rooms',
    'homeserver must be its address for clients, such as https://matrix-client.matrix.org',
  );
  return chatSink(chatFor(`${rooms}/${encodeURIComponent(room)}/send/m.room.message`, token), rooms, options);
}

const service = 'Matrix';

function checkRoom(room: unknown): string {
  // From room version 12 on, an id has no `:server`.
  if (typeof room === 'string' && room.isWellFormed() && /^![^\s\0]{1,254}$/.test(room)) return room;
  throw new TypeError(
    "Matrix: roomId must be the room's id, which begins with ! (in Element: Room settings, Advanced), not an alias with #",
  );
}

// Source: spec.matrix.org, Client-Server API, sending events and size limits. The event that the server makes of the
// content, with its signatures and references to others, may have 65,536 bytes.
const maxBytes = 50_000;
const maxSubject = 1_000;

const chatFor = (url: string, token: string): Chat<MatrixMessage> => ({
  service,
  name: 'matrix',
  // For servers from before `m.mentions` (Matrix 1.7), which look for @room in the text.
  escape: withoutMentions,
  messageOf({ subject, happened, message, url: link, details }: ChatParts) {
    const head = withoutMentions(cut(subject, maxSubject));
    const tail = `${link}\n${withoutMentions(details)}`;
    const textWith = (body: string) => [head, happened, withoutMentions(body), tail].filter(Boolean).join('\n\n');
    // Only the message is cut, so that the link and the id always arrive.
    return { body: textWith(cut(message, maxBytes, (body) => jsonBytesOf(textWith(body)))) };
  },
  ofText: (text) => ({ body: cut(text, maxBytes, jsonBytesOf) }),
  // With an empty `m.mentions`, servers do not look for names in the text.
  always: { 'm.mentions': {} },
  request: (message, { delivery, name }) => ({
    method: 'PUT',
    url: `${url}/${createHash('sha256')
      .update(JSON.stringify([name, eventKey(delivery)]))
      .digest('hex')}`,
    headers: { Authorization: `Bearer ${token}` },
    body: JSON.stringify({ msgtype: 'm.text', ...message }),
  }),
  answers: {
    reasonIn: ({ errcode }) => errcode,
    isRefusal: ({ errcode, event_id }) => event_id === undefined && typeof errcode === 'string',
    // `Retry-After` is new in Matrix 1.10.
    retryAfterSecondsIn: ({ retry_after_ms }) =>
      typeof retry_after_ms === 'number' ? retry_after_ms / 1000 : undefined,
  },
  checks: { homeserver: anything, accessToken: anything, roomId: anything },
});

/** The size in JSON, because an escaped character counts as it is sent. */
function jsonBytesOf(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}
