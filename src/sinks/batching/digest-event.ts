import { createHash } from 'node:crypto';
import type { Delivery, ReceivedDelivery } from '../../contracts/delivery.js';
import { type DigestEvent, type DigestedType, digests } from '../../providers/digests.js';
import { eventFormat } from '../../providers/index.js';
import type { Severity } from '../../providers/provider.js';
import { cut, oneLine } from '../text.js';

/** What many events have in common. */
export interface EventGroup {
  readonly provider: string;
  readonly webhook: string | undefined;
  /** Whether its sender has signed it. */
  readonly verified: boolean;
  readonly type: string;
  readonly severity: Severity;
  readonly url: string;
  /** The Vast.ai account, where it is one of Vast.ai's. */
  readonly account: unknown;
}

/** As much of an event as is kept until it is told. */
export interface DigestEntry {
  readonly id: string;
  readonly kind: EventGroup;
  /** Not of all, where there are many. */
  readonly received?: ReceivedDelivery<object>;
}

const severities: readonly Severity[] = ['critical', 'error', 'warning', 'info'];

// A Slack header takes 150 characters, a section 3,000.
const maxTypes = 5;
const maxTypeLength = 50;
const maxSubjects = 20;
/** Of how many events the subjects are looked at, since some may be the same. */
const maxRead = 1_000;
const maxSubjectLength = 120;
const maxIds = 1_000;

export function groupOf(event: object, { provider, webhook, verified }: Delivery): EventGroup {
  const { type, severity, url } = eventFormat(provider).summarize(event);
  return { provider, webhook, verified, type, severity, url, account: (event as { user_id?: unknown }).user_id };
}

/** One event that stands for several, and a delivery that carries it: like `newest`, theirs that came last. */
export function digestOf(summands: readonly DigestEntry[], newest: Delivery): ReceivedDelivery<DigestEvent> {
  const kinds = inOrder([...counted(summands.map(({ kind }) => kind))], ([kind]) => kind);
  const webhook = only(kinds, (kind) => kind.webhook);
  const account = only(kinds, (kind) => kind.account);
  const event: DigestEvent = {
    event_id: idOf(summands),
    user_id: typeof account === 'number' ? account : 0,
    notif_type: 'digest',
    subject: `${summands.length} notifications: ${typesIn(kinds)}`,
    message: messageOf(summands),
    timestamp: newest.timestamp,
    severity: kinds[0]?.[0].severity ?? 'info',
    url: urlOf(kinds),
    count: summands.length,
    types: typesOf(kinds),
    event_ids: summands
      .map(({ id }) => id)
      .sort()
      .slice(0, maxIds),
  };
  const rawBody = Buffer.from(JSON.stringify(event));
  const verified = summands.every(({ kind }) => kind.verified);
  const { name: provider } = digests;
  return { event, delivery: { ...newest, provider, verified, id: event.event_id, attempt: 1, webhook, rawBody } };
}

/** Kinds with how many events are of them, the gravest first, and otherwise as they came. */
type Kinds = readonly (readonly [kind: EventGroup, count: number])[];

function inOrder<T>(list: T[], kindOfIt: (item: T) => EventGroup): T[] {
  const rank = (item: T) => severities.indexOf(kindOfIt(item).severity);
  return list.sort((a, b) => rank(a) - rank(b));
}

/** What all have, if that is the same. */
function only<T>(kinds: Kinds, of: (kind: EventGroup) => T): T | undefined {
  const values = new Set(kinds.map(([kind]) => of(kind)));
  return values.size === 1 ? [...values][0] : undefined;
}

function idOf(summands: readonly DigestEntry[]): string {
  const keys = summands.map(({ id, kind }) => `${kind.provider}:${id}`).sort();
  return `digest:${createHash('sha256').update(keys.join('\n')).digest('hex')}`;
}

/** Where all of them point to, or the console that the gravest one does. */
function urlOf(kinds: Kinds): string {
  const url = only(kinds, (kind) => kind.url);
  const gravest = kinds[0]?.[0].url ?? '';
  return url ?? (URL.canParse(gravest) ? new URL('/', gravest).href : gravest);
}

function typesOf(kinds: Kinds): DigestEvent['types'] {
  const types = new Map<string, DigestedType>();
  for (const [{ provider, webhook, type }, count] of kinds) {
    const key = JSON.stringify([provider, webhook, type]);
    types.set(key, { provider, webhook, type, count: count + (types.get(key)?.count ?? 0) });
  }
  return [...types.values()];
}

/** `480 × instance_offline, 20 × outbid` */
function typesIn(kinds: Kinds): string {
  const types = totals(kinds.map(([{ type }, count]) => ({ key: oneLine(type), count })));
  const parts = [...types]
    .sort(([, a], [, b]) => b - a)
    .map(([type, count]) => `${count} × ${cut(type, maxTypeLength) || 'without a type'}`);
  return [...parts.slice(0, maxTypes), ...(parts.length > maxTypes ? ['and others'] : [])].join(', ');
}

/** The subjects, a line each, as far as they are kept and can be shown. */
function messageOf(summands: readonly DigestEntry[]): string {
  const kept = summands.filter(({ received }) => received !== undefined);
  const subjects = inOrder(kept, ({ kind }) => kind)
    .slice(0, maxRead)
    .map(
      ({ kind, received }) => subjectIn(received as ReceivedDelivery<object>) || oneLine(kind.type) || 'Notification',
    );
  const shown = [...counted(subjects)].slice(0, maxSubjects);
  const lines = shown.map(([subject, count]) => (count === 1 ? subject : `${count} × ${subject}`));
  const more = summands.length - shown.reduce((sum, [, count]) => sum + count, 0);
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}

function subjectIn({ event, delivery }: ReceivedDelivery<object>): string {
  return cut(oneLine(eventFormat(delivery.provider).summarize(event).subject), maxSubjectLength);
}

function counted<T>(values: readonly T[]): Map<T, number> {
  return totals(values.map((key) => ({ key, count: 1 })));
}

function totals<T>(parts: readonly { readonly key: T; readonly count: number }[]): Map<T, number> {
  const sums = new Map<T, number>();
  for (const { key, count } of parts) sums.set(key, (sums.get(key) ?? 0) + count);
  return sums;
}
