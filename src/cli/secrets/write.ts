import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { lstat, readFile, realpath, stat } from 'node:fs/promises';
import { basename, relative, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { parse } from 'dotenv';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { printLine, printNote } from '../shared/print.js';
import { type Mark, marksIn, withEntry } from './env-file.js';
import { acquireLock } from './file-lock.js';
import { NotPlaced, Replacement } from './replacement.js';

export interface SecretFlags {
  readonly secretFile?: string;
  readonly envFile?: string;
  readonly envName?: string;
  readonly replace?: true;
  readonly showSecret?: true;
}

export function addSecretTarget(command: Command): Command {
  return command
    .addOption(
      new Option('--secret-file <file>', 'write the secret into a file of its own, readable by you alone').conflicts([
        'envFile',
        'envName',
      ]),
    )
    .option('--env-file <file>', 'write the secret as an entry of this file (default: .env)')
    .option('--env-name <name>', "the entry's name (default: VAST_WEBHOOK_SECRET, SHODAI_WEBHOOK_SECRET)")
    .option('--replace', 'replace the secret that stands there, though it cannot be had again')
    .option('--show-secret', 'print the secret, too');
}

/** Where a secret will be written. It has been tried before the service is asked for one that it gives only once. */
export interface SecretTarget {
  /** For people: `.env as VAST_WEBHOOK_SECRET`. */
  readonly where: string;
  /** The variable of the environment that hides it. */
  readonly shadow?: string;
  /** For people: what to say about the file. */
  readonly notes: readonly string[];
  /** Puts the secret of a webhook on the disk, or throws and leaves what was there: a `NotPlaced` when it is beside. */
  write(secret: string, id: string): Promise<void>;
  /** Takes away what the trial has left. */
  discard(): Promise<void>;
}

/** What is needed to judge whether something may be replaced. */
export interface SecretOwner {
  /** As the service is called. */
  readonly service: string;
  /** The entry where no flag names one. */
  readonly defaultName: string;
  /** The webhook whose old secret may be replaced, and whether the account has no other. Undefined for a new webhook. */
  readonly rotated?: { readonly id: string; readonly isOnly: boolean };
}

/**
 * Opens the target, which nobody else writes until `write` or `discard`. Throws a `CliError` when the secret could not
 * be written there, or would replace one that may be another webhook's.
 */
export async function openSecretTarget(io: CliContext, flags: SecretFlags, owner: SecretOwner): Promise<SecretTarget> {
  const { secretFile, envFile = '.env' } = flags;
  if (flags.envName !== undefined && !/^[A-Za-z_]\w*$/.test(flags.envName)) {
    throw new UsageError(`--env-name takes the name of a variable, such as ${owner.defaultName}`);
  }
  const given = secretFile ?? envFile;
  const path = resolve(io.cwd, given);
  const file = await followLinks(path, given);
  const entry = await stat(file).catch(() => undefined);
  // A device or a pipe may be read without an end, and keeps nothing.
  if (entry && !entry.isFile()) throw notWritable(given, new Error('it is not a file'));
  const unlock = await acquireLock(`${file}.vast-webhook.lock`).catch((error: unknown) => {
    throw notWritable(given, error);
  });
  try {
    const target =
      secretFile === undefined
        ? await entryTarget(io, file, given, flags, owner)
        : await fileTarget(file, given, flags, owner);
    return {
      ...target,
      notes: [...(await notesOn(file, given)), ...target.notes],
      write: (secret, id) => target.write(secret, id).finally(unlock),
      discard: () => target.discard().finally(unlock),
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function fileTarget(
  file: string,
  given: string,
  { replace }: SecretFlags,
  { rotated }: SecretOwner,
): Promise<SecretTarget> {
  const seen = await textOf(file).catch((error: unknown) => {
    throw notWritable(given, error);
  });
  const old = seen.trim();
  // One that keeps more is no file of this command's, or of several webhooks.
  if (old && !/^[^\s{}[\]"'=:]+={0,2}$/.test(old)) {
    throw new CliError(`${given} holds more than a secret, which would be lost: give another --secret-file`);
  }
  if (old && !replace) {
    if (!rotated) throw new CliError(holdsOne(given, '--secret-file'));
    if (!rotated.isOnly) throw new CliError(cannotTell(`the file ${given}`, rotated.id));
  }
  const target = await replacementOf(file, given);
  return {
    where: given,
    notes: notesAfter(target),
    discard: () => target.discard(),
    write: (secret) =>
      target.write(secret, async () => {
        if ((await textOf(file)) !== seen) throw new Error('somebody has changed the file meanwhile');
        return secret;
      }),
  };
}

async function entryTarget(
  io: CliContext,
  file: string,
  given: string,
  flags: SecretFlags,
  owner: SecretOwner,
): Promise<SecretTarget> {
  const text = await textOf(file).catch((error: unknown) => {
    throw notWritable(given, error);
  });
  const envName = entryFor(io, text, given, flags, owner);
  const values = parse(text);
  const old = values[envName];
  const list = listIn(io, values, owner);
  const toText = async (secret: string, mark?: Mark) => {
    // Read at the last moment: somebody may have edited it since.
    const now = await textOf(file);
    if (parse(now)[envName] !== old) throw new Error(`somebody has changed ${envName} meanwhile`);
    const changed = withEntry(now, envName, secret, mark);
    if (changed === undefined) throw new CliError(`${given} cannot be changed safely: an entry of it is malformed`);
    return changed;
  };
  await toText(randomBytes(32).toString('hex'));
  const target = await replacementOf(file, given);
  return {
    where: `${given} as ${envName}`,
    shadow: envName,
    notes: [
      ...notesAfter(target),
      ...(list === undefined ? [] : [`Put it into ${list}, too, where \`serve\` has its secrets from.`]),
    ],
    discard: () => target.discard(),
    write: (secret, id) => target.write(secret, () => toText(secret, { service: owner.service, id })),
  };
}

/** The entry that may be written: an empty one, or the one with the old secret of the rotated webhook. */
function entryFor(io: CliContext, text: string, given: string, flags: SecretFlags, owner: SecretOwner): string {
  const { envName, replace } = flags;
  const { service, defaultName, rotated } = owner;
  const values = parse(text);
  const marks = marksIn(text);
  const isOwn = (name: string) => marks.get(name)?.service === service && marks.get(name)?.id === rotated?.id;
  if (envName === undefined && rotated) {
    const own = [...marks.keys()].filter(isOwn);
    if (own.length === 1) return own[0] as string;
    if (own.length > 1) {
      throw new CliError(
        `${own.join(' and ')} of ${given} hold the secret of webhook ${rotated.id}: give one of them with --env-name, and change the others yourself`,
      );
    }
  }
  const list = listIn(io, values, owner);
  if (envName === undefined && list !== undefined) {
    throw new CliError(
      `${list} holds secrets with labels, which this command does not change: give --env-name or --secret-file, and put the new secret into ${list} yourself`,
    );
  }
  const name = envName ?? defaultName;
  if (replace || (rotated && isOwn(name))) return name;
  if (!values[name]) {
    // It may be the one that others in the file hold, and they would keep a dead secret.
    const another = Object.keys(values).find((each) => values[each] && !marks.has(each) && looksLikeSecret(each));
    if (rotated && envName === undefined && another)
      throw new CliError(cannotTell(`${another} of ${given}`, rotated.id));
    return name;
  }
  if (!rotated) throw new CliError(holdsOne(`${name} of ${given}`, '--env-name'));
  const other = marks.get(name);
  if (other) {
    throw new CliError(
      `${name} of ${given} is the secret of webhook ${other.id}, not of ${rotated.id}: give another name with --env-name, or --replace if it is of no use`,
    );
  }
  if (!rotated.isOnly || (name !== defaultName && !looksLikeSecret(name))) {
    throw new CliError(cannotTell(`${name} of ${given}`, rotated.id));
  }
  return name;
}

/** The variable with several secrets and their labels, if it is set: `serve` reads no other one then. */
function listIn(
  { env }: CliContext,
  values: Readonly<Record<string, string>>,
  { defaultName }: SecretOwner,
): string | undefined {
  const name = `${defaultName}S`;
  return values[name] || env[name] ? name : undefined;
}

function looksLikeSecret(name: string): boolean {
  return /(VAST|WEBHOOK).*SECRET/i.test(name);
}

function holdsOne(what: string, flag: string): string {
  return `${what} holds a secret already, which could not be had again: give another ${flag}, or --replace if it is of no use`;
}

function cannotTell(what: string, id: string): string {
  return `it cannot be known whose secret ${what} holds: say where the new one goes with --env-name or --secret-file, and give --replace if what stands there is webhook ${id}'s`;
}

function notWritable(given: string, error: unknown): CliError {
  if (error instanceof CliError) return error;
  return new CliError(`the secret could not be written to ${given} (${reasonOf(error)}): nothing was asked for yet`);
}

function notesAfter({ followsAnother }: Replacement): readonly string[] {
  if (!followsAnother) return [];
  return ['An earlier run ended while it waited for a secret: if the service has given it, nobody has it.'];
}

async function notesOn(file: string, given: string): Promise<readonly string[]> {
  const { mode } = await stat(file).catch(() => ({ mode: 0 }));
  // Windows has no such modes.
  if (process.platform === 'win32' || (mode & 0o077) === 0) return [];
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  return [`Others on this machine can read ${given} (mode ${octal}): chmod 600 ${given}`];
}

/** Empty where there is no file. Throws for what is no text, which would not be the same when it is written again. */
async function textOf(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
  if (!isUtf8(bytes) || bytes.includes(0)) {
    throw new CliError(`${basename(path)} is not UTF-8 text, and would not stay as it is: convert it first`);
  }
  return bytes.toString('utf8');
}

async function replacementOf(file: string, given: string): Promise<Replacement> {
  try {
    return await Replacement.open(file);
  } catch (error) {
    throw notWritable(given, error);
  }
}

async function followLinks(path: string, given: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const entry = await lstat(path).catch(() => undefined);
    if (!entry) return path;
    throw new CliError(`${given} is a symbolic link that leads nowhere: remove it, or make the file that it leads to`);
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'EISDIR' ? 'it is not a file' : (code ?? message);
}

/**
 * Asks a service for a secret, and keeps it: its answer has the only copy, so that nothing but SIGKILL ends this
 * between the two. `given` finds the secret, and the webhook that it belongs to, in the answer.
 */
export function askForSecret<Answer>(
  io: CliContext,
  target: SecretTarget,
  flags: SecretFlags,
  ask: () => Promise<Answer>,
  given: (answer: Answer) => { readonly secret: string | undefined; readonly id: string },
): Promise<Answer> {
  return io.undisturbed(async () => {
    let answer: Answer;
    try {
      io.interrupted.throwIfAborted();
      answer = await ask();
    } catch (error) {
      await target.discard();
      throw error;
    }
    const { secret, id } = given(answer);
    if (secret === undefined) await target.discard();
    else await keepSecret(io, target, secret, id, flags);
    return answer;
  });
}

/** Whether a service may have acted on a call that failed. Needs no import of `ApiError`, so that `--help` stays fast. */
export function isInDoubt(error: unknown): boolean {
  return Object(error).inDoubt === true;
}

/** When it cannot be written after all, it is shown: otherwise it would be lost. */
async function keepSecret(
  io: CliContext,
  target: SecretTarget,
  secret: string,
  id: string,
  flags: SecretFlags,
): Promise<void> {
  try {
    await target.write(secret, id);
  } catch (error) {
    const failed = `the secret of webhook ${id} could not be written to ${target.where} (${reasonOf(error)})`;
    if (error instanceof NotPlaced) {
      const beside = relative(io.cwd, error.path);
      throw new CliError(`${failed}: it is in ${beside}, so put it where it belongs, and remove that file`);
    }
    // Not to standard output, which may be a program's input.
    printNote(io, secret);
    throw new CliError(`${failed}: it stands above, this once only, so keep it now`);
  }
  printNote(io, `The secret is in ${target.where}.`);
  for (const note of target.notes) printNote(io, note);
  const { shadow } = target;
  if (shadow !== undefined && io.env[shadow]) {
    printNote(io, `The environment has a ${shadow}, too, which comes before .env: unset it, or change it there.`);
  }
  if (flags.showSecret) printLine(io, secret);
}
