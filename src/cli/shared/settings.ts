import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse } from 'dotenv';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';

/** Reads what no flag gave: the environment, then `.env` beside which the command was started. */
export async function readSettings(io: CliContext): Promise<(name: string) => string | undefined> {
  const file = await readEnvFile(io);
  // An empty variable is how a shell or a compose file says that there is none.
  return (name) => io.env[name] || file[name] || undefined;
}

export async function readEnvFile(io: CliContext): Promise<Record<string, string>> {
  return parse(await readEnvText(io));
}

/** The text of `.env`; empty where there is none. */
export async function readEnvText({ cwd }: CliContext): Promise<string> {
  const path = resolve(cwd, '.env');
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return '';
    throw new CliError(`${path} cannot be read (${code}): make it readable, or move it away`);
  }
}
