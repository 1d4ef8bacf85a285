import type { Delivery } from '../contracts/delivery.js';

/** Until the year 10000: the last second that has an ISO date of the usual length. */
const maxSeconds = 253_402_300_800;

/** When an event happened, as an ISO date in UTC; when it was signed, where it does not say so itself. */
export function happenedAt(event: object, delivery: Delivery): string {
  const { timestamp } = event as { timestamp?: unknown };
  const isTime = typeof timestamp === 'number' && timestamp >= 0 && timestamp < maxSeconds;
  return new Date((isTime ? timestamp : delivery.timestamp) * 1000).toISOString();
}
