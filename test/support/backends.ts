/** The servers that `global-setup.ts` found, for tests. */
import { randomBytes } from 'node:crypto';
import { describe, inject } from 'vitest';

export function redisUrl(): string {
  return required(inject('redisUrl'), inject('redisReasons'));
}

/** Of a Postgres. */
export function databaseUrl(): string {
  return required(inject('databaseUrl'), inject('postgresReasons'));
}

/** For keys, tables, queues and schemas: the servers may be shared, and are never flushed. */
export function uniqueName(): string {
  return `${inject('runName')}_${randomBytes(4).toString('hex')}`;
}

export const describeWithRedis = describe.skipIf(inject('redisUrl') === undefined);
export const describeWithPostgres = describe.skipIf(inject('databaseUrl') === undefined);
/** For tests that call `startRedis()`. */
export const describeWithPrivateRedis = describe.skipIf(!inject('privateRedis'));
/** For tests that call `startPostgres()`. */
export const describeWithPrivatePostgres = describe.skipIf(!inject('privatePostgres'));

function required(url: string | undefined, reasons: string): string {
  if (url === undefined) throw new Error(reasons);
  return url;
}
