import { createHash } from 'node:crypto';
import { type Sink, type VastEvent, when } from 'vast-webhook';
import { discord, googleChat, slack, slackWorkflow, teams } from 'vast-webhook/sinks';
import { CliError } from '../shared/errors.js';

/** Addresses, each of which may have a webhook's label and `@` before it: then it hears of that webhook only. */
export interface SinkUrls {
  readonly slack: readonly string[];
  readonly googleChat: readonly string[];
  /** Of any kind, recognised by their hosts. */
  readonly other: readonly string[];
}

interface Options {
  readonly name: string;
  readonly consoleUrl?: string;
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
}

interface Kind {
  make(url: string, options: Options): Sink;
  is(url: URL): boolean;
}

export interface SinkSettings extends Omit<Options, 'name'> {
  /** Those of the secrets. */
  readonly labels: readonly string[];
}

const slackHosts = ['hooks.slack.com', 'hooks.slack-gov.com'];

/** By the names of their sinks. */
const kinds = {
  slack: {
    make: slack<VastEvent>,
    is: ({ hostname, pathname }) => slackHosts.includes(hostname) && pathname.startsWith('/services/'),
  },
  slackWorkflow: {
    make: slackWorkflow<VastEvent>,
    is: ({ hostname, pathname }) => slackHosts.includes(hostname) && isTriggerPath(pathname),
  },
  googleChat: {
    make: googleChat<VastEvent>,
    is: ({ hostname }) => hostname === 'chat.googleapis.com',
  },
  discord: {
    make: discord<VastEvent>,
    is: ({ hostname, pathname }) =>
      /^((ptb|canary)\.)?discord(app)?\.com$/.test(hostname) && pathname.startsWith('/api/webhooks/'),
  },
  teams: {
    make: teams<VastEvent>,
    is: ({ hostname }) => /\.(logic\.azure|powerplatform)\.(com|us|cn)$/.test(hostname),
  },
} satisfies Readonly<Record<string, Kind>>;

/** Throws a `CliError` or a `TypeError` for an address that is no sink's. */
export function sinksFromUrls(
  { slack: slacks, googleChat: chats, other }: SinkUrls,
  { labels, ...options }: SinkSettings,
): Sink[] {
  const given = [
    ...slacks.map((text) => ({ text, flag: '--slack', fallback: 'slack' as const })),
    ...chats.map((text) => ({ text, flag: '--google-chat', fallback: 'googleChat' as const })),
    ...other.map((text) => ({ text, flag: '--sink', fallback: undefined })),
  ];
  const addresses = given.map(({ text, flag, fallback }) => {
    const { label, url } = addressIn(text);
    if (label !== undefined && !labels.includes(label)) throw new CliError(unknownLabel(flag, labels));
    return { label, url, kind: kindOf(url, fallback) };
  });
  return addresses.map(({ kind, url, label }) => {
    const sink = kinds[kind].make(url, {
      name: nameOf(kind, label === undefined ? url : `${label}@${url}`),
      ...options,
    });
    return label === undefined ? sink : when<VastEvent>((_, { webhook }) => webhook === label, sink);
  });
}

/**
 * Not by its place in the list: a store and an outbox keep names, and must not take one sink for another when a third
 * is removed. The address itself is a secret.
 */
function nameOf(kind: string, address: string): string {
  return `${kind}-${createHash('sha256').update(address).digest('hex').slice(0, 8)}`;
}

/** The webhook whose events would be taken from the sender for good, and reach nobody. */
export function unheardLabel(urls: SinkUrls, labels: readonly string[]): string | undefined {
  const heard = Object.values(urls).flatMap((texts: readonly string[]) => texts.map((text) => addressIn(text).label));
  return heard.includes(undefined) ? undefined : labels.find((label) => !heard.includes(label));
}

export function withoutLabel(text: string): string {
  return addressIn(text).url;
}

/** `label@https://…`: an address begins with its scheme. */
function addressIn(text: string): { readonly label?: string | undefined; readonly url: string } {
  const [, label, url] = /^([\w.-]+)@(https?:\/\/.*)$/is.exec(text) ?? [];
  return url === undefined ? { url: text } : { label, url };
}

/** The label is not repeated: it may be a part of an address. */
function unknownLabel(flag: string, labels: readonly string[]): string {
  const known = labels.length === 0 ? 'no secret has a label' : `the labels are ${labels.join(', ')}`;
  return `${flag}: before the @ there must be the label of a secret in VAST_WEBHOOK_SECRETS, and ${known}`;
}

/** Says no more of the URL than its host: the rest is a secret. */
function kindOf(text: string, fallback: 'slack' | 'googleChat' | undefined): keyof typeof kinds {
  const url = URL.canParse(text) ? new URL(text) : new URL('none:');
  const names = Object.keys(kinds) as (keyof typeof kinds)[];
  // Wherever it is given: people put the address of a workflow's trigger where Slack's address goes.
  const kind = url.protocol === 'https:' ? names.find((name) => kinds[name].is(url)) : undefined;
  if (kind !== undefined) return kind;
  if (fallback === 'slack' && isTriggerPath(url.pathname)) return 'slackWorkflow';
  if (fallback !== undefined) return fallback;
  const what = url.hostname === '' ? 'this is no address' : `${url.hostname} is not known`;
  throw new CliError(
    `--sink: ${what}: give the https address of a webhook of Slack, Google Chat, Discord or Teams, or say what it is with --slack or --google-chat`,
  );
}

function isTriggerPath(path: string): boolean {
  return /^\/(triggers|workflows)\//.test(path);
}
