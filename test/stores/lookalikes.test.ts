import { createClient } from 'redis';
import { describe, expect, it } from 'vitest';
import { d1Store, durableObjectStore, postgresStore, redisStore, sqliteStore } from '../../src/stores/index.js';

const run = () => {};
const stores = { d1Store, durableObjectStore, postgresStore, redisStore, sqliteStore };

/** By the properties that were seen in the real ones. */
const d1 = { prepare: run, batch: run, exec: run, dump: run, withSession: run };
const storage = { get: run, put: run, list: run, sql: { exec: run, databaseSize: 0 }, transactionSync: run };
const kv = { get: run, getWithMetadata: run, put: run, list: run, delete: run };
const upstash = { eval: run, evalsha: run, createScript: run, request: run };
const nodeRedis3 = { eval: run, evalsha: run, internal_send_command: run, send_command: run };
const nodeRedis4 = { eval: run, evalSha: run, sendCommand: run, connect: run, options: { legacyMode: true } };
const neon = Object.assign(() => {}, { query: run, transaction: run });
const pglite = { query: run, exec: run, waitReady: Promise.resolve() };
const pgPromise = { query: run, any: run, $pool: { query: run } };

describe('what looks like a client and would never work', () => {
  it.each([
    ['sqliteStore', 'a D1 database', d1, 'd1Store(db)'],
    ['durableObjectStore', 'a D1 database', d1, 'd1Store(db)'],
    ['sqliteStore', 'the storage of a Durable Object', storage, 'durableObjectStore(ctx.storage)'],
    ['sqliteStore', 'the storage of a Durable Object', storage.sql, 'durableObjectStore(ctx.storage)'],
    ['d1Store', 'the storage of a Durable Object', storage, 'durableObjectStore(ctx.storage)'],
    ['d1Store', 'a Workers KV namespace', kv, 'd1Store or durableObjectStore'],
    ['redisStore', 'a Workers KV namespace', kv, 'd1Store or durableObjectStore'],
    ['redisStore', 'a client of @upstash/redis', upstash, 'ioredis or node-redis'],
    ['redisStore', 'a client of node-redis 3', nodeRedis3, 'node-redis 5'],
    ['redisStore', 'a node-redis client in legacy mode', nodeRedis4, 'without legacyMode'],
    ['redisStore', 'a node-redis client in legacy mode', createClient().legacy(), 'without legacyMode or legacy()'],
    ['postgresStore', 'a function', neon, 'a Pool of @neondatabase/serverless or of pg'],
    ['postgresStore', 'a PGlite database', pglite, 'a pool of pg'],
    ['postgresStore', 'a database of pg-promise', pgPromise, 'postgresStore(db.$pool)'],
  ] as const)('%s refuses %s by its name, and says what to use', (store, what, client, cure) => {
    const message = /^(\w+): this is ([^:]+): (.+)$/.exec(messageOf(() => stores[store](client as never)));
    expect(message?.slice(1, 3)).toEqual([store, expect.stringContaining(what)]);
    expect(message?.[3]).toContain(cure);
  });

  it('a client without legacy mode is none', () => {
    expect(() => redisStore(createClient())).not.toThrow();
  });
});

function messageOf(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    if (error instanceof TypeError) return error.message;
  }
  return '';
}
