/** The stores that a process of Node.js, Bun or Deno can have. */
import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createClient } from 'redis';
import type { IdempotencyStore } from '../../../src/index.js';
import { memoryStore, postgresStore, redisStore, sqliteStore } from '../../../src/stores/index.js';

type Make = () => IdempotencyStore | Promise<IdempotencyStore>;

const name = process.env.RUN_NAME ?? 'runtimes';

/** Makes the first store, and later returns it: for data that only one handle has. */
export function once(make: () => IdempotencyStore): Make {
  let store: IdempotencyStore | undefined;
  return () => {
    store ??= make();
    return store;
  };
}

export function commonStores(): Record<string, Make> {
  const { REDIS_URL, DATABASE_URL } = process.env;
  const stores: Record<string, Make> = { memoryStore: once(() => memoryStore()) };
  if (REDIS_URL) {
    const prefix = `${name}:${process.pid}:`;
    const clients = { ioredis: new Redis(REDIS_URL), redis: createClient({ url: REDIS_URL }) };
    clients.redis.on('error', console.error);
    clients.ioredis.on('error', console.error);
    const connected = clients.redis.connect();
    stores['redisStore over ioredis'] = () => redisStore(clients.ioredis, { prefix });
    stores['redisStore over redis'] = async () => {
      await connected;
      return redisStore(clients.redis, { prefix: `${prefix}redis:` });
    };
  }
  if (DATABASE_URL) {
    const pool = new pg.Pool({ connectionString: DATABASE_URL });
    pool.on('error', console.error);
    stores['postgresStore over pg'] = () => postgresStore(pool, { table: `${name}_${process.pid}` });
  }
  return stores;
}

/** `node:sqlite`, where the runtime has it. */
export function nodeSqlite(): Record<string, Make> {
  try {
    const { DatabaseSync } = createRequire(import.meta.url)('node:sqlite') as {
      DatabaseSync: new (file: string) => Parameters<typeof sqliteStore>[0];
    };
    return { 'sqliteStore over node:sqlite': once(() => sqliteStore(new DatabaseSync(':memory:'))) };
  } catch {
    return {};
  }
}
