/** The SQLite clients that the running Node.js has. Without vitest, so that other processes can also use it. */
import { createRequire } from 'node:module';
import type { SqliteDatabase } from '../../src/stores/sqlite-table.js';

const require = createRequire(import.meta.url);

export type SqliteClient = 'better-sqlite3' | 'node:sqlite';

export interface SqliteHandle extends SqliteDatabase {
  close(): unknown;
}

export interface SqliteHandles {
  readonly client: SqliteClient;
  open(file: string, options?: { readonly readOnly?: boolean }): SqliteHandle;
}

const better = {
  client: 'better-sqlite3',
  open(file, { readOnly = false } = {}) {
    const Database = require('better-sqlite3') as new (file: string, options: object) => SqliteHandle;
    return new Database(file, { readonly: readOnly });
  },
} satisfies SqliteHandles;

const builtIn = {
  client: 'node:sqlite',
  open(file, { readOnly = false } = {}) {
    const { DatabaseSync } = require('node:sqlite') as {
      DatabaseSync: new (file: string, options: object) => SqliteHandle;
    };
    return new DatabaseSync(file, { readOnly });
  },
} satisfies SqliteHandles;

/** One entry a client: `describe.each(sqliteHandles())('on $client: ...', ({ open }) => ...)`. */
export function sqliteHandles(): [SqliteHandles, ...SqliteHandles[]] {
  const [first, ...others] = [better, builtIn].filter(worksHere);
  if (!first) throw new Error('there is neither a better-sqlite3 nor a node:sqlite for this Node.js');
  return [first, ...others];
}

/** With the first client that works here. */
export const openHere: SqliteHandles['open'] = (file, options) => sqliteHandles()[0].open(file, options);

export function openSqlite(client: SqliteClient, file: string): SqliteHandle {
  return (client === 'better-sqlite3' ? better : builtIn).open(file);
}

/** Only what can be no otherwise is left out: an addon compiled for another Node.js, a module that came with a later one. */
function worksHere({ open }: SqliteHandles): boolean {
  try {
    open(':memory:').close();
    return true;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    // The second message is that of every attempt but the first.
    const isOfAnotherNode = code === 'ERR_DLOPEN_FAILED' && /NODE_MODULE_VERSION|did not self-register/.test(message);
    if (isOfAnotherNode || code === 'ERR_UNKNOWN_BUILTIN_MODULE') return false;
    throw error;
  }
}
