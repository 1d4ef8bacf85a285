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

/** Opens a file, which is made if there is none, with better-sqlite3 or else the SQLite of Node.js itself. */
export function openSqliteFile(option: string, file: string, cwd: string): SqliteFile {
  const path = resolve(cwd, file);
  const builtIn = builtInSqlite();
  try {
    const Database = installedSqlite(option, cwd, builtIn);
    try {
      return new Database(path);
    } catch (error) {
      // Compiled for another Node.js, which shows only now.
      if ((error as NodeJS.ErrnoException).code !== 'ERR_DLOPEN_FAILED') throw error;
      if (builtIn !== undefined) return new builtIn(path);
      throw new CliError('better-sqlite3 is installed but cannot be loaded: npm rebuild better-sqlite3');
    }
  } catch (error) {
    throw error instanceof CliError ? error : unusable(option, path, error);
  }
}

export function unusable(option: string, path: string, error: unknown): CliError {
  return new CliError(
    `${option}: the file ${path} cannot be used (${toError(error).message}): give one in a folder that can be written to`,
  );
}

function installedSqlite(option: string, cwd: string, builtIn: Constructor | undefined): Constructor {
  try {
    return loadUserModule(['better-sqlite3'], `${option} with a file`, cwd, advice).module as Constructor;
  } catch (error) {
    if (builtIn === undefined) throw error;
    return builtIn;
  }
}

function builtInSqlite(): Constructor | undefined {
  const getBuiltin = (process as { getBuiltinModule?: (name: string) => unknown }).getBuiltinModule;
  const sqlite = getBuiltin?.('node:sqlite') as { DatabaseSync: Constructor } | undefined;
  return sqlite?.DatabaseSync;
}
