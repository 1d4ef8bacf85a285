import { afterAll, beforeAll, describe } from 'vitest';
import {
  describeWithPostgres,
  describeWithPrivateRedis,
  describeWithRedis,
  redisUrl,
  uniqueName,
} from '../support/backends.js';
import { type PrivateServer, startRedis } from '../support/servers.mjs';
import { conformsAcrossProcesses } from './conforms.js';
import { make as makePostgres, postgresClients } from './factories/postgres.js';
import { make as makeRedis, redisClients } from './factories/redis.js';
import { type OwnSchema, ownSchema } from './own-schema.js';

const redis = new URL('factories/redis.ts', import.meta.url);
const postgres = new URL('factories/postgres.ts', import.meta.url);

describeWithRedis.each(redisClients)('redisStore on %s', (client) => {
  conformsAcrossProcesses(redis, makeRedis, () => ({ client, url: redisUrl(), prefix: `${uniqueName()}:` }));
});

describeWithPrivateRedis('redisStore on a cluster', () => {
  let server: PrivateServer;
  beforeAll(async () => {
    server = await startRedis({ cluster: true });
  });
  afterAll(() => server?.close());

  describe.each(redisClients)('with %s', (client) => {
    const prefix = `${uniqueName()}:`;
    conformsAcrossProcesses(redis, makeRedis, () => ({ client, url: server.url, isCluster: true, prefix }));
  });
});

describeWithPostgres.each(postgresClients)('postgresStore on %s', (_, args) => {
  let schema: OwnSchema;
  beforeAll(async () => {
    schema = await ownSchema();
  });
  afterAll(() => schema?.drop());

  conformsAcrossProcesses(postgres, makePostgres, () => ({ ...args, url: schema.url }));
});
