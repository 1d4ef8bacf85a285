import { createHash } from 'node:crypto';
import type { DigestEvent } from '../providers/digests.js';
import { digests } from '../providers/digests.js';
import { providerOf } from '../providers/index.js';
import type { Severity } from '../providers/provider.js';
import type { Delivery, Verified } from '../receive/delivery.js';
import { cut, oneLine } from './text.js';

/** What many events have in common. */
export interface Kind {
  readonly provider: string;
  readonly webhook: string | undefined;
  readonly type: string;
  readonly severity: Severity;
  readonly url: string;
  /** The Vast.ai account, where it is one of Vast.ai's. */
  readonly account: unknown;
}

/** As much of an event as is kept until it is told. */
export interface Summand {
  readonly id: string;
  readonly kind: Kind;
  /** Not of all, where there are many. */
  readonly verified?: Verified<object>;
}

const severities: readonly Severity[] = ['critical', 'error', 'warning', 'info'];

// A Slack header takes 150 characters, a section 3,000.
const maxTypes = 5;
const maxTypeLength = 50;
const maxSubjects = 20;
const maxSubjectLength = 120;
const maxIds = 1_000;

export function kindOf(event: object, { provider, webhook }: Delivery): Kind {
  const { type, severity, url } = providerOf(provider).summarize(event);
  return { provider, webhook, type, severity, url, account: (event as { user_id?: unknown }).user_id };
}

/** One event that stands for several, and a delivery that carries it: like `newest`, theirs that came last. */
export function summaryOf(summands: readonly Summand[], newest: Delivery): Verified<DigestEvent> {
  const kinds = [...new Set(summands.map(({ kind }) => kind))];
  const webhook = only(kinds.map((kind) => kind.webhook));
  const account = only(kinds.map((kind) => kind.account));
  const event: DigestEvent = {
    event_id: idOf(summands),
    user_id: typeof account === 'number' ? account : 0,
    notif_type: 'digest',
    subject: subjectOf(summands),
    message: messageOf(summands),
    timestamp: newest.timestamp,
    severity: severities.find((severity) => kinds.some((kind) => kind.severity === severity)) ?? 'info',
    url: urlOf(kinds),
    count: summands.length,
    types: typesOf(summands),
    event_ids: summands
      .map(({ id }) => id)
      .sort()
      .slice(0, maxIds),
  };
  const rawBody = Buffer.from(JSON.stringify(event));
  return { event, delivery: { ...newest, provider: digests.name, id: event.event_id, attempt: 1, webhook, rawBody } };
}

/** What all are, if they are all the same. */
function only<T>(values: readonly T[]): T | undefined {
  const [first] = values;
  return values.every((value) => value === first) ? first : undefined;
}

function idOf(summands: readonly Summand[]): string {
  const keys = summands.map(({ id, kind }) => `${kind.provider}:${id}`).sort();
  return `digest:${createHash('sha256').update(keys.join('\n')).digest('hex')}`;
}

function urlOf(kinds: readonly Kind[]): string {
  const [gravest] = inOrder(kinds, (kind) => kind).map((kind) => kind.url);
  const url = only(kinds.map((kind) => kind.url)) ?? gravest ?? '';
  return kinds.every((kind) => kind.url === url) || !URL.canParse(url) ? url : new URL('/', url).href;
}

/** The gravest first, and otherwise as they came. */
function inOrder<T>(list: readonly T[], kind: (item: T) => Kind): T[] {
  const rank = (item: T) => severities.indexOf(kind(item).severity);
  return [...list].sort((a, b) => rank(a) - rank(b));
}

function typesOf(summands: readonly Summand[]): DigestEvent['types'] {
  const types = new Map<string, { provider: string; webhook?: string; type: string; count: number }>();
  for (const { kind } of summands) {
    const { provider, webhook, type } = kind;
    const key = JSON.stringify([provider, webhook, type]);
    const counted = types.get(key) ?? { provider, webhook, type, count: 0 };
    counted.count++;
    types.set(key, counted);
  }
  return [...types.values()];
}

/** `500 notifications: 480 × instance_offline, 20 × outbid` */
function subjectOf(summands: readonly Summand[]): string {
  const counts = counted(inOrder(summands, ({ kind }) => kind).map(({ kind }) => oneLine(kind.type)));
  const parts = counts
    .sort(([, a], [, b]) => b - a)
    .map(([type, count]) => `${count} × ${cut(type, maxTypeLength) || 'without a type'}`);
  const shown = parts.length > maxTypes ? [...parts.slice(0, maxTypes), 'and others'] : parts;
  return `${summands.length} notifications: ${shown.join(', ')}`;
}

/** The subjects, a line each, as far as they are kept and can be shown. */
function messageOf(summands: readonly Summand[]): string {
  const subjects = inOrder(summands, ({ kind }) => kind).flatMap(({ kind, verified }) =>
    verified === undefined ? [] : [subjectIn(verified) || oneLine(kind.type) || 'Notification'],
  );
  const shown = counted(subjects).slice(0, maxSubjects);
  const lines = shown.map(([subject, count]) => (count === 1 ? subject : `${count} × ${subject}`));
  const more = summands.length - shown.reduce((sum, [, count]) => sum + count, 0);
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}

function subjectIn({ event, delivery }: Verified<object>): string {
  return cut(oneLine(providerOf(delivery.provider).summarize(event).subject), maxSubjectLength);
}

function counted(texts: readonly string[]): [text: string, count: number][] {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts];
}
