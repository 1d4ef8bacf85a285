/**
 * What the blocks of README.md and docs/reference use without declaring it: parts of the reader's own service, of the
 * types that they have there. Only values; what a page imports further up needs not stand here.
 */
import type { ConnectionOptions } from 'bullmq';
import type { Express } from 'express';
import type { Redis as IoRedis } from 'ioredis';
import type { Pool } from 'pg';
import type { IdempotencyStore, Sink, SinkFunction, VastEvent, VastWebhook } from '../../src/index.js';
import type { Outbox } from '../../src/sinks/index.js';

export * as http from 'node:http';
export { Queue, Worker } from 'bullmq';
export { Redis } from 'ioredis';
export { default as request } from 'supertest';
export { test } from 'vitest';

interface OwnDatabase {
  insert(event: VastEvent, options: { signal: AbortSignal }): Promise<void>;
  close(): void;
}

export declare const secret: string;
export declare const url: string;
export declare const hostsUrl: string;
export declare const app: Express;
export declare const server: import('node:http').Server;
export declare const hook: VastWebhook;
export declare const outbox: Outbox;
export declare const queue: Sink;
export declare const sinks: readonly Sink[];
export declare const audit: SinkFunction;
export declare const connection: ConnectionOptions;
export declare const redis: IoRedis;
export declare const pool: Pool;
export declare const db: OwnDatabase;
export declare function raiseBid(event: VastEvent): Promise<void>;
export declare function myStore(db: OwnDatabase): IdempotencyStore;
