import { providerOf } from '../providers/index.js';
import { toBuffer } from '../receive/body.js';
import type { Delivery, Verified } from '../receive/delivery.js';
import { parseEvent, typeOf } from '../receive/verify.js';

/** A delivery as it comes out of a queue: `rawBody` in base64, or as JSON makes it of a Buffer. */
export type QueuedDelivery = Omit<Delivery, 'rawBody'> & {
  readonly rawBody: Uint8Array | string | { readonly type: 'Buffer'; readonly data: readonly number[] };
};

/** What a queue keeps of a delivery: JSON and nothing else. */
export function toQueued(delivery: Delivery): QueuedDelivery & { readonly rawBody: string } {
  return { ...delivery, rawBody: delivery.rawBody.toString('base64') };
}

/** The delivery that a queue has kept. Throws a `TypeError` for anything else. */
export function fromQueued(queued: Delivery | QueuedDelivery): Delivery {
  const { rawBody } = Object(queued) as QueuedDelivery;
  if (typeof rawBody === 'string') return { ...queued, rawBody: Buffer.from(rawBody, 'base64') };
  if (ArrayBuffer.isView(rawBody)) return { ...queued, rawBody: toBuffer(rawBody) };
  if (Array.isArray(rawBody?.data)) return { ...queued, rawBody: Buffer.from(rawBody.data) };
  throw new TypeError('forward(delivery) takes a delivery, or what JSON made of one, with its rawBody');
}

/** The event of a delivery that was verified before it went into a queue, and the event's type if it has one. */
export function reviveEvent<Event>(delivery: Delivery): { verified: Verified<Event>; type: string | undefined } {
  const event = parseEvent(delivery.rawBody);
  return { verified: { event: event as Event, delivery }, type: typeOf(providerOf(delivery.provider), event) };
}
