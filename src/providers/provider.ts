import { visible } from '../util/visible.js';
import type { Scheme, WorkingScheme } from './scheme.js';

/** How serious an event is for the people who must act on it. */
export type Severity = 'info' | 'warning' | 'error' | 'critical';

/** Texts about an event for people, the same for all senders. Escape them, because the sender wrote them. */
export interface Summary {
  /** One line. May be empty. */
  readonly subject: string;
  /** Further text. May be empty. */
  readonly message: string;
  /** The event's type. May be empty. */
  readonly type: string;
  /** How serious the event is. */
  readonly severity: Severity;
  /** Where to act on it. */
  readonly url: string;
}

/** How to read the events of one sender. */
export interface EventFormat<Event> {
  /** Part of the idempotency key, and where handlers find the event: `req.vast`. */
  readonly name: string;
  /** The field that should be the type. It may be anything. */
  typeOf(event: Event, headers: SenderHeaders): unknown;
  /** `type` is the event's type, or empty. */
  summarize(event: Event, type: string): Summary;
}

/** Headers of a delivery. */
export interface SenderHeaders {
  /** A header's value by its name, in any case. The values of a repeated header are joined by commas. */
  get(name: string): string | undefined;
}

export const noHeaders: SenderHeaders = { get: () => undefined };

/** One sender: the form of its deliveries and events. Made by `defineProvider`. */
export interface Provider<Event, Signs extends boolean = boolean> extends EventFormat<Event> {
  /** Default path of the endpoint. */
  readonly path: string;
  /** How a delivery proves its sender. */
  readonly scheme: Scheme<Signs>;
  /** The field that should be the event id. It may be anything. `signed` has the headers that the signature covers. */
  idOf(event: Event, signed: SenderHeaders): unknown;
}

/** The scheme with all that a receiver uses. `defineProvider` accepts no other. */
export function schemeOf(provider: Provider<never>): WorkingScheme {
  return provider.scheme as WorkingScheme;
}

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
