/** An address that belongs to another sink. */
interface Misplaced {
  /** The sinks that take it. */
  readonly for: readonly string[];
  is(url: URL): boolean;
  /** What it is, and what to do. */
  readonly advice: string;
}

const discordHost = /^((ptb|canary)\.)?discord(app)?\.com$/;
const slackHost = /^hooks\.slack(-gov)?\.com$/;

/** Addresses that services give out, by their hosts and paths. A proxy of one's own has another host, so it is none. */
const addresses: readonly Misplaced[] = [
  {
    for: [],
    is: ({ hostname, pathname }) => discordHost.test(hostname) && /\/(slack|github)\/?$/.test(pathname),
    advice:
      'the URL of a Discord webhook in the form of another service: remove /slack or /github at its end, and use discord for it',
  },
  {
    for: ['Discord'],
    is: ({ hostname, pathname }) => discordHost.test(hostname) && /^\/api\/(v\d+\/)?webhooks\//.test(pathname),
    advice: 'the URL of a Discord webhook: use discord for it',
  },
  {
    for: ['Slack workflow'],
    is: ({ hostname, pathname }) => slackHost.test(hostname) && /^\/(triggers|workflows)\//.test(pathname),
    // A trigger ignores all fields of a message that it does not declare, and still answers 200.
    advice: "the URL of a workflow's trigger: use slackWorkflow for it",
  },
  {
    for: ['Slack'],
    is: ({ hostname, pathname }) => slackHost.test(hostname) && pathname.startsWith('/services/'),
    advice: 'the URL of an incoming webhook of Slack: use slack for it',
  },
  {
    for: ['Google Chat'],
    is: ({ hostname }) => hostname === 'chat.googleapis.com',
    advice: 'the URL of a Google Chat webhook: use googleChat for it',
  },
  {
    // Microsoft retires connectors. Source: learn.microsoft.com, Teams, "Create and send messages".
    for: [],
    is: ({ hostname }) =>
      /(^|\.)webhook\.office(365)?\.(com|us|cn)$/.test(hostname) || hostname === 'outlook.office.com',
    advice:
      'the URL of a Teams connector, which Microsoft retires: make a workflow in Teams, and use teams with its URL',
  },
  {
    for: ['Teams'],
    is: ({ hostname }) => /\.(logic\.azure|powerplatform)\.(com|us|cn)$/.test(hostname),
    advice: 'the URL of a Teams workflow: use teams for it',
  },
  {
    for: ['Telegram'],
    is: ({ hostname }) => hostname === 'api.telegram.org',
    advice: 'an address of the Telegram Bot API: use telegram with the token and the chat id',
  },
  {
    for: ['ntfy'],
    is: ({ hostname }) => hostname === 'ntfy.sh',
    advice: 'the URL of an ntfy topic: use ntfy for it',
  },
  {
    for: ['Pushover'],
    is: ({ hostname }) => hostname === 'api.pushover.net',
    advice: 'an address of the Pushover API: use pushover with the token and the user key',
  },
  {
    for: ['PagerDuty'],
    is: ({ hostname }) => /^events(\.eu)?\.pagerduty\.com$/.test(hostname),
    advice: 'an address of PagerDuty: use pagerDuty with the routing key',
  },
];

/**
 * Throws a `TypeError` for an address that another sink takes, because its service would refuse every message, or
 * answer 200 and show none. The error has no part of the address, because that is a secret.
 */
export function checkAddress(service: string, address: string): void {
  if (!URL.canParse(address)) return;
  const url = new URL(address);
  const found = addresses.find(({ is }) => is(url));
  if (found === undefined || found.for.includes(service)) return;
  throw new TypeError(`${service}: this is ${found.advice}`);
}
