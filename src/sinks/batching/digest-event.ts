import { createHash } from 'node:crypto';
import { type Delivery, eventKey, type ReceivedDelivery } from '../../contracts/delivery.js';
import { type DigestEvent, type DigestedType, digests } from '../../providers/digests.js';
import { eventFormat } from '../../providers/index.js';
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

export function groupOf(event: object, { provider, webhook, verified }: Delivery): EventGroup {
  const { type, severity, url } = eventFormat(provider).summarize(event);
  return { provider, webhook, verified, type, severity, url, account: (event as { user_id?: unknown }).user_id };
}

/** One event that stands for several, and its delivery. The delivery is a copy of `newest`, their last one. */
export function digestOf(entries: readonly DigestEntry[], newest: Delivery): ReceivedDelivery<DigestEvent> {
  const groups = inOrder([...countEqual(entries.map(({ group }) => group))], ([group]) => group);
  const webhook = only(groups, (group) => group.webhook);
  const account = only(groups, (group) => group.account);
  const event: DigestEvent = {
    event_id: idOf(entries),
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
      .map(({ id }) => id)
      .sort()
      .slice(0, maxIds),
  };
  const rawBody = Buffer.from(JSON.stringify(event));
  const verified = entries.every(({ group }) => group.verified);
  const { name: provider } = digests;
  return { event, delivery: { ...newest, provider, verified, id: event.event_id, attempt: 1, webhook, rawBody } };
}

/** Groups and how many events each has: by severity, the worst first, then in the order of arrival. */
type Groups = readonly (readonly [group: EventGroup, count: number])[];

function inOrder<T>(list: T[], groupOfItem: (item: T) => EventGroup): T[] {
  const rank = (item: T) => severities.indexOf(groupOfItem(item).severity);
  return list.sort((a, b) => rank(a) - rank(b));
}

/** The value that all groups share, if there is one. */
function only<T>(groups: Groups, of: (group: EventGroup) => T): T | undefined {
  const values = new Set(groups.map(([group]) => of(group)));
  return values.size === 1 ? [...values][0] : undefined;
}

function idOf(entries: readonly DigestEntry[]): string {
  const keys = entries.map(({ id, group }) => eventKey({ provider: group.provider, id })).sort();
  return `digest:${createHash('sha256').update(keys.join('\n')).digest('hex')}`;
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
  const kept = entries.filter(({ received }) => received !== undefined);
  const subjects = inOrder(kept, ({ group }) => group)
    .slice(0, maxRead)
    .map(({ received }) => subjectIn(received as ReceivedDelivery<object>));
  const shown = [...countEqual(subjects)].slice(0, maxSubjects);
  const lines = shown.map(([subject, count]) => (count === 1 ? subject : `${count} × ${subject}`));
  const more = entries.length - shown.reduce((sum, [, count]) => sum + count, 0);
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
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
