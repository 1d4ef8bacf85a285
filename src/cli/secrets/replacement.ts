import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { CliError } from '../shared/errors.js';

/** The new content could not be put into its file, and lies beside it. */
export class NotPlaced extends Error {
  constructor(
    /** Where it is. */
    readonly path: string,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** More than an entry and its comment add to a file. */
const growth = 4_096;

/**
 * A file that is replaced as a whole: written beside it, brought to the disk and renamed, so that at every moment either
 * the old content or the new one is there. Mode and owner stay as they are. Opening it takes the room on the disk.
 */
export class Replacement {
  /** Whether an earlier run has ended before its service answered. */
  readonly followsAnother: boolean;
  readonly #file: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  /** A file with several names would keep its old content under the others. */
  readonly #hasOtherNames: boolean;

  private constructor(file: string, handle: FileHandle, hasOtherNames: boolean, followsAnother: boolean) {
    this.#file = file;
    this.#temporary = besides(file);
    this.#handle = handle;
    this.#hasOtherNames = hasOtherNames;
    this.followsAnother = followsAnother;
  }

  /** Only where nobody else replaces the file meanwhile. Throws when it could not be replaced. */
  static async open(file: string): Promise<Replacement> {
    const temporary = besides(file);
    const followsAnother = await clear(temporary);
    const old = await stat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (old && !old.isFile()) throw new Error('it is not a file');
    // Replacing a read-only file would bypass its mode.
    if (old) await (await open(file, 'r+')).close();
    const handle = await open(temporary, 'wx', 0o600);
    try {
      if (old) {
        const made = await handle.stat();
        if (old.uid !== made.uid || old.gid !== made.gid) await handle.chown(old.uid, old.gid);
        await handle.chmod(old.mode & 0o7777);
      }
      await reserve(handle, (old?.size ?? 0) + growth);
      return new Replacement(file, handle, (old?.nlink ?? 1) > 1, followsAnother);
    } catch (error) {
      await handle.close();
      await rm(temporary, { force: true });
      throw error;
    }
  }

  /** Throws a `NotPlaced` when the content, or else the secret, lies beside the file; otherwise it is nowhere. */
  async write(secret: string, contentWith: () => Promise<string>): Promise<void> {
    let content: string | undefined;
    try {
      try {
        content = await contentWith();
      } finally {
        await this.#keep(content ?? `${secret}\n`);
      }
      await this.#place(content);
    } catch (error) {
      if (await this.#isKept(content ?? secret)) throw new NotPlaced(this.#temporary, error);
      await this.discard();
      throw error;
    }
  }

  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.#temporary, { force: true });
  }

  async #keep(content: string): Promise<void> {
    await this.#handle.writeFile(content);
    await this.#handle.truncate(Buffer.byteLength(content));
    await this.#handle.sync();
    await this.#handle.close();
  }

  async #place(content: string): Promise<void> {
    try {
      if (this.#hasOtherNames) return await this.#overwrite(content);
      await rename(this.#temporary, this.#file);
    } catch (error) {
      // Where the file is mounted by itself, as containers have it.
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      await this.#overwrite(content);
    }
    await syncFolder(dirname(this.#file));
  }

  /** Until it is done the content is in the other file, too. */
  async #overwrite(content: string): Promise<void> {
    const handle = await open(this.#file, 'r+');
    try {
      await handle.writeFile(content);
      await handle.truncate(Buffer.byteLength(content));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rm(this.#temporary, { force: true });
  }

  async #isKept(content: string): Promise<boolean> {
    return (await readFile(this.#temporary, 'utf8').catch(() => '')).trimEnd() === content.trimEnd();
  }
}

/** Beside the file, as a rename must not leave its file system. The name matches `.env.*`, which Git often ignores. */
function besides(file: string): string {
  return `${file}.vast-webhook.tmp`;
}

/** Removes what an earlier run has left, unless there may be a secret in it. Gives whether there was something. */
async function clear(temporary: string): Promise<boolean> {
  const left = await readFile(temporary, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (left === undefined) return false;
  if (left.trim() !== '') {
    throw new CliError(
      `${basename(temporary)} holds a secret that an earlier run could not put in its place: take it from there if it is of use, and remove that file`,
    );
  }
  await rm(temporary);
  return true;
}

/** Blanks, which cannot be taken for a secret. */
async function reserve(handle: FileHandle, size: number): Promise<void> {
  const blanks = Buffer.alloc(size, ' ');
  for (let done = 0; done < size; ) done += (await handle.write(blanks, done, size - done, done)).bytesWritten;
  await handle.sync();
}

/** A rename is on the disk when its folder is; where folders cannot be opened, as on Windows, nothing more can be done. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {}
}
