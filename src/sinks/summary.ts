import { type Delivery, summarized } from '../contracts/delivery.js';
import type { Severity } from '../providers/provider.js';
import { vast } from '../providers/vast.js';
import { visible } from '../util/visible.js';
import { happenedAt } from './happened-at.js';
import { oneLine } from './text.js';

/** An event for people, the same for all senders. Escape its texts, because the sender wrote them. */
export interface EventSummary {
  /** One line, never empty. */
  readonly title: string;
  /** May be empty, and may have several lines. */
  readonly text: string;
  /** When it happened, as an ISO date in UTC. If the event does not say, when the sender signed it. */
  readonly when: string;
  /** How serious it is. */
  readonly severity: Severity;
  /** Where to act on it. */
  readonly link: string;
  /** One line. Empty if the event has no type. */
  readonly type: string;
}

/**
 * Summarizes an event. The delivery says whose event it is and when it was signed. Without it, the event is read as one
 * of Vast.ai's.
 */
export function summaryOf(
  event: object,
  delivery: Pick<Delivery, 'provider' | 'type' | 'timestamp'> = { provider: vast.name, timestamp: Date.now() / 1000 },
): EventSummary {
  const { subject, message, type: anyType, severity, url } = summarized(event, delivery);
  const type = visible(oneLine(anyType));
  return {
    title: visible(oneLine(subject)) || type || 'Notification',
    text: visible(message.trim()),
    when: happenedAt(event, delivery),
    severity,
    link: url,
    type,
  };
}

/** From then on, a message says when the event happened. */
const lateMs = 60_000;

/** `Happened at 2026-11-26 22:13 UTC`, for people. Empty if that is less than a minute ago. */
export function happened(when: string, now = Date.now()): string {
  return now - Date.parse(when) >= lateMs ? `Happened at ${utcOf(when)}` : '';
}

/** `2026-11-26 22:13 UTC` */
function utcOf(when: string): string {
  return `${when.slice(0, 10)} ${when.slice(11, 16)} UTC`;
}
