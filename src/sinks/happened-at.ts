import type { Delivery } from '../contracts/delivery.js';

/** Beginning of the year 10000: from then on, ISO dates are longer than usual. */
const maxSeconds = 253_402_300_800;

/** When an event happened, as an ISO date in UTC. If the event does not say, the time of its signature. */
export function happenedAt(event: object, delivery: Pick<Delivery, 'timestamp'>): string {
  const { timestamp } = event as { timestamp?: unknown };
  const isTime = typeof timestamp === 'number' && timestamp >= 0 && timestamp < maxSeconds;
  return new Date((isTime ? timestamp : delivery.timestamp) * 1000).toISOString();
}
