import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { withEntry } from './env-entry.js';
import { Failure, UsageFailure } from './failure.js';
import type { Io } from './io.js';
import { printLine, printNote } from './print.js';

export interface SecretFlags {
  readonly secretFile?: string;
  readonly envFile?: string;
  readonly envName?: string;
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
    .option('--show-secret', 'print the secret, too');
}

/** Where a secret will be written. It has been tried before the service is asked for one that it gives only once. */
export interface SecretTarget {
  /** For people: `.env as VAST_WEBHOOK_SECRET`. */
  readonly where: string;
  /** The variable of the environment that hides it. */
  readonly shadow?: string;
  /** Puts the secret on the disk, or throws and leaves what was there. */
  write(secret: string): Promise<void>;
  /** Takes away what the trial has left. */
  discard(): Promise<void>;
}

/** Opens the target. Throws a `Failure` when the secret could not be written there. */
export async function openSecretTarget(io: Io, flags: SecretFlags, defaultName: string): Promise<SecretTarget> {
  const { secretFile, envFile = '.env', envName = defaultName } = flags;
  if (!/^[A-Za-z_]\w*$/.test(envName)) {
    throw new UsageFailure(`--env-name takes the name of a variable, such as ${defaultName}`);
  }
  const given = secretFile ?? envFile;
  const path = resolve(io.cwd, given);
  if (secretFile !== undefined) {
    return { where: given, ...(await replacement(path, given, async (secret) => secret)) };
  }
  const toText = async (secret: string) => {
    // Read at the last moment: somebody may have edited it since.
    const text = withEntry(await textOf(path), envName, secret);
    if (text === undefined) throw new Failure(`${given} cannot be changed safely: an entry of it is malformed`);
    return text;
  };
  const target = await replacement(path, given, toText);
  try {
    await toText(randomBytes(32).toString('hex'));
  } catch (error) {
    await target.discard();
    throw error;
  }
  return { where: `${given} as ${envName}`, shadow: envName, ...target };
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/**
 * A file that is replaced as a whole: written beside it, brought to the disk and renamed, so that at every moment either
 * the old content or the new one is there. A symbolic link stays one; mode and owner stay as they are.
 */
async function replacement(
  path: string,
  given: string,
  toText: (secret: string) => Promise<string>,
): Promise<Pick<SecretTarget, 'write' | 'discard'>> {
  const file = await followLinks(path, given);
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
  let handle: FileHandle;
  try {
    handle = await openLike(file, temporary);
  } catch (error) {
    throw new Failure(`the secret could not be written to ${given} (${reasonOf(error)}): nothing was asked for yet`);
  }
  return {
    async write(secret) {
      try {
        await handle.writeFile(await toText(secret));
        await handle.sync();
        await handle.close();
        await rename(temporary, file);
        await syncFolder(dirname(file));
      } catch (error) {
        await discard();
        throw error;
      }
    },
    discard,
  };

  async function discard(): Promise<void> {
    await handle.close().catch(() => {});
    await rm(temporary, { force: true });
  }
}

async function followLinks(path: string, given: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const entry = await lstat(path).catch(() => undefined);
    if (!entry) return path;
    throw new Failure(`${given} is a symbolic link that leads nowhere: remove it, or make the file that it leads to`);
  }
}

/** Opens the new file with the mode and owner of the one it will replace; 0600 where there is none. */
async function openLike(file: string, temporary: string): Promise<FileHandle> {
  const old = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (old && !old.isFile()) throw new Error('it is not a file');
  // A file that was made read-only is not to be got around by replacing it.
  if (old) await (await open(file, 'r+')).close();
  const handle = await open(temporary, 'wx', 0o600);
  try {
    if (old) {
      const made = await handle.stat();
      if (old.uid !== made.uid || old.gid !== made.gid) await handle.chown(old.uid, old.gid);
      await handle.chmod(old.mode & 0o7777);
    }
    return handle;
  } catch (error) {
    await handle.close();
    await rm(temporary, { force: true });
    throw error;
  }
}

/** A rename is on the disk when its folder is; where folders cannot be opened, as on Windows, nothing more can be done. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {}
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

/**
 * Keeps a secret that the service has just given, for the only time. When it cannot be written after all, it is shown:
 * otherwise it would be lost.
 */
export async function keepSecret(io: Io, target: SecretTarget, secret: string, flags: SecretFlags): Promise<void> {
  try {
    await target.write(secret);
  } catch (error) {
    printLine(io, secret);
    throw new Failure(
      `the secret could not be written to ${target.where} (${reasonOf(error)}): it stands above, this once only, so keep it now`,
    );
  }
  printNote(io, `The secret is in ${target.where}.`);
  const { shadow } = target;
  if (shadow !== undefined && io.env[shadow]) {
    printNote(io, `The environment has a ${shadow}, too, which comes before .env: unset it, or change it there.`);
  }
  if (flags.showSecret) printLine(io, secret);
}
