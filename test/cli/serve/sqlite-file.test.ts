import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openSqliteFile } from '../../../src/cli/serve/sqlite-file.js';
import { temporaryFolder } from '../running.js';

class Database {
  readonly file: string;
  constructor(file: string) {
    if (file.endsWith('unusable.db')) throw new Error('unable to open database file');
    this.file = file;
  }
}

/** A folder with this better-sqlite3, in a runtime that has these modules. */
function folder(betterSqlite3: string, modules: Readonly<Record<string, object>>): string {
  const cwd = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
  const home = join(cwd, 'node_modules/better-sqlite3');
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'index.js'), betterSqlite3);
  const { getBuiltinModule } = process;
  Object.assign(process, { getBuiltinModule: (name: string) => modules[name] });
  onTestFinished(() => {
    Object.assign(process, { getBuiltinModule });
    rmSync(cwd, { recursive: true });
  });
  return cwd;
}

const throwing = (error: string) => `throw Object.assign(new Error('not here'), ${error});`;
const failures = {
  'the module, as on Deno': throwing('{}'),
  'the first handle, as on Bun': `module.exports = class { constructor() { ${throwing("{ code: 'ERR_DLOPEN_FAILED' }")} } };`,
  'the first handle, as on Deno': `module.exports = class { constructor() { ${throwing('{}')} } };`,
};

describe.each(Object.entries(failures))('better-sqlite3 that fails with %s', (_, betterSqlite3) => {
  it.each([
    ['node:sqlite', { 'node:sqlite': { DatabaseSync: Database } }],
    ['bun:sqlite', { 'bun:sqlite': { Database }, 'node:sqlite': { DatabaseSync: class {} } }],
  ])('gives way to %s', (_name, modules) => {
    const cwd = folder(betterSqlite3, modules);
    const db = openSqliteFile('--store', 'events.db', cwd) as unknown as Database;
    expect(db).toBeInstanceOf(Database);
    expect(db.file).toBe(join(cwd, 'events.db'));
  });

  it('is an error where the runtime has none of its own', () => {
    expect(() => openSqliteFile('--store', 'events.db', folder(betterSqlite3, {}))).toThrow(/not here|npm rebuild/);
  });

  it('leaves the reason of a file that cannot be opened', () => {
    const cwd = folder(betterSqlite3, { 'node:sqlite': { DatabaseSync: Database } });
    expect(() => openSqliteFile('--outbox', 'unusable.db', cwd)).toThrow(
      /^--outbox: the file .*unusable\.db cannot be used \(unable to open database file\)/,
    );
  });
});

it('the SQLite of Node.js 22 is loaded without its warning, and no other warning is lost', async () => {
  const warnings: string[] = [];
  const listen = (warning: Error) => void warnings.push(warning.message);
  process.on('warning', listen);
  const loader = process as { getBuiltinModule?: unknown };
  const { getBuiltinModule } = loader;
  onTestFinished(() => {
    process.off('warning', listen);
    loader.getBuiltinModule = getBuiltinModule;
  });
  class DatabaseSync {
    close() {}
  }
  // As Node.js 22 does when it is loaded for the first time.
  loader.getBuiltinModule = (name: string) => {
    if (name !== 'node:sqlite') return undefined;
    process.emitWarning('SQLite is an experimental feature and might change at any time', 'ExperimentalWarning');
    process.emitWarning('another one', 'ExperimentalWarning');
    return { DatabaseSync };
  };
  openSqliteFile('--store', 'x.db', temporaryFolder()).close();
  process.emitWarning('a later one');
  await turn();
  expect(warnings).toEqual(['another one', 'a later one']);
});
