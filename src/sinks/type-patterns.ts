import { type Delivery, eventType } from '../contracts/delivery.js';
import { type DigestEvent, digests } from '../providers/digests.js';
import { type VastContext, vast, vastTypeInfo } from '../providers/vast.js';

/** Whether an event matches, by its type, its sender and the label of the secret that signed it. */
type Matcher = (type: string | undefined, provider: string, webhook: string | undefined) => boolean;

interface Pattern {
  readonly context: VastContext | undefined;
  /** A type, or a prefix of types with a `*`. */
  readonly slug: string;
}

const contexts = ['client', 'host'] as const satisfies readonly VastContext[];

/**
 * Matches events by `slug` or `prefix*`, optionally after `client:` or `host:`. A digest, which can come from a queue,
 * matches if one of its events does. Throws a `TypeError` for an invalid pattern.
 */
export function matcherOf(types: string | readonly string[]): (event: unknown, delivery?: Delivery) => boolean {
  const list: readonly unknown[] = typeof types === 'string' ? [types] : types;
  if (!Array.isArray(list) || list.length === 0) throw new TypeError(form);
  const matches = anyOf(list.map(patternOf));
  return (event, delivery) => {
    // A caller that uses the older form of `accepts` passes no delivery.
    const provider = delivery?.provider ?? vast.name;
    if (matches(eventType({ event, delivery: { provider } }), provider, delivery?.webhook)) return true;
    return provider === digests.name && matchesOneIn(event as Partial<DigestEvent>, matches);
  };
}

/** Alerts have no types. */
function matchesOneIn({ types = [] }: Partial<DigestEvent>, matches: Matcher): boolean {
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
 * The contexts that an event may belong to, by the secret's label, or else by the catalogue. If neither decides, both
 * match: types of both contexts, unknown types and `webhook_test`. A delivery too many is noticed, but a missing one
 * is not.
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
      `when(types, sink): "${pattern}" matches no event: the context before the colon must be client or host, as in 'client:${slug}'`,
    );
  }
  checkCatalogue(context, slug);
  return { context, slug };
}

/**
 * Rejects a known type with the wrong context. `host:machine_maintenance` is an easy mistake, because this type is for
 * renters, and the sink would get no event. Unknown slugs and prefixes are valid, because the list of types grows.
 */
function checkCatalogue(context: VastContext, slug: string): void {
  const [known, ...others] = vastTypeInfo(slug)?.contexts ?? [];
  if (known === undefined || others.length > 0 || known === context) return;
  throw new TypeError(
    `when(types, sink): "${context}:${slug}" matches no event, because ${slug} is a type of ${known}: use '${known}:${slug}', or '${slug}' for both contexts`,
  );
}
