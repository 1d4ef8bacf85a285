import { access, readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Sink, type WebhookOptions, when } from 'vast-webhook';
import { type AlertOptions, alerting } from 'vast-webhook/sinks';
import type { CliContext } from '../shared/context.js';
import { CliError, toError } from '../shared/errors.js';
import { readEnvFile } from '../shared/settings.js';
import { readJsonConfig } from './json-config.js';
import type { GivenSink } from './sinks-from-urls.js';

/** What a file says. Options and environment variables win. */
export interface Config {
  /** Sinks by their addresses. */
  readonly sinks: readonly GivenSink[];
  /** Sinks that a module has made. */
  readonly made: readonly Sink[];
  /** What else a module sets of the middleware. */
  readonly options: Omit<WebhookOptions, 'sinks'>;
  readonly store?: string;
  readonly outbox?: string;
  readonly catchUp?: boolean;
  /** As `--workers`, not checked yet. */
  readonly workers?: unknown;
  /** The address of the alert sink, if there is one. */
  readonly givenAlert?: readonly GivenSink[];
  /** For people: what is odd in it, and may be right. */
  readonly warnings: readonly string[];
  /** Of the alert sink: one that a module has made, and when it is to hear. */
  readonly alert?: Partial<AlertOptions>;
  /** Ends what a module has opened, such as the client of its store, which would keep the process alive. */
  close(): unknown;
}

const noConfig: Config = { sinks: [], made: [], options: {}, warnings: [], close() {} };

/** Reads `--config`. Throws a `CliError` that names the line or the key. */
export async function readConfig(
  file: string,
  setting: (name: string) => string | undefined,
  io: CliContext,
): Promise<Config> {
  const path = resolve(io.cwd, file);
  try {
    if (extname(file) === '.json')
      return { ...noConfig, ...readJsonConfig(await readFile(path, 'utf8'), file, setting) };
    await access(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new CliError(`--config: ${path} cannot be read (${code}): look at its path and permissions`);
  }
  return fromModule(await loadModule(path, file, io), file);
}

interface ConfigModule {
  readonly default?: unknown;
  readonly close?: () => unknown;
}

/** An ES module may read the settings of `.env`, too. */
async function loadModule(path: string, file: string, io: CliContext): Promise<ConfigModule> {
  for (const [name, value] of Object.entries(await readEnvFile(io))) process.env[name] ||= value;
  const { href } = pathToFileURL(path);
  try {
    return await import(/* @vite-ignore */ href);
  } catch (thrown) {
    const { message, stack = '' } = toError(thrown);
    if (/^Unknown file extension "\.[cm]?ts"/.test(message)) {
      throw new CliError(`${file}: this Node.js reads no TypeScript: take 22.18 or a later one, or write JavaScript`);
    }
    const at = [href, path].flatMap((name) => stack.split(`${name}:`)[1] ?? []).map(Number.parseInt)[0];
    const line = at === undefined || Number.isNaN(at) ? '' : `:${at}`;
    throw new CliError(`${file}${line}: ${message.split('\n')[0]}`);
  }
}

function fromModule({ default: exported, close = noConfig.close }: ConfigModule, file: string): Config {
  if (typeof exported !== 'object' || exported === null || Array.isArray(exported)) {
    throw new CliError(`${file}: export default { sinks: [...] }, an object of the options that vastWebhook takes`);
  }
  const {
    sinks = [],
    alert,
    catchUp,
    workers,
    ...options
  } = exported as WebhookOptions & {
    readonly alert?: AlertOptions;
    readonly catchUp?: unknown;
    readonly workers?: unknown;
  };
  if (!Array.isArray(sinks))
    throw new CliError(`${file}: the option sinks must be an array of named functions and sinks`);
  if (catchUp !== undefined && typeof catchUp !== 'boolean') {
    throw new CliError(`${file}: the option catchUp must be true or false`);
  }
  if (options.handoff) {
    throw new CliError(`${file}: leave the option handoff out, because serve has no handler of yours to call`);
  }
  try {
    // As the outbox would, which is made later.
    if (alert !== undefined) alerting(alert, []);
    // Makes a sink of a function, and refuses what is neither.
    return { ...noConfig, made: sinks.map((sink) => when(() => true, sink)), options, alert, catchUp, workers, close };
  } catch (error) {
    throw new CliError(`${file}: ${toError(error).message}`);
  }
}
