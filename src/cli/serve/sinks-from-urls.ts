import { createHash } from 'node:crypto';
import { type Sink, type VastEvent, type WebhookOptions, when } from 'vast-webhook';
import { CliError, toError } from '../shared/errors.js';
import { secretsInAddress } from './sink-address.js';
import { type SinkOptions, sinkKindOf } from './sink-kinds.js';

type OnError = NonNullable<WebhookOptions['onError']>;

/** An address of a sink, with the place where it was given. */
export interface GivenSink {
  /** For errors: `--sink`. */
  readonly where: string;
  /** `[name=][label@]address`. With the label of a webhook, the sink gets the events of that webhook only. */
  readonly text: string;
  /** What an https address is if its host does not tell. */
  readonly fallback?: 'slack' | 'googleChat';
  /** In place of `name=`. */
  readonly name?: string;
  /** Makes the sink that is used out of the one that delivers. */
  wrap?(sink: Sink, onError: OnError): Sink;
}

export interface SinkSettings extends Omit<SinkOptions, 'name'> {
  /** Those of the secrets. */
  readonly labels: readonly string[];
  /** Where the user's packages are. */
  readonly cwd: string;
  /** Begins the names of sinks that have none of their own. */
  readonly prefix?: string;
  /** Goes around each sink that delivers, inside of what batches. */
  watch?(sink: Sink): Sink;
  /** Called when events that were answered already could not be delivered. */
  readonly onError?: OnError;
}

/** Addresses that were given in one place. */
export function givenSinks(
  where: string,
  texts: readonly string[],
  fallback?: GivenSink['fallback'],
): readonly GivenSink[] {
  return texts.map((text) => ({ where, text, fallback }));
}

/** Throws a `CliError` for an address that is no sink's, and for a name that is used twice. */
export function sinksFromUrls(
  given: readonly GivenSink[],
  { labels, cwd, prefix = '', watch = (sink) => sink, onError = () => {}, ...options }: SinkSettings,
): Sink[] {
  const names = new Map<string, string>();
  return given.map(({ where, text, fallback, wrap = (sink) => sink, ...own }) => {
    const { label, url, ...named } = partsOf(text);
    if (label !== undefined && !labels.includes(label)) throw new CliError(unknownLabel(where, labels));
    const found = sinkKindOf(url, fallback);
    if (typeof found === 'string') throw new CliError(`${where}: ${found}`);
    const { kind, target } = found;
    const address = label === undefined ? target.address : `${label}@${target.address}`;
    const name = own.name ?? named.name ?? `${prefix}${nameOf(kind, address)}`;
    const other = names.get(name);
    if (other !== undefined) throw new CliError(usedTwice(name, other, where, own.name ?? named.name));
    names.set(name, where);
    const sink = wrap(
      watch(
        made(where, () =>
          target.make({ name, ...options }, { cwd, onError: (error) => onError(error, { sink: name }) }),
        ),
      ),
      onError,
    );
    return label === undefined ? sink : when<VastEvent>((_, { webhook }) => webhook === label, sink);
  });
}

/** Says where it was given if it is refused. */
function made(where: string, make: () => Sink): Sink {
  try {
    return make();
  } catch (error) {
    throw new CliError(`${where}: ${toError(error).message}`);
  }
}

/**
 * Not by its place in the list: a store and an outbox keep names, and must not take one sink for another when a third
 * is removed. The address itself is a secret.
 */
function nameOf(kind: string, address: string): string {
  return `${kind}-${createHash('sha256').update(address).digest('hex').slice(0, 8)}`;
}

function usedTwice(name: string, other: string, where: string, own: string | undefined): string {
  const places = other === where ? where : `${other} and ${where}`;
  return own === undefined
    ? `${places}: one address is given twice (${name}): remove one, or give one a name, as in ops=https://...`
    : `${places}: two sinks are named "${name}": give one of them another name`;
}

/** The webhook whose events would be taken from the sender for good, and reach nobody. */
export function unheardLabel(given: readonly GivenSink[], labels: readonly string[]): string | undefined {
  const heard = given.map(({ text }) => partsOf(text).label);
  return heard.includes(undefined) ? undefined : labels.find((label) => !heard.includes(label));
}

/** What of it must not appear in a log. */
export function secretsInSink({ text }: GivenSink): readonly string[] {
  return secretsInAddress(partsOf(text).url);
}

/** The same sink, whichever webhook it is for. */
export function withoutLabel(text: string): string {
  const { name, url } = partsOf(text);
  return name === undefined ? url : `${name}=${url}`;
}

/** `name=label@scheme://...`: an address begins with its scheme. */
function partsOf(given: string): { readonly name?: string; readonly label?: string; readonly url: string } {
  const text = given.trim();
  const [, name, label, url] = /^(?:([\w.-]{1,64})=)?(?:([\w.-]+)@)?([a-z][a-z\d+.-]*:\/\/.*)$/is.exec(text) ?? [];
  return url === undefined ? { url: text } : { name, label, url };
}

/** The label is not repeated: it may be a part of an address. */
function unknownLabel(where: string, labels: readonly string[]): string {
  const known = labels.length === 0 ? 'no secret has a label' : `the labels are ${labels.join(', ')}`;
  return `${where}: before the @ there must be the label of a secret in VAST_WEBHOOK_SECRETS, and ${known}`;
}
