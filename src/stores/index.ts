export type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
export { type D1, type D1Answer, type D1Statement, d1Store } from './d1.js';
export { type DurableObjectRows, type DurableObjectSqlStorage, durableObjectStore } from './durable-object.js';
export { type MemoryStoreOptions, memoryStore } from './memory/memory-store.js';
export { type Postgres, type PostgresStoreOptions, postgresStore } from './postgres.js';
export { type IoRedis, type NodeRedis, type RedisStoreOptions, redisStore } from './redis.js';
export { type SqliteStoreOptions, sqliteStore } from './sqlite.js';
export type { SqliteDatabase, SqliteStatement } from './sqlite-table.js';
export type { WorkersStoreOptions } from './workers-table.js';
