import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { redisStore } from '../../src/stores/index.js';
import { signed } from '../support/adapters.js';
import { describeWithPrivateRedis } from '../support/backends.js';
import { type PrivateServer, type RedisOptions, startRedis } from '../support/servers.mjs';
import { connectRedis, type RedisClient, type RedisHandle, redisClients } from './factories/redis.js';
import { serveWith } from './service.js';

describeWithPrivateRedis.each(redisClients)('a Redis that is away, behind %s on its defaults', (client) => {
  const storeTimeoutMs = 200;

  it('frozen: 503 in time, late claims are released, and it is used again', async () => {
    const server = await aRedis();
    const service = await serveWith(redisStore(connected(client, server.url).client), { storeTimeoutMs });
    await service.takes();

    await server.freeze();
    const event = signed();
    for (let i = 0; i < 2; i++) await service.refuses(/no answer within 200 ms/, { message: event });

    server.thaw();
    // Sooner than in the 30 seconds of the lease.
    await service.takes(event);
    await service.takes(event);
    expect(service.handled).toHaveLength(2);
  });

  it('stopped: 503 in time, and it is used again', async () => {
    const server = await aRedis();
    const service = await serveWith(redisStore(connected(client, server.url).client), { storeTimeoutMs });
    const [before, during] = [signed(), signed()];
    await service.takes(before);

    await server.stop();
    for (let i = 0; i < 2; i++) await service.refuses(/failed to claim/, { message: during });

    await server.start();
    await service.takes(during);
    for (const event of [before, during]) await service.takes(event);
    expect(service.handled).toHaveLength(2);
  });

  it('down at the start: 503 in time, and it is used once it is up', async () => {
    const server = await aRedis();
    await server.stop();
    const service = await serveWith(redisStore(connected(client, server.url).client), { storeTimeoutMs });
    await service.refuses(/failed to claim/);
    await server.start();
    await service.takes();
  });
});

describeWithPrivateRedis.each(redisClients)('bad input of redisStore on %s', (client) => {
  it('a wrong password', async () => {
    const server = await aRedis({ password: 'right-p4ssword' });
    const url = `redis://:wrong-p4ssword@127.0.0.1:${server.port}`;
    const service = await serveWith(redisStore(connected(client, url).client), { storeTimeoutMs: 1_000 });
    await service.refuses(/WRONGPASS|NOAUTH/, { secrets: ['p4ssword'] });
  });

  it('no password', async () => {
    const server = await aRedis({ password: 'right-p4ssword' });
    const url = `redis://127.0.0.1:${server.port}`;
    const service = await serveWith(redisStore(connected(client, url).client));
    await service.refuses(/NOAUTH/, { secrets: ['p4ssword'] });
  });

  it('a user who may not run scripts', async () => {
    const server = await aRedis();
    await adminOf(server).call('ACL', 'SETUSER', 'reader', 'on', '>the-p4ssword', '~*', '+@read', '+@connection');
    const url = `redis://reader:the-p4ssword@127.0.0.1:${server.port}`;
    const service = await serveWith(redisStore(connected(client, url).client));
    await service.refuses(/NOPERM/, { secrets: ['p4ssword'] });
    await adminOf(server).call('ACL', 'SETUSER', 'reader', '+@all');
    await service.takes();
  });

  it('a replica, until it is made the master', async () => {
    const server = await aRedis();
    const service = await serveWith(redisStore(connected(client, server.url).client));
    await service.takes();
    await adminOf(server).replicaof('127.0.0.1', 1);
    await service.refuses(/READONLY|MASTERDOWN/);
    await adminOf(server).replicaof('NO', 'ONE');
    await service.takes();
  });

  it('full memory, until there is room', async () => {
    const server = await aRedis();
    const admin = adminOf(server);
    const service = await serveWith(redisStore(connected(client, server.url).client));
    const before = signed();
    await service.takes(before);
    await admin.config('SET', 'maxmemory', '1mb');
    await service.refuses(/OOM command not allowed/);
    await admin.config('SET', 'maxmemory', '0');
    await service.takes();
    await service.takes(before);
    expect(service.handled).toHaveLength(2);
  });

  it('a client that is closed', async () => {
    const server = await aRedis();
    const handle = connected(client, server.url);
    const service = await serveWith(redisStore(handle.client));
    await service.takes();
    handle.close();
    await service.refuses(/closed/i);
  });

  it('a key that has another value', async () => {
    const server = await aRedis();
    const service = await serveWith(redisStore(connected(client, server.url).client));
    const event = signed();
    await service.takes(event);
    const admin = adminOf(server);
    await admin.set((await admin.keys('*'))[0] as string, 'something');
    await service.refuses(/the key of the event has a value that this store did not write: choose another prefix/, {
      message: event,
    });
  });
});

function connected(client: RedisClient, url: string): RedisHandle {
  const handle = connectRedis(client, url);
  onTestFinished(() => handle.close());
  return handle;
}

async function aRedis(options?: RedisOptions): Promise<PrivateServer> {
  const server = await startRedis(options);
  onTestFinished(() => server.close());
  return server;
}

function adminOf({ url }: PrivateServer): Redis {
  const admin = new Redis(url).on('error', () => {});
  onTestFinished(() => admin.disconnect());
  return admin;
}
