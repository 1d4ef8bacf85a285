/** How grave an event is for whoever has to act on it. */
export type Severity = 'info' | 'warning' | 'error' | 'critical';

/** What a sink needs to tell people of an event, whoever sent it. All texts are the sender's: escape them. */
interface Summary {
  readonly subject: string;
  readonly message: string;
  readonly type: string;
  readonly severity: Severity;
  /** Where to act on it. */
  readonly url: string;
}

/** What must be known of a sender to tell of its events. */
export interface EventFormat<Event> {
  /** Part of the idempotency key, and where handlers find the event: `req.vast`. */
  readonly name: string;
  /** The type, whatever stands in its place. */
  typeOf(event: Event): unknown;
  summarize(event: Event): Summary;
}

interface SenderBase<Event> extends EventFormat<Event> {
  /** The endpoint where none is given. */
  readonly path: string;
  /** The event id, whatever stands in its place. */
  idOf(event: Event): unknown;
}

/** A sender that signs `<timestamp>.<raw body>` with HMAC-SHA256. */
export interface SigningProvider<Event> extends SenderBase<Event> {
  /** Header names in lower case. Only what `signature` and `timestamp` say is signed. */
  readonly headers: {
    readonly signature: string;
    readonly timestamp: string;
    readonly attempt?: string;
    /** A copy of the event id that must equal the signed one. */
    readonly id?: string;
  };
  readonly token?: undefined;
}

/** A sender that signs nothing: what it shows is the token in the URL that was registered. */
export interface TokenProvider<Event> extends SenderBase<Event> {
  readonly headers?: undefined;
  /** Name of the query parameter. */
  readonly token: string;
}

/** A sender's dialect: what its deliveries look like. */
export type Provider<Event> = SigningProvider<Event> | TokenProvider<Event>;

/** The event's type, if it has one. */
export function typeOf<Event>(provider: Pick<EventFormat<Event>, 'typeOf'>, event: Event): string | undefined {
  const type = provider.typeOf(event);
  return typeof type === 'string' ? type : undefined;
}

/** A value of an event as text for people: what is no text as JSON, and nothing for what says nothing. */
export function shown(value: unknown): string {
  if (!value || (typeof value === 'object' && Object.keys(value).length === 0)) return '';
  return typeof value === 'object' ? jsonOf(value) : String(value).toWellFormed();
}

/** Empty for what is nested too deep to be written. */
export function jsonOf(value: object): string {
  try {
    return JSON.stringify(value).toWellFormed();
  } catch {
    return '';
  }
}

/** JSON can hold half a surrogate pair, which chats refuse. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value.toWellFormed() : '';
}
