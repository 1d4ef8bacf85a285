import type { Delivery } from '../contracts/delivery.js';

/** Beginning of the year 10000: from then on, ISO dates are longer than usual. */
const maxSeconds = 253_402_300_800;

/** ISO 8601 with a zone, because without one it would be the time of this machine's zone. */
const isoDate = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

/**
 * When an event happened, as an ISO date in UTC: its `timestamp` (Vast.ai: Unix seconds) or `createdAt` (Shodai: ISO
 * 8601). If the event does not say, the time of its signature.
 */
export function happenedAt(event: object, delivery: Pick<Delivery, 'timestamp'>): string {
  const { timestamp, createdAt } = event as { timestamp?: unknown; createdAt?: unknown };
  const said = [timestamp, typeof createdAt === 'string' && isoDate.test(createdAt) && Date.parse(createdAt) / 1000];
  const seconds = said.find((time): time is number => typeof time === 'number' && time >= 0 && time < maxSeconds);
  return new Date((seconds ?? delivery.timestamp) * 1000).toISOString();
}
