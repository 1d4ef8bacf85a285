import type { Sink, VastEvent } from '../index.js';
import { type ChatParts, googleChat, slack } from '../sinks/index.js';
import { Failure } from './failure.js';

export interface SinkUrls {
  readonly slack: readonly string[];
  readonly googleChat: readonly string[];
  /** Of any kind, told by their hosts. */
  readonly other: readonly string[];
}

const defaultConsole = 'https://cloud.vast.ai';

/** `console` is the base of the links to where one can act, if not the usual one. Throws for a URL that is no sink's. */
export function sinksFromUrls({ slack: slacks, googleChat: chats, other }: SinkUrls, console?: string): Sink[] {
  const all = { slack: [...slacks], googleChat: [...chats] };
  for (const url of other) all[kindOf(url)].push(url);
  const link = linkTo(console);
  const text = (separator: string) =>
    // The built-in message links to the usual console.
    link && { format: (_: VastEvent, parts: ChatParts) => textOf({ ...parts, url: link(parts.url) }, separator) };
  return [
    ...all.slack.map((url, index) => slack<VastEvent>(url, { name: nameOf('slack', index), ...text('\n') })),
    ...all.googleChat.map((url, index) =>
      googleChat<VastEvent>(url, { name: nameOf('googleChat', index), ...text('\n\n') }),
    ),
  ];
}

/** As in the adapters of the guides. */
function textOf({ subject, message, url, details }: ChatParts, separator: string): string {
  return [subject, message, `${url}\n${details}`].filter(Boolean).join(separator);
}

function nameOf(kind: string, index: number): string {
  return index === 0 ? kind : `${kind}-${index + 1}`;
}

/** Says no more of the URL than its host: the rest is a secret. */
function kindOf(url: string): 'slack' | 'googleChat' {
  const { protocol, hostname, pathname } = URL.canParse(url) ? new URL(url) : new URL('none:');
  const isSlack = ['hooks.slack.com', 'hooks.slack-gov.com'].includes(hostname);
  if (isSlack && !pathname.startsWith('/services/')) {
    throw new Failure("--sink: this address is of a Slack workflow: make one of Slack's incoming webhooks");
  }
  if (protocol === 'https:' && isSlack) return 'slack';
  if (protocol === 'https:' && hostname === 'chat.googleapis.com') return 'googleChat';
  const what = hostname === '' ? 'this is no address' : `${hostname} is not known`;
  throw new Failure(
    `--sink: ${what}: give one that begins with https://hooks.slack.com/services/ or https://chat.googleapis.com/, or say what it is with --slack or --google-chat`,
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
