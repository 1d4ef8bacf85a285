import { eventFormat } from '../providers/index.js';
import { noHeaders, type Summary } from '../providers/provider.js';

/** What the types around know as `Buffer`: Node.js's class, or nothing that they can name. */
type KnownBuffer = typeof globalThis extends { Buffer: { isBuffer(value: unknown): value is infer Known } }
  ? Known
  : unknown;

/** A `Buffer`, in every runtime. Without the types of Node.js it is known as the `Uint8Array` that it is, too. */
type RawBody = KnownBuffer extends Uint8Array ? KnownBuffer : Uint8Array;

/** One HTTP request that brings an event, from a sender that has proved who it is. */
export interface Delivery {
  /** The provider: `vast` for Vast.ai. */
  readonly provider: string;
  /** How it came: `webhook`, or `inbox` for an event that `catchUp` found in Vast.ai's notification inbox. */
  readonly source: 'webhook' | 'inbox';
  /**
   * Whether the sender signed the body. If not, anyone who knows the endpoint's token may have written it. From the
   * inbox, it came over TLS from the sender's own API.
   */
  readonly verified: boolean;
  /** The idempotency key: the signed event id, or `sha256:` and the hex hash of the raw body if there is none. */
  readonly id: string;
  /** The event's type, if it has one. Of some senders from a header that is not signed: then for information only. */
  readonly type?: string | undefined;
  /** The sender's number of this attempt. The header is not signed, so use it for information only. */
  readonly attempt: number;
  /** The label of the secret that matched, if secrets have labels. */
  readonly webhook?: string;
  /** When the sender signed it, in Unix seconds. Without a signature, when it arrived. */
  readonly timestamp: number;
  /** When it arrived here, in Unix milliseconds. */
  readonly receivedAt: number;
  /** The bytes as sent, which the signature covers. */
  readonly rawBody: RawBody;
}

/** A delivery and the event it carries. */
export interface ReceivedDelivery<Event> {
  /** The payload as sent. */
  readonly event: Event;
  /** How it came in. */
  readonly delivery: Delivery;
}

/** A signed delivery and its event. */
export interface VerifiedDelivery<Event> extends ReceivedDelivery<Event> {
  readonly delivery: Delivery & {
    /** The sender signed the body. */
    readonly verified: true;
  };
}

/** An unsigned delivery and its event: use it as a hint, and fetch the state from the API. */
export interface UnverifiedDelivery<Event> extends ReceivedDelivery<Event> {
  readonly delivery: Delivery & {
    /** The body is not signed. */
    readonly verified: false;
  };
}

/** A delivery of a sender that signs, or of one that does not, and its event. */
export type ReceivedFrom<Event, Signs extends boolean> = Signs extends true
  ? VerifiedDelivery<Event>
  : UnverifiedDelivery<Event>;

/** Names an event among those of all providers. */
export function eventKey({ provider, id }: Pick<Delivery, 'provider' | 'id'>): string {
  return `${provider}:${id}`;
}

/** The event's type, if it has one. Throws a `TypeError` for an unknown provider. */
export function eventType(received: {
  readonly event: unknown;
  readonly delivery: Pick<Delivery, 'provider' | 'type'>;
}): string | undefined {
  const { provider, type: known } = received.delivery;
  const type = known ?? eventFormat(provider).typeOf(received.event as object, noHeaders);
  return typeof type === 'string' ? type : undefined;
}

/** Texts about an event for people. Throws a `TypeError` for an unknown provider. */
export function summarized(event: object, delivery: Pick<Delivery, 'provider' | 'type'>): Summary {
  return eventFormat(delivery.provider).summarize(event, eventType({ event, delivery }) ?? '');
}
