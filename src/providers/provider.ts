import { visible } from '../util/visible.js';

/** How serious an event is for the people who must act on it. */
export type Severity = 'info' | 'warning' | 'error' | 'critical';

/** Texts about an event for people, the same for all senders. Escape them, because the sender wrote them. */
interface Summary {
  readonly subject: string;
  readonly message: string;
  readonly type: string;
  readonly severity: Severity;
  /** Where to act on it. */
  readonly url: string;
}

/** How to read the events of one sender. */
export interface EventFormat<Event> {
  /** Part of the idempotency key, and where handlers find the event: `req.vast`. */
  readonly name: string;
  /** The field that should be the type. It may be anything. */
  typeOf(event: Event): unknown;
  summarize(event: Event): Summary;
}

interface SenderBase<Event> extends EventFormat<Event> {
  /** Default path of the endpoint. */
  readonly path: string;
  /** The field that should be the event id. It may be anything. */
  idOf(event: Event): unknown;
}

/** A sender that signs `<timestamp>.<raw body>` with HMAC-SHA256. */
export interface SigningProvider<Event> extends SenderBase<Event> {
  /** Header names in lower case. Of the headers, only the timestamp is signed. */
  readonly headers: {
    readonly signature: string;
    readonly timestamp: string;
    readonly attempt?: string;
    /** A copy of the event id that must equal the signed one. */
    readonly id?: string;
  };
  readonly token?: undefined;
}

/** A sender that signs nothing. Its deliveries have the token of the registered URL. */
export interface TokenProvider<Event> extends SenderBase<Event> {
  readonly headers?: undefined;
  /** Name of the query parameter. */
  readonly token: string;
}

/** One sender: the form of its deliveries and events. */
export type Provider<Event> = SigningProvider<Event> | TokenProvider<Event>;

/** A value of an event as text for people: objects as JSON, empty and invisible values as an empty text. */
export function shown(value: unknown): string {
  if (!value || (typeof value === 'object' && Object.keys(value).length === 0)) return '';
  return typeof value === 'object' ? jsonOf(value) : visible(String(value).toWellFormed());
}

/** The value as JSON. Empty if it is nested too deeply. */
export function jsonOf(value: object): string {
  try {
    return JSON.stringify(value).toWellFormed();
  } catch {
    return '';
  }
}

/** The string, or an empty one if it shows nothing. Well-formed, because JSON can have half a surrogate pair, which chats refuse. */
export function text(value: unknown): string {
  return typeof value === 'string' ? visible(value.toWellFormed()) : '';
}
