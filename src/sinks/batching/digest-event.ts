import { Buffer } from 'node:buffer';
import { type Delivery, type ReceivedDelivery, summarized } from '../../contracts/delivery.js';
import { type DigestEvent, type DigestedType, digests } from '../../providers/digests.js';
import type { Severity } from '../../providers/provider.js';
import { summaryOf } from '../summary.js';
import { cut, oneLine } from '../text.js';

/** Properties that many events share. */
export interface EventGroup {
  readonly provider: string;
  readonly webhook: string | undefined;
  /** Whether the sender signed the events. */
  readonly verified: boolean;
  readonly type: string;
  readonly severity: Severity;
  readonly url: string;
  /** The Vast.ai account. Undefined for other senders. */
  readonly account: unknown;
}

/** The part of an event that is kept until the digest is delivered. */
export interface DigestEntry {
  readonly id: string;
  readonly group: EventGroup;
  /** The full event. Kept for some only if there are many. */
  readonly received?: ReceivedDelivery<object>;
}

const severities: readonly Severity[] = ['critical', 'error', 'warning', 'info'];

// Slack allows 150 characters in a header and 3,000 in a section.
const maxTypes = 5;
const maxTypeLength = 50;
const maxSubjects = 20;
/** How many subjects are read. More than are shown, because equal ones share a line. */
const maxRead = 1_000;
const maxSubjectLength = 120;
const maxIds = 1_000;

export function groupOf(event: object, delivery: Delivery): EventGroup {
  const { provider, webhook, verified } = delivery;
  const { type, severity, url } = summarized(event, delivery);
  return { provider, webhook, verified, type, severity, url, account: (event as { user_id?: unknown }).user_id };
}

/**
 * One event that stands for several, and its delivery. The delivery is a copy of `newest`, their last one. `setId` is
 * the same for the same events. Sorts nothing that grows with the number of events, because there may be 100,000.
 */
export function digestOf(
  entries: readonly DigestEntry[],
  newest: Delivery,
  setId: string,
): ReceivedDelivery<DigestEvent> {
  const rank = ([{ severity }]: Groups[number]) => severities.indexOf(severity);
  const groups = [...countEqual(entries.map(({ group }) => group))].sort((a, b) => rank(a) - rank(b));
  const webhook = only(groups, (group) => group.webhook);
  const account = only(groups, (group) => group.account);
  const event: DigestEvent = {
    event_id: `digest:${setId}`,
    user_id: typeof account === 'number' ? account : 0,
    notif_type: 'digest',
    subject: `${entries.length} notifications: ${typesIn(groups)}`,
    message: messageOf(entries),
    timestamp: newest.timestamp,
    severity: groups[0]?.[0].severity ?? 'info',
    url: urlOf(groups),
    count: entries.length,
    types: typesOf(groups),
    event_ids: entries
      .slice(0, maxIds)
      .map(({ id }) => id)
      .sort(),
  };
  const rawBody = Buffer.from(JSON.stringify(event));
  const verified = groups.every(([group]) => group.verified);
  const { name: provider } = digests;
  const { event_id: id, notif_type: type } = event;
  return {
    event,
    delivery: { ...newest, provider, source: 'webhook', verified, id, type, attempt: 1, webhook, rawBody },
  };
}

/** Groups and how many events each has: by severity, the worst first, then in the order of arrival. */
type Groups = readonly (readonly [group: EventGroup, count: number])[];

/** The value that all groups share, if there is one. */
function only<T>(groups: Groups, of: (group: EventGroup) => T): T | undefined {
  const values = new Set(groups.map(([group]) => of(group)));
  return values.size === 1 ? [...values][0] : undefined;
}

/** The link that all events share, or else the console of the worst one. */
function urlOf(groups: Groups): string {
  const url = only(groups, (group) => group.url);
  const worst = groups[0]?.[0].url ?? '';
  return url ?? (URL.canParse(worst) ? new URL('/', worst).href : worst);
}

function typesOf(groups: Groups): DigestEvent['types'] {
  const types = new Map<string, DigestedType>();
  for (const [{ provider, webhook, type }, count] of groups) {
    const key = JSON.stringify([provider, webhook, type]);
    types.set(key, { provider, webhook, type, count: count + (types.get(key)?.count ?? 0) });
  }
  return [...types.values()];
}

/** `480 × instance_offline, 20 × outbid` */
function typesIn(groups: Groups): string {
  const types = totals(groups.map(([{ type }, count]) => ({ key: oneLine(type), count })));
  const parts = [...types]
    .sort(([, a], [, b]) => b - a)
    .map(([type, count]) => `${count} × ${cut(type, maxTypeLength) || 'without a type'}`);
  return [...parts.slice(0, maxTypes), ...(parts.length > maxTypes ? ['and others'] : [])].join(', ');
}

/** The subjects that are kept, one per line, within the limits. */
function messageOf(entries: readonly DigestEntry[]): string {
  const subjects = severities
    .flatMap((severity) => keptOf(entries, severity))
    .slice(0, maxRead)
    .map(({ received }) => subjectIn(received as ReceivedDelivery<object>));
  const shown = [...countEqual(subjects)].slice(0, maxSubjects);
  const lines = shown.map(([subject, count]) => (count === 1 ? subject : `${count} × ${subject}`));
  const more = entries.length - shown.reduce((sum, [, count]) => sum + count, 0);
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}

/** Full events of the severity, as many as are read. */
function keptOf(entries: readonly DigestEntry[], severity: Severity): readonly DigestEntry[] {
  return entries
    .filter(({ received, group }) => received !== undefined && group.severity === severity)
    .slice(0, maxRead);
}

function subjectIn({ event, delivery }: ReceivedDelivery<object>): string {
  return cut(summaryOf(event, delivery).title, maxSubjectLength);
}

function countEqual<T>(values: readonly T[]): Map<T, number> {
  return totals(values.map((key) => ({ key, count: 1 })));
}

function totals<T>(parts: readonly { readonly key: T; readonly count: number }[]): Map<T, number> {
  const sums = new Map<T, number>();
  for (const { key, count } of parts) sums.set(key, (sums.get(key) ?? 0) + count);
  return sums;
}
