import { Buffer } from 'node:buffer';
import type { VastApiNotification } from '../api/vast.js';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import { type VastContext, type VastEvent, vast } from '../providers/vast.js';
import { isUsableId, parseEvent } from '../receive/verify.js';

/** No clock of a sender is so far ahead of another of its clocks. A first run would count from such a row's time. */
const aheadSeconds = 60 * 60;

/**
 * The rows that can be events, the oldest first and each id once. `date` is the sender's time. Does not throw, whatever
 * is in a row.
 */
export function usableRows(rows: readonly VastApiNotification[], date: number): readonly VastApiNotification[] {
  const byId = new Map<string, VastApiNotification>();
  for (const row of rows) if (isUsable(row, date) && !byId.has(row.event_id)) byId.set(row.event_id, row);
  return [...byId.values()].sort((a, b) => a.created_at - b.created_at);
}

function isUsable(row: VastApiNotification, date: number): boolean {
  try {
    const { event_id: id, created_at: time } = row;
    return isUsableId(id) && time > 0 && time < date + aheadSeconds && bytesOf(row).length > 0;
  } catch {
    return false;
  }
}

/** For whom a row is, and the labels that secrets of such webhooks have: the service's word, and that of our guides. */
const labelsByContext: Readonly<Record<VastContext, readonly string[]>> = {
  client: ['client', 'renter'],
  host: ['host'],
};

/** Whether sinks that go by this label can get rows. */
export function isContextLabel(label: string): boolean {
  return Object.values(labelsByContext).some((labels) => labels.includes(label));
}

/** Undefined where secrets have no labels. Where no secret is for such rows, the service's word. */
function labelOf(context: unknown, labels: readonly string[]): string | undefined {
  if (labels.length === 0 || typeof context !== 'string' || !Object.hasOwn(labelsByContext, context)) return undefined;
  const own = labelsByContext[context as VastContext];
  return labels.find((label) => own.includes(label)) ?? own[0];
}

/** A delivery of the row's event. It has the label of the webhook that would have brought it. */
export function receivedOf(
  row: VastApiNotification,
  labels: readonly string[],
  receivedAt: number,
): ReceivedDelivery<VastEvent> {
  const rawBody = bytesOf(row);
  const { event_id: id, notif_type: type, user_context: context } = row;
  return {
    // As a worker parses it out of a queue.
    event: parseEvent(rawBody) as VastEvent,
    delivery: {
      provider: vast.name,
      source: 'inbox',
      verified: false,
      id,
      type: typeof type === 'string' ? type : undefined,
      attempt: 1,
      webhook: labelOf(context, labels),
      timestamp: Math.floor(receivedAt / 1000),
      receivedAt,
      rawBody,
    },
  };
}

function bytesOf(row: VastApiNotification): Buffer {
  return Buffer.from(JSON.stringify({ ...row, timestamp: row.created_at }));
}
