import type { VerifiedDelivery } from '../../src/contracts/delivery.js';

type Delivery = VerifiedDelivery<unknown>['delivery'];

/** A delivery of this body, as the middleware gives it to sinks. */
export function deliveryOf(body: object | string, fields: Partial<Delivery> = {}): Delivery {
  const rawBody = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const times = { timestamp: 1, receivedAt: 1 };
  return { provider: 'vast', source: 'webhook', verified: true, id: 'e1', attempt: 1, ...times, rawBody, ...fields };
}
