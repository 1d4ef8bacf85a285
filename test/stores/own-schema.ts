import pg from 'pg';
import { onTestFinished } from 'vitest';
import { databaseUrl, uniqueName } from '../support/backends.js';

/** An empty schema of the run's Postgres, in which clients of this URL find and make their tables. */
export interface OwnSchema {
  readonly url: string;
  readonly name: string;
  drop(): Promise<void>;
}

export async function ownSchema(): Promise<OwnSchema> {
  const name = uniqueName();
  await query(databaseUrl(), `CREATE SCHEMA ${name}`);
  return {
    name,
    url: withSettings(databaseUrl(), { search_path: name }),
    drop: () => query(databaseUrl(), `DROP SCHEMA ${name} CASCADE`),
  };
}

/** For the running test. */
export async function aSchema(): Promise<OwnSchema> {
  const schema = await ownSchema();
  onTestFinished(() => schema.drop());
  return schema;
}

/**
 * For the running test. A statement that waits for a lock fails after ten seconds, unless the URL says otherwise: none
 * has to wait for another transaction, and those of one event wait for each other on a busy machine.
 */
export function aPool(url: string, options: pg.PoolConfig = {}): pg.Pool {
  const connectionString = url.includes('lock_timeout') ? url : withSettings(url, { lock_timeout: '10000' });
  const pool = new pg.Pool({ connectionString, max: 5, ...options }).on('error', () => {});
  onTestFinished(() => (pool.ended ? undefined : pool.end()));
  return pool;
}

/** For the running test. */
export async function aClient(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url }).on('error', () => {});
  onTestFinished(() => client.end().catch(() => {}));
  await client.connect();
  return client;
}

/** The URL of clients that begin with these settings of Postgres. */
export function withSettings(url: string, settings: Readonly<Record<string, string>>): string {
  const changed = new URL(url);
  const given = changed.searchParams.get('options');
  const more = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  changed.searchParams.set('options', [...(given === null ? [] : [given]), ...more].join(' '));
  return changed.href;
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
