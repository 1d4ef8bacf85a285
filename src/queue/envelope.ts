import type { Delivery, ReceivedDelivery } from '../contracts/delivery.js';
import { eventFormat } from '../providers/index.js';
import { typeOf } from '../providers/provider.js';
import { vast } from '../providers/vast.js';
import { toBuffer } from '../receive/body.js';
import { parseEvent } from '../receive/verify.js';

/**
 * A delivery as it comes out of a queue: `rawBody` in base64, or as JSON makes it of a Buffer. What was
 * queued before there was `verified` does not have it.
 */
export type QueuedDelivery = Omit<Delivery, 'rawBody' | 'verified'> & {
  /** Whether the sender has signed the body. */
  readonly verified?: boolean;
  /** The signed bytes: as they are, in base64, or as `JSON.stringify` makes them of a Buffer. */
  readonly rawBody: Uint8Array | string | { readonly type: 'Buffer'; readonly data: readonly number[] };
};

/** What a queue keeps of a delivery: JSON and nothing else. */
export function toQueued(delivery: Delivery): QueuedDelivery & { readonly rawBody: string } {
  return { ...delivery, rawBody: delivery.rawBody.toString('base64') };
}

/** The delivery that a queue has kept. Throws a `TypeError` for anything else. */
export function fromQueued(queued: Delivery | QueuedDelivery): Delivery {
  const rawBody = bytesOf(Object(queued) as QueuedDelivery);
  return { ...queued, verified: queued.verified ?? queued.provider === vast.name, rawBody };
}

function bytesOf({ rawBody }: QueuedDelivery): Buffer {
  if (typeof rawBody === 'string') return Buffer.from(rawBody, 'base64');
  if (ArrayBuffer.isView(rawBody)) return toBuffer(rawBody);
  if (Array.isArray(rawBody?.data)) return Buffer.from(rawBody.data);
  throw new TypeError('forward(delivery) takes a delivery, or what JSON made of one, with its rawBody');
}

/** The event of a delivery that was checked before it went into a queue, and the event's type if it has one. */
export function reviveEvent<Event>(delivery: Delivery): {
  received: ReceivedDelivery<Event>;
  type: string | undefined;
} {
  const event = parseEvent(delivery.rawBody);
  return { received: { event: event as Event, delivery }, type: typeOf(eventFormat(delivery.provider), event) };
}
