import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { readEnvFile } from '../shared/settings.js';
import { labelledPairs, listVariable, readSecrets, type SecretOptions, secretVariable } from './flags.js';

/** A secret, and where it was found. */
export interface NamedSecret {
  /** For people: `VAST_WEBHOOK_SECRET of .env`. */
  readonly from: string;
  readonly value: string;
  /** Whether it is meant to match, or only may have been meant. */
  readonly isGiven: boolean;
  /** What is worth knowing of it. */
  readonly note?: string;
}

/** The secret as it stands there, with its white space, and behind it others that may have been meant. */
export async function findSecrets(io: CliContext, source: SecretOptions): Promise<readonly NamedSecret[]> {
  const { secret, secretFile, secretEnv } = source;
  if ([secret, secretFile, secretEnv].filter((given) => given !== undefined).length > 1) {
    throw new UsageError('give one of --secret, --secret-file and --secret-env');
  }
  const file = await readEnvFile(io);
  const name = secretEnv ?? secretVariable;
  const found: NamedSecret[] = [];
  const add = (from: string, value: string | undefined, isGiven: boolean, note?: string) => {
    if (value && !found.some((each) => each.value === value)) found.push({ from, value, isGiven, note });
  };
  add('--secret', secret, true);
  if (secretFile !== undefined) {
    const { text, secrets } = await readSecrets(secretFile, io);
    const isAnswer = text.trimStart().startsWith('{');
    const value = isAnswer ? String(secrets[0]) : text.replace(/\r?\n$/, '');
    const note =
      value === text || isAnswer ? undefined : 'There is a newline at its end: code of your own has to trim it.';
    if (secrets.length === 1) add(secretFile, value, true, note);
    else for (const [index, line] of secrets.entries()) add(`${secretFile}, secret ${index + 1}`, line, true);
  }
  // The environment comes before .env: what stands in both is not the same perhaps.
  const byFlag = found.length > 0;
  add(`${name} of the environment`, io.env[name], !byFlag);
  add(`${name} of .env`, file[name], found.length === 0);
  if (secretEnv !== undefined && found.length === 0) {
    throw new CliError(`there is no ${secretEnv} in the environment or in .env`);
  }
  const list = io.env[listVariable] || file[listVariable] || '';
  const isList = found.length === 0;
  for (const [label, value] of labelledPairs(list)) if (label !== '') add(`${label} in ${listVariable}`, value, isList);
  // Without the one that was asked for there is nothing to compare others with.
  if (found.length === 0) return [];
  for (const [from, values] of [
    ['the environment', io.env],
    ['.env', file],
  ] as const) {
    for (const [each, value] of Object.entries(values)) {
      if (/VAST|WEBHOOK/i.test(each) && /SECRET/i.test(each) && each !== listVariable)
        add(`${each} of ${from}`, value, false);
    }
  }
  return found;
}
