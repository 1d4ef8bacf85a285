import type { Command } from 'commander';
import { addApiOptions, connect, findApiKey, type ManagementFlags } from '../manage/flags.js';
import type { Webhook } from '../manage/webhook.js';
import { findSecrets } from '../secrets/candidates.js';
import { addSecretOptions, type SecretOptions } from '../secrets/flags.js';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { positive } from '../shared/flag-values.js';
import { coloursFor, printable, printJson, printLine, printNote } from '../shared/print.js';
import { readSettings } from '../shared/settings.js';
import { type Finding, skipped } from './finding.js';

interface Flags extends SecretOptions, Omit<ManagementFlags, 'provider'> {
  readonly url?: string;
  readonly name?: string;
  readonly local?: true;
  readonly timeout: number;
  readonly store?: string;
}

const help = `
It asks the API for the webhook, and sends the endpoint a webhook_test event: without a signature, with a wrong one, with
the right one, and that once more. Nothing is changed. Without an API key it looks at the endpoint only.
With --store it also compares Vast.ai's notification inbox with that store, and lists the events that did not arrive. For
that it claims each event for a moment: a delivery of it that comes just then is answered 503, and sent again.
Exit status 1 when a problem was found.`;

export function addDoctor(program: Command, io: CliContext): void {
  addApiOptions(
    addSecretOptions(
      program
        .command('doctor')
        .description('Find out why deliveries do not arrive: ask the API and the endpoint, and name cause and cure.')
        .option('--url <url>', "the endpoint (default: the webhook's)")
        .option('--name <webhook>', 'the webhook, by its name or id (default: by the URL, or the only one)')
        .option('--local', 'accept http and an address that is not public: the endpoint before it is online')
        .option('--timeout <seconds>', 'how long the endpoint has to answer; the sender waits 10 s', positive, 10),
    ),
  )
    .option('--store <store>', 'the store of serve, to find out what the inbox has and did not arrive')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action((flags: Flags) => examineAll(io, flags));
}

async function examineAll(io: CliContext, flags: Flags): Promise<void> {
  const given = flags.url === undefined ? undefined : parseUrl(flags.url);
  const findings: Finding[] = [];
  const report = (finding: Finding) => {
    findings.push(finding);
    if (!flags.json) show(io, finding);
  };
  const [secret] = await findSecrets(io, flags);
  const apiKey = await findApiKey(io, { ...flags, provider: 'vast' });
  if (given === undefined && apiKey === undefined) {
    throw new UsageError('give the endpoint with --url, or set VAST_API_KEY, so that Vast.ai can be asked for it');
  }
  const { judgeSecret } = await import('./configuration.js');
  report(judgeSecret(secret, apiKey));
  const account = await examineAccount(io, flags, apiKey, report);
  await examineInbox(io, flags, apiKey, account.webhook, report);
  const url = given ?? (account.webhook && parseUrl(account.webhook.url));
  const endpoint = url && (await examineEndpoint(io, flags, url, secret?.value, report));
  const { judgeClocks } = await import('./clock.js');
  report(judgeClocks({ endpoint, service: account.skewSeconds }));
  if (flags.json) printJson(io, findings);
  const problems = findings.filter(({ status }) => status === 'problem').length;
  if (problems > 0) throw new CliError(problems === 1 ? 'there is a problem' : `there are ${problems} problems`);
}

function parseUrl(text: string): URL {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    throw new UsageError('--url takes an address such as https://example.com/vast/webhooks');
  }
  return new URL(text);
}

type Report = (finding: Finding) => void;

const noKey = 'there is no API key: set VAST_API_KEY';

async function examineAccount(
  io: CliContext,
  flags: Flags,
  apiKey: string | undefined,
  report: Report,
): Promise<{ readonly webhook?: Webhook; readonly skewSeconds?: number }> {
  if (apiKey === undefined) {
    for (const check of ['api-key', 'webhook', 'types', 'preferences', 'catalogue']) report(skipped(check, noKey));
    return {};
  }
  const { examineAccount } = await import('./account.js');
  const { skewOf } = await import('./probe.js');
  const { proxiedFetch } = await import('../shared/proxied-fetch.js');
  const send = proxiedFetch(await readSettings(io)) ?? fetch;
  let skewSeconds: number | undefined;
  // Every answer has the service's time.
  const timed: typeof fetch = async (...args) => {
    const response = await send(...args);
    skewSeconds = skewOf(response.headers.get('date'));
    return response;
  };
  const manager = await connect(io, { ...flags, provider: 'vast' }, apiKey, timed);
  const webhook = await reportAll(examineAccount({ manager, name: flags.name, url: flags.url }), report);
  return { webhook, skewSeconds };
}

async function examineInbox(
  io: CliContext,
  flags: Flags,
  apiKey: string | undefined,
  webhook: Webhook | undefined,
  report: Report,
): Promise<void> {
  const setting = await readSettings(io);
  const variable = 'VAST_WEBHOOK_STORE';
  const value = flags.store ?? setting(variable) ?? 'memory';
  if (value === 'memory') return;
  if (apiKey === undefined || webhook === undefined) {
    report(
      skipped(
        'inbox',
        apiKey === undefined ? noKey : 'the webhook is not known, so it cannot be said what should have come',
      ),
    );
    return;
  }
  const { judgeInbox } = await import('./inbox.js');
  const { openStore } = await import('../serve/store-from-url.js');
  const { proxiedFetch } = await import('../shared/proxied-fetch.js');
  const { vastApi } = await import('vast-webhook/api');
  const send = proxiedFetch(setting);
  const api = vastApi({ apiKey, baseUrl: flags.baseUrl, ...(send && { fetch: send }) });
  const { store, close } = await openStore(
    { where: flags.store === undefined ? variable : '--store', value },
    io.cwd,
    () => {},
  );
  try {
    report(await judgeInbox(api, store, webhook.types, io.interrupted));
  } finally {
    await close();
  }
}

/** Gives the endpoint's clock minus this one, where it is known. */
async function examineEndpoint(
  io: CliContext,
  flags: Flags,
  url: URL,
  secret: string | undefined,
  report: Report,
): Promise<number | undefined> {
  const { judgeAddress, judgeUrl } = await import('./address.js');
  const { examine } = await import('./endpoint.js');
  const { outbound } = await import('../shared/proxied-fetch.js');
  const way = outbound(await readSettings(io));
  const isLocal = flags.local === true;
  report(judgeUrl(url, isLocal));
  const { isUnknown, ...address } = await judgeAddress(url, { isLocal, isProxied: way?.isProxied(url) === true });
  report(address);
  if (isUnknown) return undefined;
  printNote(io, `Sending webhook_test events to ${url.origin}${url.pathname}.`);
  const isUsable = secret !== undefined && secret !== '' && secret === secret.trim();
  const question = { url, secret: isUsable ? secret : undefined, timeoutMs: flags.timeout * 1000 };
  return reportAll(examine({ ...question, interrupted: io.interrupted, way }), report);
}

/** Reports what a generator yields, and gives what it returns. */
async function reportAll<Result>(findings: AsyncGenerator<Finding, Result>, report: Report): Promise<Result> {
  for (;;) {
    const { done, value } = await findings.next();
    if (done) return value;
    report(value);
  }
}

const checkWidth = 13;

function show(io: CliContext, { check, status, detail, cure }: Finding): void {
  const { green, red, dim } = coloursFor(io);
  const paint = { ok: green, problem: red, skipped: dim }[status];
  printLine(io, `${paint(status.padEnd(9))}${check.padEnd(checkWidth)}${printable(detail)}`);
  if (cure !== undefined) printLine(io, `${' '.repeat(9 + checkWidth)}What to do: ${printable(cure)}`);
}
