import { createHash } from 'node:crypto';
import type { Sink, VastEvent } from '../index.js';
import { type ChatParts, discord, googleChat, slack, slackWorkflow, teams } from '../sinks/index.js';
import { Failure } from './failure.js';

export interface SinkUrls {
  readonly slack: readonly string[];
  readonly googleChat: readonly string[];
  /** Of any kind, told by their hosts. */
  readonly other: readonly string[];
}

interface Options {
  readonly name: string;
  readonly format?: (event: VastEvent, parts: ChatParts) => string;
}

interface Kind {
  make(url: string, options: Options): Sink;
  /** Between the parts of a text. */
  readonly separator: string;
  is(url: URL): boolean;
}

const slackHosts = ['hooks.slack.com', 'hooks.slack-gov.com'];

/** By the names of their sinks. */
const kinds = {
  slack: {
    make: slack<VastEvent>,
    separator: '\n',
    is: ({ hostname, pathname }) => slackHosts.includes(hostname) && pathname.startsWith('/services/'),
  },
  slackWorkflow: {
    make: slackWorkflow<VastEvent>,
    separator: '\n',
    is: ({ hostname, pathname }) => slackHosts.includes(hostname) && /^\/(triggers|workflows)\//.test(pathname),
  },
  googleChat: {
    make: googleChat<VastEvent>,
    separator: '\n\n',
    is: ({ hostname }) => hostname === 'chat.googleapis.com',
  },
  discord: {
    make: discord<VastEvent>,
    separator: '\n\n',
    is: ({ hostname, pathname }) =>
      /^((ptb|canary)\.)?discord(app)?\.com$/.test(hostname) && pathname.startsWith('/api/webhooks/'),
  },
  teams: {
    make: teams<VastEvent>,
    separator: '\n\n',
    is: ({ hostname }) => /\.(logic\.azure|powerplatform)\.(com|us|cn)$/.test(hostname),
  },
} satisfies Readonly<Record<string, Kind>>;

const defaultConsole = 'https://cloud.vast.ai';

/** `console` is the base of the links to where one can act, if not the usual one. Throws for a URL that is no sink's. */
export function sinksFromUrls({ slack: slacks, googleChat: chats, other }: SinkUrls, console?: string): Sink[] {
  const urls = [
    ...slacks.map((url) => ({ kind: 'slack' as const, url })),
    ...chats.map((url) => ({ kind: 'googleChat' as const, url })),
    ...other.map((url) => ({ kind: kindOf(url), url })),
  ];
  const link = linkTo(console);
  return urls.map(({ kind, url }) => {
    const { make, separator } = kinds[kind];
    return make(url, {
      name: nameOf(kind, url),
      // The built-in message links to the usual console.
      ...(link && {
        format: (_: VastEvent, parts: ChatParts) => textOf({ ...parts, url: link(parts.url) }, separator),
      }),
    });
  });
}

/**
 * Not by its place in the list: a store and an outbox keep names, and must not take one sink for another when a third
 * is removed. The address itself is a secret.
 */
function nameOf(kind: string, url: string): string {
  return `${kind}-${createHash('sha256').update(url).digest('hex').slice(0, 8)}`;
}

/** As in the adapters of the guides. */
function textOf({ subject, message, url, details }: ChatParts, separator: string): string {
  return [subject, message, `${url}\n${details}`].filter(Boolean).join(separator);
}

/** Says no more of the URL than its host: the rest is a secret. */
function kindOf(text: string): keyof typeof kinds {
  const url = URL.canParse(text) ? new URL(text) : new URL('none:');
  const names = Object.keys(kinds) as (keyof typeof kinds)[];
  const kind = url.protocol === 'https:' ? names.find((name) => kinds[name].is(url)) : undefined;
  if (kind !== undefined) return kind;
  const what = url.hostname === '' ? 'this is no address' : `${url.hostname} is not known`;
  throw new Failure(
    `--sink: ${what}: give the https address of a webhook of Slack, Google Chat, Discord or Teams, or say what it is with --slack or --google-chat`,
  );
}

function linkTo(base: string | undefined): ((url: string) => string) | undefined {
  const own = base?.replace(/\/+$/, '');
  if (own === undefined || own === defaultConsole) return undefined;
  if (!/^https?:\/\//i.test(own) || !URL.canParse(own)) {
    throw new Failure(`VAST_CONSOLE must be the address of a console, such as ${defaultConsole}`);
  }
  return (url) => (url.startsWith(defaultConsole) ? own + url.slice(defaultConsole.length) : url);
}
