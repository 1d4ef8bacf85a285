import type { Delivery } from '../contracts/delivery.js';
import { type DigestEvent, digests } from '../providers/digests.js';
import { eventFormat } from '../providers/index.js';
import { typeOf } from '../providers/provider.js';
import { type VastContext, vast, vastTypeInfo } from '../providers/vast.js';

/** Whether an event is for somebody, by its type, its sender and the label of the secret that signed it. */
type Matcher = (type: string | undefined, provider: string, webhook: string | undefined) => boolean;

interface Pattern {
  readonly context: VastContext | undefined;
  /** A type, or the beginning of types and a `*`. */
  readonly slug: string;
}

const contexts = ['client', 'host'] as const satisfies readonly VastContext[];

/**
 * Matches events by `slug`, `prefix*`, and either of these behind `client:` or `host:`. A digest, which a queue may
 * have brought here, matches like the events in it. Throws a `TypeError` for a pattern that nobody can have meant.
 */
export function matcherOf(types: string | readonly string[]): (event: unknown, delivery?: Delivery) => boolean {
  const list: readonly unknown[] = typeof types === 'string' ? [types] : types;
  if (!Array.isArray(list) || list.length === 0) throw new TypeError(form);
  const matches = anyOf(list.map(patternOf));
  return (event, delivery) => {
    // Whoever calls `accepts` by its older form gives no delivery.
    const provider = delivery?.provider ?? vast.name;
    if (matches(typeOf(eventFormat(provider), event as object), provider, delivery?.webhook)) return true;
    return provider === digests.name && matchesOneIn(event as DigestEvent, matches);
  };
}

function matchesOneIn({ types }: DigestEvent, matches: Matcher): boolean {
  return types.some(({ type, provider, webhook }) => matches(type === '' ? undefined : type, provider, webhook));
}

function anyOf(patterns: readonly Pattern[]): Matcher {
  const anywhere = typeTest(patterns, undefined);
  const within = { client: typeTest(patterns, 'client'), host: typeTest(patterns, 'host') };
  return (type, provider, webhook) => {
    if (anywhere(type)) return true;
    // Other senders have no such contexts.
    return provider === vast.name && contextsOf(type, webhook).some((context) => within[context](type));
  };
}

/**
 * Who an event may be for. The secret's label says it, and the catalogue where there is no such label. What neither
 * can tell (a type of both contexts, one that this version does not know, `webhook_test`) may be for either: told
 * where it is not wanted, it is seen; not told at all, it would be lost without a trace.
 */
function contextsOf(type: string | undefined, webhook: string | undefined): readonly VastContext[] {
  if (webhook === 'client' || webhook === 'host') return [webhook];
  const known = vastTypeInfo(type ?? '')?.contexts ?? [];
  return known.length === 1 ? known : contexts;
}

function typeTest(
  patterns: readonly Pattern[],
  ofContext: VastContext | undefined,
): (type: string | undefined) => boolean {
  const slugs = patterns.filter(({ context }) => context === ofContext).map(({ slug }) => slug);
  const exact = new Set(slugs);
  const prefixes = slugs.filter((slug) => slug.endsWith('*')).map((slug) => slug.slice(0, -1));
  return (type) => {
    if (type === undefined) return prefixes.includes('');
    return exact.has(type) || prefixes.some((prefix) => type.startsWith(prefix));
  };
}

const form =
  "when(types, sink): types must be event types such as 'outbid' or 'instance_*' (a * only at the end), also of one context, such as 'client:low_credit' or 'host:*', or a predicate";

function patternOf(pattern: unknown): Pattern {
  const [, context, slug] = (typeof pattern === 'string' && /^(?:([^:*\s]*):)?([^:*\s]+\*?|\*)$/.exec(pattern)) || [];
  if (slug === undefined) throw new TypeError(form);
  if (context === undefined) return { context, slug };
  if (context !== 'client' && context !== 'host') {
    throw new TypeError(
      `when(types, sink): "${pattern}" can match nothing: before the colon stands client or host, as in 'client:${slug}'`,
    );
  }
  checkCatalogue(context, slug);
  return { context, slug };
}

/**
 * The list of types grows, so that an unknown slug and every prefix may match one day. That a known type changes sides
 * has not been seen, but `host:machine_maintenance`, which is the renter's, is easily written and would be silent.
 */
function checkCatalogue(context: VastContext, slug: string): void {
  const [known, ...others] = vastTypeInfo(slug)?.contexts ?? [];
  if (known === undefined || others.length > 0 || known === context) return;
  throw new TypeError(
    `when(types, sink): "${context}:${slug}" can match nothing: ${slug} is a type of ${known}, '${known}:${slug}' (or say '${slug}', which is for both)`,
  );
}
