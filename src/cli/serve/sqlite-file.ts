import { resolve } from 'node:path';
import type { SqliteDatabase } from 'vast-webhook/stores';
import { CliError, toError } from '../shared/errors.js';
import { loadUserModule } from './user-module.js';

export interface SqliteFile extends SqliteDatabase {
  close(): unknown;
}

/** Version 13 of better-sqlite3 needs Node.js 22, and only Node.js 20 and early versions of 22 need it at all. */
const advice = 'run npm install better-sqlite3@12 in this folder, or use Node.js 22.13 or later, which needs none';

type Constructor = new (file: string) => SqliteFile;

/** Opens a file, which is made if there is none, with better-sqlite3 or else with the SQLite of the runtime itself. */
export function openSqliteFile(option: string, file: string, cwd: string): SqliteFile {
  const path = resolve(cwd, file);
  const builtIn = builtInSqlite();
  try {
    return new (installedSqlite(option, cwd))(path);
  } catch (error) {
    // Deno and Bun cannot load the addon, and each says so in its own way. A file that cannot be opened fails twice.
    if (builtIn !== undefined) return openBuiltIn(builtIn, option, path);
    if (error instanceof CliError) throw error;
    // Compiled for another Node.js, which shows only now.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_DLOPEN_FAILED') throw unusable(option, path, error);
    throw new CliError('better-sqlite3 is installed but cannot be loaded: npm rebuild better-sqlite3');
  }
}

function openBuiltIn(builtIn: Constructor, option: string, path: string): SqliteFile {
  try {
    return new builtIn(path);
  } catch (error) {
    throw unusable(option, path, error);
  }
}

export function unusable(option: string, path: string, error: unknown): CliError {
  return new CliError(
    `${option}: the file ${path} cannot be used (${toError(error).message}): give one in a folder that can be written to`,
  );
}

function installedSqlite(option: string, cwd: string): Constructor {
  return loadUserModule(['better-sqlite3'], `${option} with a file`, cwd, advice).module as Constructor;
}

function builtInSqlite(): Constructor | undefined {
  const getBuiltin = (process as { getBuiltinModule?: (name: string) => unknown }).getBuiltinModule;
  const ofBun = getBuiltin?.('bun:sqlite') as { Database: Constructor } | undefined;
  if (ofBun !== undefined) return ofBun.Database;
  const ofNode = withoutItsWarning(() => getBuiltin?.('node:sqlite')) as { DatabaseSync: Constructor } | undefined;
  return ofNode?.DatabaseSync;
}

/** Node.js 22 warns that its SQLite is experimental. The text on stderr would be no line of a JSON log. */
function withoutItsWarning<T>(load: () => T): T {
  const { emitWarning } = process;
  const emitOthers = (warning: string | Error, ...args: unknown[]) => {
    if (/SQLite is an experimental feature/.test(String(warning))) return;
    Reflect.apply(emitWarning, process, [warning, ...args]);
  };
  process.emitWarning = emitOthers;
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
