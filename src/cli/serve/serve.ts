import { type Command, Option } from 'commander';
import type { Sink, WebhookOptions } from 'vast-webhook';
import { addSecretOptions, type SecretOptions } from '../secrets/flags.js';
import type { CliContext } from '../shared/context.js';
import { CliError, toError, UsageError } from '../shared/errors.js';
import { aWorkerCount, collect, positive, toByteLimit, toPort, upToADay, workerCount } from '../shared/flag-values.js';
import { readSettings } from '../shared/settings.js';
import type { LogFormat } from './log.js';
import type { Placed } from './server.js';

interface Options extends SecretOptions {
  readonly slack?: readonly string[];
  readonly googleChat?: readonly string[];
  readonly sink?: readonly string[];
  readonly config?: string;
  readonly alert?: readonly string[];
  readonly alertAfter?: number;
  readonly logEvents?: true;
  readonly store?: string;
  readonly outbox?: string;
  readonly redeliver?: true;
  readonly catchUp?: true;
  readonly baseUrl?: string;
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly workers?: number;
  readonly metrics?: true;
  readonly log: LogFormat;
  readonly sinkTimeout?: number;
  readonly limit?: string;
}

const manual = `
Environment variables, also from .env; options win:
  VAST_WEBHOOK_SECRET   the signing secret
  VAST_WEBHOOK_SECRETS  instead of it, several with labels, which the log shows: renter=SECRET,host=SECRET
  SLACK_WEBHOOK_URL     a Slack incoming webhook, or a workflow's trigger
  GOOGLE_CHAT_URL       a Google Chat incoming webhook
                        Both may hold several, with white space between. An address with a label and an @ before it,
                        such as host@https://..., gets the events of the webhook with that label only
  VAST_WEBHOOK_SINKS    addresses of any sinks, as --sink takes them, with white space between
  VAST_WEBHOOK_ALERT    as --alert
  VAST_CONSOLE          the console that messages link to, if not https://cloud.vast.ai
  HOST, PORT            where to listen
  VAST_WEBHOOK_STORE    as --store, whose URL may hold a password
  VAST_WEBHOOK_OUTBOX   as --outbox
  VAST_WEBHOOK_CATCH_UP yes: as --catch-up
  VAST_WEBHOOK_WORKERS  as --workers
  VAST_API_KEY          the API key, for --catch-up only
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY     a proxy on the way to the chats
  REQUESTS_CA_BUNDLE, SSL_CERT_FILE     certificates to trust there, too
Addresses: the service's own (Slack, Google Chat, Discord, Teams), or slack://T.../B.../TOKEN, discord://ID/TOKEN,
tgram://TOKEN/CHAT, ntfys://TOKEN@HOST/TOPIC, pover://USER@TOKEN, gotifys://HOST/TOKEN,
matrixs://TOKEN@HOST/!ROOM:SERVER, mmosts://HOST/TOKEN, zulip://BOT@ORGANIZATION/KEY/CHANNEL/TOPIC,
mailtos://USER:PASSWORD@HOST?from=ADDRESS&to=ADDRESS, apprises://HOST/KEY, pagerduty://KEY,
http+https://whsec_SECRET@HOST/PATH, cloudevents+https://HOST/PATH. A name and = before it names the sink: ops=discord://ID/TOKEN

Everybody on this machine can see options in \`ps\`, so keep secrets and URLs in variables or files.

For a service, start node_modules/.bin/vast-webhook and not npx, because npx passes no signal on.

It answers 204 to each delivery that it has taken. GET /health is 200 {"ok": true} for as long as it runs, and GET /ready
is 503 while store or outbox cannot be used, or it is closing. After Ctrl-C or SIGTERM it finishes the running
deliveries, and ends. With --workers, SIGHUP reads the settings again: new processes take the place of the old ones,
one by one, and no delivery is refused.`;

export function addServe(program: Command, io: CliContext): void {
  const command = program
    .command('serve')
    .description('Receive webhooks, and deliver each event once to Slack, Google Chat and other chats.')
    .option('--slack <url>', "a Slack incoming webhook, or a workflow's trigger; repeatable", collect)
    .option('--google-chat <url>', 'a Google Chat incoming webhook; repeatable', collect)
    .option(
      '--sink <[name=]url>',
      "any sink: the address of a service's webhook, or one of those listed below; repeatable",
      collect,
    )
    .option('--config <file>', 'sinks and more, in JSON or as an ES module: see docs/serve-without-code.md')
    .option('--alert <[name=]url>', 'another sink, which hears when one keeps failing and when it works again', collect)
    .option('--alert-after <seconds>', 'how long a sink must fail for that (default: 300)', upToADay)
    .option('--log-events', 'write each event to the log, too; with it, no chat is needed')
    .option(
      '--store <store>',
      'where to remember delivered events: memory, sqlite:FILE, redis://..., postgres://... (default: memory)',
    )
    .option(
      '--outbox <file>',
      'keep events in a SQLite file, answer at once, and deliver them later; tried again for three days',
    )
    .option(
      '--catch-up',
      "deliver events of Vast.ai's notification inbox that no webhook brought (experimental); needs --store and VAST_API_KEY",
    )
    .option('--base-url <url>', "with --catch-up, in place of Vast.ai's own address: a proxy or a stand-in")
    .option('--redeliver', 'deliver the dead letters of the outbox again')
    .option('--host <host>', 'the address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'the port to listen on (default: 8787)', toPort)
    .option('--path <path>', 'the only path that takes webhooks (default: every path)')
    .option(
      '--sink-timeout <seconds>',
      'how long a chat may take to answer (default: about 10, when Vast.ai gives up; 30 with --outbox)',
      positive,
    )
    .option('--limit <size>', 'the largest body, in bytes, kb or mb (default: 1mb)', toByteLimit)
    .option(
      '--workers <number>',
      'how many processes receive; several need a --store that they share (default: 1)',
      workerCount,
    )
    .option('--metrics', 'answer GET /metrics in the format of Prometheus')
    .addOption(new Option('--log <format>', 'how to write the log').choices(['text', 'json']).default('text'));
  addSecretOptions(command)
    .addHelpText('after', manual)
    .action((options: Options) => serve(options, io));
}

async function serve(options: Options, io: CliContext): Promise<void> {
  // Before a config puts the settings of .env into it, which workers read anew.
  const env = { ...io.env };
  const loading = Promise.all([
    import('./server.js'),
    import('./log.js'),
    import('./sinks-from-urls.js'),
    import('./alert.js'),
    import('../secrets/flags.js'),
    import('../shared/proxied-fetch.js'),
    import('./catch-up.js'),
    options.config === undefined ? undefined : import('./config.js'),
  ]);
  const setting = await readSettings(io);
  const [
    { aboutOf, receive },
    { receiverLog },
    { givenSinks, secretsInSink, sinksFromUrls, unheardLabel },
    { alertOf, watchedBy },
    { labelsOf, receiverSecret },
    { proxiedFetch },
    { yesOrNo },
    configs,
  ] = await loading;

  const secret = await receiverSecret(options, setting, io);
  const config = await configs?.readConfig(options.config ?? '', setting, io);
  const { path, limit, store: madeStore, ...webhook } = config?.options ?? {};
  const given = [...addressesOf(options, setting, givenSinks), ...(config?.sinks ?? [])];
  const placed = (key: 'store' | 'outbox') =>
    firstOf(
      [`--${key}`, options[key]],
      [`VAST_WEBHOOK_${key.toUpperCase()}`, setting(`VAST_WEBHOOK_${key.toUpperCase()}`)],
      [`${options.config}: ${key}`, config?.[key]],
    );
  const store = placed('store') ?? { where: `${options.config}: store`, value: madeStore ?? 'memory' };
  const outbox = placed('outbox');
  if (options.redeliver && outbox === undefined)
    throw new UsageError('--redeliver needs --outbox, because it delivers the dead letters of the outbox again');

  const catchesUp =
    options.catchUp ?? yesOrNo('VAST_WEBHOOK_CATCH_UP', setting('VAST_WEBHOOK_CATCH_UP')) ?? config?.catchUp ?? false;
  const workers = workersOf(
    options.workers,
    ['VAST_WEBHOOK_WORKERS', setting('VAST_WEBHOOK_WORKERS')],
    [`${options.config}: workers`, config?.workers],
  );
  const apiKey = setting('VAST_API_KEY');
  if (catchesUp) checkCatchUp(apiKey, store.value, labelsOf(secret));

  const [givenAlert] = [
    ...givenSinks('--alert', oneOf('--alert', options.alert)),
    ...givenSinks('VAST_WEBHOOK_ALERT', oneOf('VAST_WEBHOOK_ALERT', listOf(setting('VAST_WEBHOOK_ALERT')))),
    ...(config?.givenAlert ?? []),
  ];
  const addresses = [...given, ...(givenAlert ? [givenAlert] : [])];
  const names: string[] = [];
  const givenSecrets = [...addresses.flatMap(secretsInSink), ...(apiKey === undefined ? [] : [apiKey])];
  const log = receiverLog(io, options.log, secretsIn(secret, givenSecrets, store.value), names);
  const consoleUrl = setting('VAST_CONSOLE');
  if (consoleUrl !== undefined && !isAddress(consoleUrl)) {
    throw new CliError('VAST_CONSOLE must be the address of a console, such as https://cloud.vast.ai');
  }
  const onError: NonNullable<WebhookOptions['onError']> = (error, about) =>
    log.note('error', `${about.sink}: ${error.message}`, aboutOf(about));
  const sinkSettings = {
    labels: labelsOf(secret),
    cwd: io.cwd,
    consoleUrl,
    timeoutMs: options.sinkTimeout && Math.ceil(options.sinkTimeout * 1_000),
    fetch: proxiedFetch(setting),
    onError,
  };
  const alert = alertOf(givenAlert, options.alertAfter, config?.alert, sinkSettings);
  // An outbox watches its sinks itself.
  const watch = (sink: Sink) => (alert && outbox === undefined ? watchedBy(alert, onError, sink) : sink);
  const fromUrls = sinksFromUrls(given, { ...sinkSettings, watch });
  const made = config?.made.map(watch) ?? [];
  const sinks = [...fromUrls, ...made, ...(options.logEvents ? [log.events] : [])];
  names.push(...sinks.map(({ name }) => name), ...(alert ? [alert.sink.name] : []));
  const unheard = options.logEvents || made.length > 0 ? undefined : unheardLabel(given, labelsOf(secret));
  if (unheard !== undefined && sinks.length > 0) {
    throw new CliError(
      `no chat gets the events of the webhook "${unheard}": give an address without a label, or with ${unheard}@ before it`,
    );
  }
  // It would take each event from the sender for good, and nobody would hear of it.
  if (sinks.length === 0) {
    throw new CliError(
      'there is no chat to deliver to: set SLACK_WEBHOOK_URL or GOOGLE_CHAT_URL, or give --sink, --config or --log-events',
    );
  }
  const isOneOfSeveral = workers > 1 || io.worker !== undefined;
  // Once, and not by each worker.
  if (io.worker === undefined) for (const warning of config?.warnings ?? []) log.note('warn', warning);
  if (isOneOfSeveral) checkShared(store.value, sinks, alert !== undefined && outbox === undefined);
  if (isOneOfSeveral && io.worker === undefined) {
    const { checkCanHaveWorkers, superviseWorkers } = await import('./workers.js');
    checkCanHaveWorkers();
    await config?.close();
    await superviseWorkers(workers, log, io, env);
    return;
  }
  const settings = {
    secret,
    sinks,
    store,
    outbox,
    alert,
    // The first worker only: its successors would redeliver what has failed again.
    redeliver: (options.redeliver ?? false) && (io.worker?.id ?? 1) === 1,
    host: options.host ?? setting('HOST') ?? '127.0.0.1',
    port: options.port ?? portOf(setting('PORT')) ?? 8787,
    path: options.path ?? path,
    limit: options.limit ?? limit ?? '1mb',
    webhook,
    metrics: options.metrics ?? false,
    catchUp:
      catchesUp && apiKey !== undefined
        ? { apiKey, baseUrl: options.baseUrl, ...(sinkSettings.fetch && { fetch: sinkSettings.fetch }) }
        : undefined,
  };
  try {
    await receive(settings, log, io);
  } catch (error) {
    // An option of the middleware, which names itself.
    const { name, message } = toError(error);
    if (name !== 'TypeError') throw error;
    const option = /the option (\w+)/.exec(message)?.[1];
    const isFlag = (option === 'path' || option === 'limit') && options[option] !== undefined;
    if (isFlag) throw new UsageError(message.replace(`the option ${option}`, `--${option}`));
    throw config === undefined ? error : new CliError(`${options.config}: ${message}`);
  } finally {
    await config?.close();
  }
}

/** The first value that was given, with its place for errors. */
function firstOf(...given: readonly (readonly [where: string, value: string | undefined])[]): Placed | undefined {
  for (const [where, value] of given) if (value !== undefined) return { where, value };
  return undefined;
}

function checkCatchUp(apiKey: string | undefined, store: unknown, labels: readonly string[]): void {
  if (apiKey === undefined) {
    throw new CliError('--catch-up needs an API key: set VAST_API_KEY in the environment or in .env');
  }
  if (store === 'memory') {
    throw new CliError(
      '--catch-up needs a store that survives a restart: give --store sqlite:FILE, or set VAST_WEBHOOK_STORE',
    );
  }
  if (!labels.every((label) => ['client', 'renter', 'host'].includes(label))) {
    throw new CliError(
      '--catch-up needs secrets with the labels client (or renter) and host, because the inbox says for whom an event is in these words',
    );
  }
}

/** The flag, or else the first of some further places that has a value. */
function workersOf(flag: number | undefined, ...others: readonly (readonly [where: string, value: unknown])[]): number {
  if (flag !== undefined) return flag;
  for (const [where, value] of others) {
    if (value === undefined) continue;
    try {
      // An array of one number would read as that number.
      return workerCount(['number', 'string'].includes(typeof value) ? String(value) : '');
    } catch {
      throw new CliError(`${where} must be ${aWorkerCount}`);
    }
  }
  return 1;
}

/** Several processes must share what one event or one message depends on. */
function checkShared(store: unknown, sinks: readonly Sink[], alertsAreOwn: boolean): void {
  // As memoryStore() marks itself, for a config that has made it.
  if (store === 'memory' || Object(store)[Symbol.for('vast-webhook.in-memory')] === true) {
    throw new UsageError(
      'several workers need a store that they share, because each would count events for itself: give --store sqlite:FILE, redis://... or postgres://..., or set VAST_WEBHOOK_STORE',
    );
  }
  const batching = sinks.find(({ flush }) => flush !== undefined);
  if (batching !== undefined) {
    throw new UsageError(
      `the sink ${batching.name} makes one message of several events, and each worker would make its own: use one worker, or remove digest or quiet`,
    );
  }
  if (alertsAreOwn) {
    throw new UsageError(
      'several workers need --outbox for alerts, because without it each would send its own: give --outbox FILE, or leave the alert sink out',
    );
  }
}

/** Those of options and variables. `givenSinks` is loaded only when the subcommand runs. */
function addressesOf(
  { slack, googleChat, sink = [] }: Options,
  setting: (name: string) => string | undefined,
  givenSinks: typeof import('./sinks-from-urls.js').givenSinks,
) {
  const listed = (name: string, fallback?: 'slack' | 'googleChat') => givenSinks(name, listOf(setting(name)), fallback);
  return [
    ...(slack ? givenSinks('--slack', slack, 'slack') : listed('SLACK_WEBHOOK_URL', 'slack')),
    ...(googleChat ? givenSinks('--google-chat', googleChat, 'googleChat') : listed('GOOGLE_CHAT_URL', 'googleChat')),
    ...listed('VAST_WEBHOOK_SINKS'),
    ...givenSinks('--sink', sink),
  ];
}

function listOf(value = ''): readonly string[] {
  return value.split(/\s+/).filter(Boolean);
}

/** Of several, all but one would be dropped without a word. */
function oneOf(where: string, texts: readonly string[] = []): readonly string[] {
  if (texts.length > 1) throw new CliError(`${where}: give one address`);
  return texts;
}

function isAddress(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}

function portOf(text: string | undefined): number | undefined {
  try {
    return text === undefined ? undefined : toPort(text);
  } catch {
    throw new CliError('PORT must be a number from 0 to 65535');
  }
}

/** Secrets that must not appear in a log. */
function secretsIn(secret: unknown, urls: readonly string[], store: unknown): readonly string[] {
  const ofStore = typeof store === 'string' && URL.canParse(store) ? [new URL(store).password] : [];
  const own = typeof secret === 'string' ? [secret] : Object.values(Object(secret)).map(String);
  const all = [...urls, ...own, ...ofStore, ...ofStore.map(decoded)];
  return all.filter((text) => text.length >= 4);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
