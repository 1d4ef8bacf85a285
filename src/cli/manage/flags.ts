import { type Command, Option } from 'commander';
import type { ShodaiApiFilters } from 'vast-webhook/api';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { readSettings } from '../shared/settings.js';
import { type Service, type ServiceInfo, services } from './services.js';
import type { Manager } from './webhook.js';

export interface ManagementFlags {
  readonly provider: Service;
  readonly apiKey?: string;
  readonly apiKeyEnv?: string;
  readonly baseUrl?: string;
  readonly json?: true;
}

export function addManagementOptions(command: Command): Command {
  return addApiOptions(
    command.addOption(
      new Option('--provider <name>', 'whose webhooks')
        .choices(Object.keys(services))
        .default('vast' satisfies Service),
    ),
  );
}

export function addApiOptions(command: Command): Command {
  return command
    .option('--api-key <key>', 'the API key; others on this machine can see it in the list of processes (ps)')
    .option(
      '--api-key-env <name>',
      'the variable with the API key, of the environment or .env (default: VAST_API_KEY, …)',
    )
    .option('--base-url <url>', "in place of the service's own address: a proxy or a stand-in");
}

/** Throws when the service has no such call, before anything else is asked for. */
export function requireVerb({ provider }: ManagementFlags, verb: string): void {
  const { title, lacks }: ServiceInfo = services[provider];
  const reason = Object.hasOwn(lacks, verb) ? lacks[verb] : undefined;
  if (reason !== undefined)
    throw new UsageError(`${verb} cannot be done with --provider ${provider}: ${title} ${reason}`);
}

/** The API key that was given, or else stands in the environment or `.env`. */
export async function findApiKey(io: CliContext, flags: ManagementFlags): Promise<string | undefined> {
  if (flags.apiKey !== undefined && flags.apiKeyEnv !== undefined) {
    throw new UsageError('give --api-key or --api-key-env, not both');
  }
  if (flags.apiKey !== undefined) return flags.apiKey;
  const setting = await readSettings(io);
  const key = setting(flags.apiKeyEnv ?? services[flags.provider].keyName);
  if (key === undefined && flags.apiKeyEnv !== undefined) {
    throw new CliError(`there is no ${flags.apiKeyEnv} in the environment or in .env`);
  }
  return key;
}

/** The client for the service that was chosen. Throws a `CliError` when there is no API key. */
export async function openManager(io: CliContext, flags: ManagementFlags): Promise<Manager> {
  const { title, keyName } = services[flags.provider];
  const apiKey = await findApiKey(io, flags);
  if (apiKey === undefined) {
    throw new CliError(`there is no API key for ${title}: set ${keyName} in the environment or in .env`);
  }
  return connect(io, flags, apiKey);
}

/** The same with an API key. `send` takes the place of the global `fetch`. */
export async function connect(
  io: CliContext,
  flags: ManagementFlags,
  apiKey: string,
  send?: typeof fetch,
): Promise<Manager> {
  const { managers } = await import('./providers.js');
  const { proxiedFetch } = await import('../shared/proxied-fetch.js');
  const through = send ?? proxiedFetch(await readSettings(io));
  try {
    return await managers[flags.provider](
      { apiKey, baseUrl: flags.baseUrl, ...(through && { fetch: through }) },
      io.interrupted,
    );
  } catch (error) {
    throw asUsage(error);
  }
}

/** What the clients refuse before a call was given wrongly on the command line. */
export function asUsage(error: unknown): unknown {
  if (!(error instanceof TypeError)) return error;
  return new UsageError(error.message.replace('the option baseUrl', '--base-url'));
}

/** Shodai's filters, by their flags. */
const filterFlags = {
  agreementId: 'agreementIds',
  templateId: 'templateIds',
  inputId: 'inputIds',
  fromState: 'fromStates',
  toState: 'toStates',
  ruleId: 'ruleIds',
} as const;

export type FilterFlags = { readonly [Flag in keyof typeof filterFlags]?: readonly string[] };

export function addFilterOptions(command: Command): Command {
  return command
    .option('--agreement-id <ids>', 'Shodai: only of these agreements, repeatable or a comma list', gather)
    .option('--template-id <ids>', 'Shodai: only of agreements from these templates', gather)
    .option('--input-id <ids>', 'Shodai: only of these inputs', gather)
    .option('--from-state <states>', 'Shodai: only transitions out of these states', gather)
    .option('--to-state <states>', 'Shodai: only transitions into these states', gather)
    .option('--rule-id <ids>', 'Shodai: only notifications of these rules', gather);
}

export function filtersIn(flags: FilterFlags & ManagementFlags): ShodaiApiFilters | undefined {
  const entries = Object.entries(filterFlags).flatMap(([flag, name]): [string, readonly string[]][] => {
    const list = flags[flag as keyof FilterFlags];
    return list === undefined ? [] : [[name, list]];
  });
  if (entries.length === 0) return undefined;
  if (flags.provider !== 'shodai') throw new UsageError('only the webhooks of --provider shodai have filters');
  return Object.fromEntries(entries);
}

/** Gathers an option that may be repeated, each time with a comma list. */
export function gather(value: string, list: readonly string[] = []): readonly string[] {
  return [...list, ...value.split(',').flatMap((part) => part.trim() || [])];
}
