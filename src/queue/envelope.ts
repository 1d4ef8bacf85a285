import { Buffer } from 'node:buffer';
import type { Delivery, ReceivedDelivery } from '../contracts/delivery.js';
import { eventFormat } from '../providers/index.js';
import { vast } from '../providers/vast.js';
import { toBuffer } from '../receive/body.js';
import { parseEvent } from '../receive/verify.js';

/**
 * A delivery as it comes out of a queue: `rawBody` is base64, or the JSON form of a Buffer. `verified` and
 * `source` are missing in deliveries that were queued by an early version.
 */
export type QueuedDelivery = Omit<Delivery, 'rawBody' | 'verified' | 'source'> & {
  /** How it came. */
  readonly source?: Delivery['source'];
  /** Whether the sender signed the body. */
  readonly verified?: boolean;
  /** The signed bytes: as bytes, as base64, or in the form that `JSON.stringify` gives a Buffer. */
  readonly rawBody: Uint8Array | string | { readonly type: 'Buffer'; readonly data: readonly number[] };
};

/** The form of a delivery that a queue can store: plain JSON values. */
export function toQueued(delivery: Delivery): QueuedDelivery & { readonly rawBody: string } {
  // Postgres refuses some texts. No header holds these, so a worker finds the type in the body again.
  const type = unstorable.test(delivery.type ?? '') ? undefined : delivery.type;
  return { ...delivery, type, rawBody: delivery.rawBody.toString('base64') };
}

/** NUL, and half of a surrogate pair. */
const unstorable = /[\0\ud800-\udfff]/u;

/** The delivery from its queued form. Throws a `TypeError` for anything else. */
export function fromQueued(queued: Delivery | QueuedDelivery): Delivery {
  const rawBody = bytesOf(Object(queued) as QueuedDelivery);
  const { source = 'webhook', verified = queued.provider === vast.name } = queued;
  return { ...queued, source, verified, rawBody };
}

function bytesOf({ rawBody }: QueuedDelivery): Buffer {
  if (typeof rawBody === 'string') return Buffer.from(rawBody, 'base64');
  if (ArrayBuffer.isView(rawBody)) return toBuffer(rawBody);
  if (Array.isArray(rawBody?.data)) return Buffer.from(rawBody.data);
  throw new TypeError('forward(delivery): delivery must be a delivery or its JSON form, with its rawBody');
}

/** Parses the event of a queued delivery. The signature was checked before it was queued. */
export function reviveEvent<Event>(delivery: Delivery): ReceivedDelivery<Event> {
  // Throws for a provider that only another version knows.
  eventFormat(delivery.provider);
  return { event: parseEvent(delivery.rawBody) as Event, delivery };
}
