export type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
export { type MemoryStoreOptions, memoryStore } from './memory/memory-store.js';
export { type Postgres, type PostgresStoreOptions, postgresStore } from './postgres.js';
export { type IoRedis, type NodeRedis, type RedisStoreOptions, redisStore } from './redis.js';
export { type SqliteStoreOptions, sqliteStore } from './sqlite.js';
export type { SqliteDatabase, SqliteStatement } from './sqlite-table.js';
