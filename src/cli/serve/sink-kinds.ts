import type { Sink, VastEvent } from 'vast-webhook';
import {
  apprise,
  cloudEvents,
  discord,
  type EmailTransport,
  email,
  googleChat,
  gotify,
  http,
  matrix,
  mattermost,
  ntfy,
  pagerDuty,
  pushover,
  slack,
  slackWorkflow,
  teams,
  telegram,
  zulip,
} from 'vast-webhook/sinks';
import { type Address, addressIn } from './sink-address.js';
import { loadUserModule } from './user-module.js';

export interface SinkOptions {
  readonly name: string;
  readonly consoleUrl?: string;
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
}

interface Surroundings {
  /** Where the user's packages are. */
  readonly cwd: string;
  /** Gets what a sink notices although it delivered. */
  onError(error: Error): void;
}

/** What a sink is made of. */
interface Target {
  /** Stands for it in its default name. Two forms of one address are equal here. */
  readonly address: string;
  make(options: SinkOptions, surroundings: Surroundings): Sink;
}

interface SinkKind {
  /** An address for people, if the kind has a scheme of its own. */
  readonly form?: string;
  readonly schemes?: readonly string[];
  /** Query parameters that an address with such a scheme may have. Without them, its query is the service's. */
  readonly parameters?: readonly string[];
  /** Reads an address with such a scheme. Undefined if it does not have the form. */
  read?(address: Address, text: string): Target | undefined;
  /** Whether an https address is the service's own. */
  isOwn?(url: URL): boolean;
  /** Whether a web address at this host is the service's, but none that the sink takes. */
  isNearly?(host: string): boolean;
  /** What to do then, if not to give `form`. */
  readonly instead?: string;
  /** The sink of an https address. */
  ofUrl?(url: string): Target;
}

const slackHosts = ['hooks.slack.com', 'hooks.slack-gov.com'];
const slackAt = chatAt(slack);
const discordAt = chatAt(discord);
const mattermostAt = chatAt(mattermost);

/**
 * The sinks by the names that they have without another one. Forms of addresses are those of Apprise (appriseit.com,
 * services), so that its users can keep theirs.
 */
const kinds: Readonly<Record<string, SinkKind>> = {
  slack: {
    form: 'slack://T.../B.../TOKEN',
    schemes: ['slack'],
    parameters: [],
    read: ({ user, host, path }) =>
      user === '' && path.length === 2
        ? slackAt(`https://hooks.slack.com/services/${[host, ...path].join('/')}`)
        : undefined,
    isOwn: ({ hostname, pathname }) => slackHosts.includes(hostname) && pathname.startsWith('/services/'),
    ofUrl: slackAt,
  },
  slackWorkflow: {
    isOwn: ({ hostname, pathname }) => slackHosts.includes(hostname) && isTriggerPath(pathname),
    ofUrl: chatAt(slackWorkflow),
  },
  googleChat: {
    isOwn: ({ hostname }) => hostname === 'chat.googleapis.com',
    ofUrl: chatAt(googleChat),
  },
  discord: {
    form: 'discord://ID/TOKEN',
    schemes: ['discord'],
    parameters: ['thread'],
    read({ host, path: [token, ...more], parameters: { thread } }) {
      if (host === '' || token === undefined || more.length > 0) return undefined;
      const query = thread === undefined ? '' : `?thread_id=${encodeURIComponent(thread)}`;
      return discordAt(`https://discord.com/api/webhooks/${host}/${token}${query}`);
    },
    isOwn: ({ hostname, pathname }) =>
      /^((ptb|canary)\.)?discord(app)?\.com$/.test(hostname) && pathname.startsWith('/api/webhooks/'),
    ofUrl: discordAt,
  },
  teams: {
    isOwn: ({ hostname }) => /\.(logic\.azure|powerplatform)\.(com|us|cn)$/.test(hostname),
    isNearly: (host) => /(^|\.)webhook\.office(365)?\.(com|us|cn)$/.test(host) || host === 'outlook.office.com',
    instead:
      'this is the address of a Teams connector, which Microsoft retires: make a workflow in Teams, and give its address',
    ofUrl: chatAt(teams),
  },
  telegram: {
    form: 'tgram://TOKEN/CHAT',
    schemes: ['tgram'],
    isNearly: (host) => host === 'api.telegram.org',
    parameters: ['topic'],
    read({ host, path: [chatId, ...more], parameters: { topic } }) {
      if (host === '' || chatId === undefined || more.length > 0 || !/^\d*$/.test(topic ?? '')) return undefined;
      const to = { token: host.replace(/^bot/, ''), chatId, threadId: topic ? Number(topic) : undefined };
      return targetOf(to, (options, { onError }) => telegram<VastEvent>({ ...options, ...to, onError }));
    },
  },
  ntfy: {
    form: 'ntfys://TOKEN@HOST/TOPIC',
    schemes: ['ntfy', 'ntfys'],
    parameters: [],
    read(address) {
      const { user, password, host, path } = address;
      // A topic alone is one of ntfy.sh, which is https always.
      const isCloud = path.length === 0 || host === 'ntfy.sh';
      if (host === '' || (user !== '' && password !== '') || (isCloud && path.length > 1)) return undefined;
      return ntfyAt(
        isCloud ? `https://ntfy.sh/${path[0] ?? host}` : webUrl(address, path),
        user || password || undefined,
      );
    },
    isOwn: ({ hostname }) => hostname === 'ntfy.sh',
    ofUrl: (url) => ntfyAt(url.replace(/\/$/, '')),
  },
  pushover: {
    form: 'pover://USER@TOKEN',
    schemes: ['pover'],
    isNearly: (host) => host === 'api.pushover.net',
    parameters: [],
    read({ user, host: token, path }) {
      if (user === '' || token === '' || path.length > 0) return undefined;
      return targetOf({ user, token }, (options) => pushover<VastEvent>({ ...options, user, token }));
    },
  },
  gotify: {
    form: 'gotifys://HOST/TOKEN',
    schemes: ['gotify', 'gotifys'],
    parameters: [],
    read(address) {
      const token = address.path.at(-1);
      if (address.user !== '' || address.host === '' || token === undefined) return undefined;
      const url = webUrl(address, address.path.slice(0, -1));
      return targetOf({ url, token }, (options) => gotify<VastEvent>(url, { ...options, token }));
    },
  },
  matrix: {
    form: 'matrixs://TOKEN@HOST/!ROOM:SERVER',
    schemes: ['matrix', 'matrixs'],
    parameters: [],
    read(address) {
      const { user, password, host, path } = address;
      const [roomId = '', ...more] = path;
      // A user with a password would have to log in first.
      if (host === '' || (user === '') === (password === '') || more.length > 0 || !roomId.startsWith('!')) {
        return undefined;
      }
      const at = { homeserver: webUrl(address), accessToken: user || password, roomId };
      return targetOf(at, (options) => matrix<VastEvent>({ ...options, ...at }));
    },
  },
  mattermost: {
    form: 'mmosts://HOST/TOKEN',
    schemes: ['mmost', 'mmosts'],
    parameters: [],
    read(address) {
      const { user, host, path } = address;
      if (user !== '' || host === '' || path.length === 0) return undefined;
      // Rocket.Chat has two parts after /hooks/, so that these are given whole.
      const hooks = path.includes('hooks') ? path : [...path.slice(0, -1), 'hooks', ...path.slice(-1)];
      return mattermostAt(webUrl(address, hooks));
    },
  },
  zulip: {
    form: 'zulip://BOT@ORGANIZATION/KEY/CHANNEL/TOPIC',
    schemes: ['zulip'],
    parameters: [],
    read({ user, host, path: [apiKey, channel, topic, ...more] }) {
      if (user === '' || host === '' || apiKey === undefined || channel === undefined || more.length > 0)
        return undefined;
      const domain = host.includes('.') ? host : `${host}.zulipchat.com`;
      const bot = user.includes('@') ? user : `${user.replace(/-bot$/, '')}-bot@${domain}`;
      const to = channel.includes('@') ? { to: [channel] } : { channel, topic };
      const account = { site: `https://${domain}`, email: bot, apiKey };
      return targetOf({ ...account, ...to }, (options) => zulip<VastEvent>({ ...options, ...account, ...to }));
    },
  },
  email: {
    form: 'mailtos://USER:PASSWORD@HOST?from=ADDRESS&to=ADDRESS',
    schemes: ['mailto', 'mailtos'],
    parameters: ['from', 'to', 'name', 'smtp', 'mode'],
    read: mail,
  },
  apprise: {
    form: 'apprises://HOST/KEY',
    schemes: ['apprise', 'apprises'],
    parameters: ['tags', 'tag'],
    read(address) {
      const { user, host, path, parameters } = address;
      const key = path.at(-1);
      if (user !== '' || host === '' || key === undefined) return undefined;
      const url = webUrl(address, [...path.slice(0, -1), 'notify', key]);
      const tag = parameters.tags ?? parameters.tag;
      return targetOf({ url, tag }, (options) => apprise<VastEvent>(url, { ...options, tag }));
    },
  },
  pagerDuty: {
    form: 'pagerduty://KEY',
    schemes: ['pagerduty'],
    isNearly: (host) => /^events(\.eu)?\.pagerduty\.com$/.test(host),
    parameters: ['region'],
    // Apprise has KEY@API_KEY, of which the events API needs the first.
    read({ user, host, path, parameters: { region = 'us' } }) {
      const key = user || host;
      if (key === '' || path.length > 0 || !/^(us|eu)$/i.test(region)) return undefined;
      const url = region.toLowerCase() === 'eu' ? { url: 'https://events.eu.pagerduty.com/v2/enqueue' } : {};
      return targetOf({ key, ...url }, (options) => pagerDuty<VastEvent>(key, { ...withoutConsole(options), ...url }));
    },
  },
  http: {
    form: 'http+https://whsec_SECRET@HOST/PATH',
    schemes: ['http+https', 'http+http'],
    read(_, text) {
      // By hand, because the secret is base64, which may have slashes.
      const [, scheme, secret = '', rest] = /^http\+(https?:\/\/)(?:(whsec_[^@]*)@)?(.*)$/is.exec(text) ?? [];
      if (scheme === undefined || secret === '') return undefined;
      return { address: text, make: (options) => http(`${scheme}${rest}`, { ...withoutConsole(options), secret }) };
    },
  },
  cloudEvents: {
    form: 'cloudevents+https://HOST/PATH',
    schemes: ['cloudevents+https', 'cloudevents+http'],
    read: (_, text) => ({
      address: text,
      make: (options) => cloudEvents<VastEvent>(text.slice('cloudevents+'.length), withoutConsole(options)),
    }),
  },
};

/** One behind another, as lists elsewhere have commas. The first would be sent the token of the second. */
const severalAddresses = /[,;\s]\s*([\w.-]{1,64}=)?([\w.-]+@)?[a-z][a-z\d+.-]*:\/\/|[,;]$/i;

export interface FoundKind {
  readonly kind: string;
  readonly target: Target;
}

/** The sink that an address stands for. `fallback` is for an https address that no host tells. Otherwise why there is none. */
export function sinkKindOf(given: string, fallback?: 'slack' | 'googleChat'): FoundKind | string {
  const text = given.trim();
  if (severalAddresses.test(text)) {
    return 'these are several addresses: give each one alone, or in a variable, put white space between them, not commas';
  }
  const address = addressIn(text);
  const schemed = Object.entries(kinds).find(([, { schemes }]) => schemes?.includes(address?.scheme ?? ''));
  if (address !== undefined && schemed !== undefined) {
    const [kind, { read, form, parameters }] = schemed;
    if (parameters !== undefined && !Object.keys(address.parameters).every((name) => parameters.includes(name))) {
      const valid = parameters.length === 0 ? 'it takes none' : `valid: ${parameters.join(', ')}`;
      return `the address has a parameter that ${address.scheme}:// does not take (${valid})`;
    }
    const target = read?.(address, text);
    return target === undefined ? `the address must be like ${form}` : { kind, target };
  }
  const url = URL.canParse(text) ? new URL(text) : new URL('none:');
  // Wherever it is given: people put the address of a workflow's trigger where Slack's address goes.
  const own = url.protocol === 'https:' ? Object.entries(kinds).find(([, { isOwn }]) => isOwn?.(url)) : undefined;
  const kind = own?.[0] ?? (fallback === 'slack' && isTriggerPath(url.pathname) ? 'slackWorkflow' : fallback);
  const target = kind === undefined ? undefined : kinds[kind]?.ofUrl?.(text);
  if (kind !== undefined && target !== undefined) return { kind, target };
  const advice = Object.values(kinds).find(({ isNearly }) => isNearly?.(url.hostname));
  if (advice !== undefined) return advice.instead ?? `this is an address of the API: give it as ${advice.form}`;
  // Where another scheme has its host, there may be a token.
  const scheme = address === undefined ? undefined : `${address.scheme}://`;
  const what = /^https?:$/.test(url.protocol) ? url.hostname : scheme;
  return `${what === undefined ? 'this is no address' : `${what} is not known`}: ${whatToGive()}`;
}

function whatToGive(): string {
  const forms = Object.values(kinds).flatMap(({ form }) => form ?? []);
  return `give the https address of a webhook of Slack, Google Chat, Discord or Teams, or one of ${forms.join(', ')}`;
}

/** `gotify://` stands for http, and `gotifys://` for https. */
function webUrl({ scheme, host }: Address, path: readonly string[] = []): string {
  return `${scheme.endsWith('s') ? 'https' : 'http'}://${[host.toLowerCase(), ...path.map(encodeURIComponent)].join('/')}`;
}

/**
 * As Apprise has it: `mailto://` takes TLS if the server offers it, and `mailtos://` demands STARTTLS, or TLS from the
 * first byte with `mode=ssl`. The host is a mail server, or the domain of a service that nodemailer knows.
 */
function mail(
  { scheme, user, password, host: hostAndPort, path, parameters }: Address,
  text: string,
): Target | undefined {
  const { from = user, to, name, smtp, mode = scheme === 'mailtos' ? 'starttls' : 'insecure' } = parameters;
  const [host = '', port] = hostAndPort.split(':');
  const sender = from.includes('@') ? from : `${from}@${host}`;
  const recipients = [...path, ...(to?.split(',') ?? [])];
  if (host === '' || from === '' || !/^\d*$/.test(port ?? '') || !['ssl', 'starttls', 'insecure'].includes(mode)) {
    return undefined;
  }
  const server = {
    host: smtp ?? host,
    // Overrides host and port if it is a service's.
    service: smtp ?? host,
    port: port ? Number(port) : { ssl: 465, starttls: 587, insecure: 25 }[mode],
    secure: mode === 'ssl',
    requireTLS: mode === 'starttls',
    auth: user === '' ? undefined : { user, pass: password },
  };
  return {
    address: text,
    make({ name: sinkName, consoleUrl, timeoutMs }, { cwd, onError }) {
      const { module } = loadUserModule(['nodemailer'], 'mail', cwd);
      const { createTransport } = module as { createTransport(options: object): EmailTransport };
      return email<VastEvent>(createTransport(server), {
        from: name === undefined ? sender : `"${name.replace(/["\\]/g, '')}" <${sender}>`,
        to: recipients.length > 0 ? recipients : sender,
        name: sinkName,
        consoleUrl,
        timeoutMs,
        onError,
      });
    },
  };
}

/** Addresses with the same parts are one target, however they are written. */
function targetOf(parts: object, make: Target['make']): Target {
  return { address: JSON.stringify(parts), make };
}

function ntfyAt(url: string, token?: string): Target {
  return targetOf({ url, token }, (options) => ntfy<VastEvent>(url, { ...options, token }));
}

function chatAt(chat: (url: string, options: SinkOptions) => Sink): (url: string) => Target {
  return (url) => ({ address: url, make: (options) => chat(url, options) });
}

/** Those that are no chats have no link to the console. */
function withoutConsole({ name, timeoutMs, fetch }: SinkOptions): Omit<SinkOptions, 'consoleUrl'> {
  return { name, timeoutMs, fetch };
}

function isTriggerPath(path: string): boolean {
  return /^\/(triggers|workflows)\//.test(path);
}
