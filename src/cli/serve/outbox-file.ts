import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type OutboxFile, outboxFile } from 'vast-webhook/sinks';
import { CliError } from '../shared/errors.js';
import { openSqliteFile, unusable } from './sqlite-file.js';

/** Opens the outbox that `serve` has written, and makes none. Throws a `CliError`. */
export async function openOutboxFile(
  file: string,
  cwd: string,
): Promise<{ readonly outbox: OutboxFile; close(): void }> {
  const path = resolve(cwd, file);
  if (!existsSync(path)) throw new CliError(`--outbox: there is no file ${path}: give the file of serve --outbox`);
  const db = openSqliteFile('--outbox', file, cwd);
  try {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE name = 'vast_webhook_outbox'").all();
    if (tables.length === 0) throw new CliError(`--outbox: ${path} is no outbox: give the file of serve --outbox`);
    return { outbox: outboxFile(db), close: () => void db.close() };
  } catch (error) {
    db.close();
    throw error instanceof CliError ? error : unusable('--outbox', path, error);
  }
}
