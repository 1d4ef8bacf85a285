import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Secret } from 'vast-webhook';
import type { CliContext } from '../shared/context.js';
import { CliError } from '../shared/errors.js';

export interface SecretOptions {
  readonly secret?: string;
  readonly secretEnv?: string;
  readonly secretFile?: string;
}

type Settings = (name: string) => string | undefined;

export const secretVariable = 'VAST_WEBHOOK_SECRET';
/** Several, with labels. */
export const listVariable = `${secretVariable}S`;

export function addSecretOptions(command: Command): Command {
  return command
    .option('--secret-file <file>', 'file with the signing secret, or several, one a line')
    .option('--secret-env <name>', `environment variable with the signing secret (default: ${secretVariable})`)
    .option('--secret <secret>', 'the signing secret itself, which everybody on this machine can see in `ps`');
}

/**
 * The signing secrets that a receiver takes. A file is read again when none matches, so that a rotated secret needs no
 * restart. Throws a `CliError` when there is none.
 */
export async function receiverSecret(options: SecretOptions, setting: Settings, io: CliContext): Promise<Secret> {
  const { secretFile } = options;
  if (options.secret === undefined && secretFile !== undefined) {
    // Only to see that it can be read: by the first delivery it may have another secret.
    await secretsIn(secretFile, io);
    return () => secretsIn(secretFile, io);
  }
  const labelled = options.secret === undefined && options.secretEnv === undefined && setting(listVariable)?.trim();
  return labelled ? labelledSecrets(labelled, setting(secretVariable)) : oneSecret(options, setting);
}

/** The secret that a sender signs with: of several, the first. */
export async function senderSecret(options: SecretOptions, setting: Settings, io: CliContext): Promise<string> {
  const secret = await receiverSecret(options, setting, io);
  const list = typeof secret === 'function' ? await secret() : secret;
  return typeof list === 'string' ? list : (Object.values(list)[0] as string);
}

function oneSecret({ secret, secretEnv }: SecretOptions, setting: Settings): string {
  const found = secret ?? setting(secretEnv ?? secretVariable);
  if (found === undefined) {
    throw new CliError(
      `there is no signing secret: set ${secretEnv ?? secretVariable} in the environment or in .env, or give --secret-file`,
    );
  }
  const [only, ...others] = secretsOf(found) ?? [];
  if (found.trim() !== '' && (only === undefined || others.length > 0 || /^[{["]/.test(found.trim()))) {
    throw new CliError('the signing secret is something else than one secret, such as JSON: give the secret alone');
  }
  if (found === '') throw new CliError('the signing secret is empty, and anybody could sign with it: give a real one');
  return found;
}

/** The secrets in a file, at least one, and the text that they were found in. Throws a `CliError` for anything else. */
export async function readSecrets(
  file: string,
  { cwd }: CliContext,
): Promise<{ readonly text: string; readonly secrets: readonly string[] }> {
  const path = resolve(cwd, file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CliError(
      `the secret's file ${path} cannot be read (${(error as NodeJS.ErrnoException).code}): look at its path and permissions`,
    );
  }
  const secrets = secretsOf(text);
  if (secrets === undefined) {
    throw new CliError(
      `the secret's file ${path} holds something else than secrets: write the signing secret into it, one a line if there are several`,
    );
  }
  if (secrets.length === 0) throw new CliError(`the secret's file ${path} is empty: write the signing secret into it`);
  return { text, secrets };
}

async function secretsIn(file: string, io: CliContext): Promise<readonly string[]> {
  return (await readSecrets(file, io)).secrets;
}

/**
 * The secrets in a file's text, one a line, or that of an answer of the service, which the guides keep as
 * `vast-webhook.json`. Undefined for what would refuse every delivery: other JSON, entries of an `.env`, binary data.
 */
function secretsOf(text: string): readonly string[] | undefined {
  const whole = text.trim();
  if (/^[{["]/.test(whole)) {
    const secret = secretInAnswer(whole);
    return secret === undefined ? undefined : [secret];
  }
  const lines = whole.split('\n').flatMap((line) => line.trim() || []);
  return lines.some((line) => /\p{Cc}|^(export\s+)?[A-Z][A-Z\d_]*=[^=]/u.test(line)) ? undefined : lines;
}

function secretInAnswer(json: string): string | undefined {
  try {
    const answer = Object(JSON.parse(json)) as { webhook?: unknown };
    const { webhook_secret: secret } = Object(answer.webhook ?? answer) as { webhook_secret?: unknown };
    return typeof secret === 'string' && secret !== '' ? secret : undefined;
  } catch {
    return undefined;
  }
}

/** Those by which sinks may be limited to one webhook. */
export function labelsOf(secret: Secret): readonly string[] {
  return typeof secret === 'object' && !Array.isArray(secret) ? Object.keys(secret) : [];
}

/** `single` is that of `VAST_WEBHOOK_SECRET`: what it signs would be refused, or has no label. */
function labelledSecrets(text: string, single: string | undefined): Readonly<Record<string, string>> {
  const pairs = labelledPairs(text);
  // The text of a wrong pair is not quoted, because it may be a secret.
  if (pairs.some(([label, secret]) => label === '' || secret === '')) {
    throw new CliError(`${listVariable} must be like renter=SECRET,host=SECRET: a label before each secret`);
  }
  const secrets = Object.fromEntries(pairs);
  const twice = pairs.find(([label, secret]) => secrets[label] !== secret)?.[0];
  if (twice !== undefined) {
    throw new CliError(`the label ${twice} is in ${listVariable} twice: give each secret a label of its own`);
  }
  if (single !== undefined && !Object.values(secrets).includes(single)) {
    throw new CliError(
      `${secretVariable} and ${listVariable} are both set, and the first is not in the second: add it there with a label, unset it, or choose with --secret-env`,
    );
  }
  return secrets;
}

/** The pairs of `renter=SECRET,host=SECRET`. The label or the secret of a wrong pair is empty. */
export function labelledPairs(text: string): [label: string, secret: string][] {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((pair) => {
      const at = Math.max(0, pair.indexOf('='));
      return [pair.slice(0, at), pair.slice(at + 1)];
    });
}
