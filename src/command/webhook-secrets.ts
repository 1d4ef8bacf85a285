import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Secret } from '../index.js';
import { Failure } from './failure.js';
import type { Io } from './io.js';

export interface SecretOptions {
  readonly secret?: string;
  readonly secretEnv?: string;
  readonly secretFile?: string;
}

type Settings = (name: string) => string | undefined;

export const secretVariable = 'VAST_WEBHOOK_SECRET';

export function addSecretOptions(command: Command): Command {
  return command
    .option('--secret-file <file>', 'file with the signing secret, or several, one a line')
    .option('--secret-env <name>', `environment variable with the signing secret (default: ${secretVariable})`)
    .option('--secret <secret>', 'the signing secret itself, which everybody on this machine can see in `ps`');
}

/**
 * The signing secrets that a receiver takes. A file is read again when none matches, so that a rotated secret needs no
 * restart. Throws a `Failure` when there is none.
 */
export async function receiverSecret(options: SecretOptions, setting: Settings, io: Io): Promise<Secret> {
  const { secretFile } = options;
  if (options.secret === undefined && secretFile !== undefined) {
    const first = await secretsIn(secretFile, io);
    // What was read to see that it can be is not read twice.
    let next: Promise<readonly string[]> | undefined = Promise.resolve(first);
    return () => {
      const secrets = next ?? secretsIn(secretFile, io);
      next = undefined;
      return secrets;
    };
  }
  const labelled = options.secret === undefined && options.secretEnv === undefined && setting(`${secretVariable}S`);
  return labelled ? labelledSecrets(labelled) : oneSecret(options, setting);
}

/** The secret that a sender signs with: of several, the first. */
export async function senderSecret(options: SecretOptions, setting: Settings, io: Io): Promise<string> {
  const secret = await receiverSecret(options, setting, io);
  const list = typeof secret === 'function' ? await secret() : secret;
  return typeof list === 'string' ? list : (Object.values(list)[0] as string);
}

function oneSecret({ secret, secretEnv }: SecretOptions, setting: Settings): string {
  const found = secret ?? setting(secretEnv ?? secretVariable);
  if (found === undefined) {
    throw new Failure(
      `there is no signing secret: set ${secretEnv ?? secretVariable} in the environment or in .env, or give --secret-file`,
    );
  }
  if (found === '') throw new Failure('the signing secret is empty, and anybody could sign with it: give a real one');
  return found;
}

async function secretsIn(file: string, { cwd }: Io): Promise<readonly string[]> {
  const path = resolve(cwd, file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new Failure(`the secret's file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const secrets = text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (secrets.length === 0) throw new Failure(`the secret's file ${path} is empty: write the signing secret into it`);
  return secrets;
}

/** `renter=SECRET,host=SECRET` */
function labelledSecrets(text: string): Readonly<Record<string, string>> {
  const pairs = text.split(/[\s,]+/).filter(Boolean);
  const secrets = pairs.map((pair): [string, string] => {
    const at = pair.indexOf('=');
    // What is wrong is not repeated: it may be a secret.
    if (at < 1 || at === pair.length - 1) {
      throw new Failure(`${secretVariable}S must be like renter=SECRET,host=SECRET: a label before each secret`);
    }
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  return Object.fromEntries(secrets);
}
