import { anything, type Check, checkOptions, endpointPath } from '../util/check-options.js';
import { isPromise } from '../util/promise.js';
import { type Provider, type SenderHeaders, type Severity, type Summary, text } from './provider.js';
import type { Scheme, WorkingScheme } from './scheme.js';

/** Texts about an event for people. */
export interface ProviderSummary {
  /** One line. */
  readonly subject: string;
  /** Further text. */
  readonly message?: string;
  /** How serious the event is. Default: `info`. */
  readonly severity?: Severity;
  /** Where to act on it: an http or https URL. */
  readonly url: string;
  /** The event's type, if people know it by another name than `typeOf` gives. */
  readonly type?: string;
}

/** What `defineProvider` takes: how one sender signs, names and describes its events. */
export interface ProviderDefinition<Event extends object, Signs extends boolean = boolean> {
  /**
   * Lower-case letters, digits and hyphens. Handlers find the event under it (`req.acme`). It is a part of the idempotency
   * key, so keep it.
   */
  readonly name: string;
  /** Default path of the endpoint. */
  readonly path: string;
  /** How a delivery proves its sender: `timestampedHmac`, `standardWebhooks`, `bodyHmac` or `urlToken`. */
  readonly scheme: Scheme<Signs>;
  /**
   * The event's id, the same in all retries: a text, or a whole number other than 0. `signed` has the headers that the
   * signature covers. Without an id, the hash of the body stands for it. Default: `webhook-id` with `standardWebhooks`,
   * otherwise none.
   */
  idOf?(event: Event, signed: SenderHeaders): string | number | null | undefined;
  /** The event's type. A header is not signed, so such a type is for information only. */
  typeOf(event: Event, headers: SenderHeaders): string | null | undefined;
  /** Texts for people. `type` is the event's type, or empty. If it throws, a message has the type only. */
  summarize(event: Event, type: string): ProviderSummary;
}

/**
 * Names that a request has in Node.js and Express, or that much-used middleware gives it, and the name of the package's
 * own events.
 */
const reserved = new Set(
  (
    'aborted accepts app auth body client closed complete compose connection cookies ctx destroy destroyed domain ' +
    'drop emit errored every file files filter find flash fresh get header headers host hostname id ip ips is ' +
    'iterator listeners log login logout map method next off on once param params path pause pipe protocol push ' +
    'query range read readable reduce req res resume route secret secure session signal socket some stale state ' +
    'subdomains take trailers unpipe unshift upgrade url user vast-webhook wrap xhr'
  ).split(' '),
);

const isAsync = (value: unknown) => Object.prototype.toString.call(value) === '[object AsyncFunction]';
const synchronous: Check = [
  (value) => typeof value === 'function' && !isAsync(value),
  'a function that is not async, because its result is needed at once',
];

const checks: Readonly<Record<keyof ProviderDefinition<object>, Check>> = {
  name: [
    (value) => typeof value === 'string' && /^[a-z][a-z0-9-]{0,63}$/.test(value),
    'a name of lower-case letters, digits and hyphens that begins with a letter',
  ],
  path: endpointPath,
  // It has an error of its own, because the mistake is likely.
  scheme: anything,
  idOf: synchronous,
  typeOf: synchronous,
  summarize: synchronous,
};

const schemes = 'timestampedHmac({ ... }), standardWebhooks(), bodyHmac({ ... }) or urlToken({ ... })';

/** The providers of this process by name. Those of an application may come after a receiver has been made. */
const defined = new Map<string, Provider<never>>();
/**
 * The same for all builds and versions of the package in this process, because an application may import one and a
 * library another.
 */
const everywhere = sharedMap();

function sharedMap(): Map<string, Provider<never>> {
  const holder = globalThis as { [key: symbol]: unknown };
  const key = Symbol.for('vast-webhook.providers');
  holder[key] ??= new Map();
  return holder[key] as Map<string, Provider<never>>;
}

const made = Symbol.for('vast-webhook.provider');

/**
 * Defines a sender: how it signs, names and describes its events. Import the module that does it wherever its events
 * are: in the receiver, and in workers behind a queue. Throws a `TypeError` for an invalid definition, and for a name
 * that another provider, a request's own property or the package has.
 */
export function defineProvider<Event extends object, Signs extends boolean>(
  definition: ProviderDefinition<Event, Signs>,
): Provider<Event, Signs> {
  checkOptions(definition, checks, 'defineProvider');
  const { name, path, scheme, idOf = signedId, typeOf, summarize } = definition;
  for (const field of ['name', 'path', 'scheme', 'typeOf', 'summarize'] as const) {
    if (definition[field] === undefined) throw new TypeError(`defineProvider: the option ${field} is missing`);
  }
  if (reserved.has(name) || name in Object.prototype) {
    throw new TypeError(
      `defineProvider: the name "${name}" is taken, because requests have a property of this name: give another one, such as '${name}-events'`,
    );
  }
  if (typeof Object(scheme).checkHead !== 'function') {
    throw new TypeError(
      `defineProvider: the option scheme must be the result of ${schemes}${typeof scheme === 'function' ? ': is it called?' : ''}`,
    );
  }
  const provider: Provider<Event, Signs> = Object.freeze({
    [made]: true,
    name,
    path,
    scheme,
    // Their `this` is the definition, as TypeScript infers it.
    idOf: (event: Event, signed: SenderHeaders) => atOnce(idOf.call(definition, event, signed)),
    typeOf: (event: Event, headers: SenderHeaders) => atOnce(typeOf.call(definition, event, headers)),
    summarize: (event: Event, type: string) =>
      normalized(name, type, () => atOnce(summarize.call(definition, event, type))),
  });
  register(provider, textOf(definition));
  return provider;
}

/** Throws a `TypeError` for a promise, which would be no id and no type, and whose rejection would end the process. */
function atOnce<Result>(result: Result): Result {
  if (!isPromise(result)) return result;
  Promise.resolve(result).catch(() => {});
  throw new TypeError('it returned a promise, and its result is needed at once');
}

/** The id that the scheme signs itself. */
function signedId(_event: object, signed: SenderHeaders): string | undefined {
  return signed.get('webhook-id') ?? signed.get('svix-id');
}

const texts = new Map<string, string>();

/** A module that a development server or a test loads again defines the same provider again. */
function register(provider: Provider<never>, definition: string): void {
  const { name } = provider;
  if (defined.has(name) && texts.get(name) !== definition) {
    throw new TypeError(`defineProvider: there is another provider "${name}": give one of them another name`);
  }
  texts.set(name, definition);
  defined.set(name, provider);
  everywhere.set(name, provider);
}

function textOf({ path, scheme, idOf, typeOf, summarize }: ProviderDefinition<never>): string {
  return [path, JSON.stringify((scheme as WorkingScheme).headers), idOf, typeOf, summarize].join('\n');
}

/** The format of the events of a defined provider. */
export function definedProvider(name: string): Provider<never> | undefined {
  return defined.get(name) ?? everywhere.get(name);
}

/** Throws a `TypeError` for anything that `defineProvider` did not return. */
export function checkProvider(provider: unknown): void {
  if (Object(provider)[made] !== true) {
    throw new TypeError('the provider must be the result of defineProvider({ ... })');
  }
}

const severities: readonly unknown[] = ['info', 'warning', 'error', 'critical'] satisfies readonly Severity[];

/** Texts that every sink can use, whatever an application's function gives. No event is lost because of them. */
function normalized(name: string, type: string, summarize: () => ProviderSummary): Summary {
  const { subject, message, severity, url, type: shownType } = Object(attempt(summarize)) as Partial<ProviderSummary>;
  return {
    subject: text(subject),
    message: text(message),
    type: text(shownType ?? type),
    severity: severities.includes(severity) ? (severity as Severity) : 'info',
    url: webAddress(url) ?? `https://${name}.example/`,
  };
}

function attempt(summarize: () => ProviderSummary): unknown {
  try {
    return summarize();
  } catch {
    return undefined;
  }
}

const maxUrlLength = 1_000;

/** An address from an event, without characters that a chat would read as a mention or markup. */
function webAddress(url: unknown): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined;
  const { protocol, username, password, href } = new URL(url);
  if (!/^https?:$/.test(protocol) || username !== '' || password !== '') return undefined;
  const encoded = href.replace(/[@|*~`'"\\^{}<>()[\]]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return encoded.length > maxUrlLength ? undefined : encoded;
}
