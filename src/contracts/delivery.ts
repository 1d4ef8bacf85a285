import { eventFormat } from '../providers/index.js';

/** One HTTP request that brings an event, from a sender that has proved who it is. */
export interface Delivery {
  /** The provider: `vast` for Vast.ai. */
  readonly provider: string;
  /** Whether the sender signed the body. If not, anyone who knows the endpoint's token may have written it. */
  readonly verified: boolean;
  /** The idempotency key: the signed event id, or `sha256:` and the hex hash of the raw body if there is none. */
  readonly id: string;
  /** The sender's number of this attempt. The header is not signed, so use it for information only. */
  readonly attempt: number;
  /** The label of the secret that matched, if secrets have labels. */
  readonly webhook?: string;
  /** When the sender signed it, in Unix seconds. Without a signature, when it arrived. */
  readonly timestamp: number;
  /** When it arrived here, in Unix milliseconds. */
  readonly receivedAt: number;
  /** The bytes as sent, which the signature covers. */
  readonly rawBody: Buffer;
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

/** Names an event among those of all providers. */
export function eventKey({ provider, id }: Pick<Delivery, 'provider' | 'id'>): string {
  return `${provider}:${id}`;
}

/** The event's type, if it has one. Throws a `TypeError` for an unknown provider. */
export function eventType(received: {
  readonly event: unknown;
  readonly delivery: Pick<Delivery, 'provider'>;
}): string | undefined {
  const type = eventFormat(received.delivery.provider).typeOf(received.event as object);
  return typeof type === 'string' ? type : undefined;
}
