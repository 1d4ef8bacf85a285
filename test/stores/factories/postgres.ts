import pg from 'pg';
import { type PostgresStoreOptions, postgresStore } from '../../../src/stores/index.js';

export interface PostgresArgs extends PostgresStoreOptions {
  readonly client: 'Pool' | 'Client';
  readonly url: string;
}

export const postgresClients: readonly [string, Omit<PostgresArgs, 'url'>][] = [
  ['a pool', { client: 'Pool' }],
  ['a pool without prepared statements', { client: 'Pool', prepare: false }],
  ['a client', { client: 'Client' }],
];

export async function make({ client, url, ...options }: PostgresArgs) {
  const handle = client === 'Pool' ? aPool(url) : await aClient(url);
  return { store: postgresStore(handle, options), close: () => handle.end() };
}

function aPool(url: string): pg.Pool {
  return new pg.Pool({ connectionString: url, max: 5 }).on('error', () => {});
}

async function aClient(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url }).on('error', () => {});
  await client.connect();
  return client;
}
