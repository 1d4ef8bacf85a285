import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import {
  databaseUrl,
  describeWithPostgres,
  describeWithPrivatePostgres,
  describeWithPrivateRedis,
  describeWithRedis,
  redisUrl,
  uniqueName,
} from './backends.js';
import { type PrivateServer, type RedisOptions, startPostgres, startRedis } from './servers.mjs';

describeWithRedis('the Redis of the run', () => {
  it('accepts commands', async () => {
    const redis = redisClient(redisUrl());
    const key = uniqueName();
    await redis.set(key, 'kept', 'PX', 10_000);
    expect(await redis.get(key)).toBe('kept');
  });
});

describeWithPostgres('the Postgres of the run', () => {
  it('accepts queries', async () => {
    const table = uniqueName();
    const client = await postgresClient(databaseUrl());
    await client.query(`CREATE TABLE ${table} (event text)`);
    expect((await client.query(`SELECT * FROM ${table}`)).rows).toEqual([]);
  });
});

describeWithPrivateRedis('a private Redis', () => {
  it('keeps its data append-only and evicts nothing', async () => {
    const redis = redisClient((await aRedis()).url);
    expect(await redis.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
    expect(await redis.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  });

  it('answers nothing while it is frozen, and then goes on', async () => {
    const server = await aRedis();
    const redis = redisClient(server.url);
    await redis.ping();

    await server.freeze();
    const answer = redis.ping();
    expect(await answersWithin(200, answer)).toBe(false);

    server.thaw();
    expect(await answer).toBe('PONG');
  });

  it('keeps its data over a stop', async () => {
    const server = await aRedis();
    await redisClient(server.url).set('event', 'kept');

    await server.stop();
    expect(server.pid).toBeUndefined();
    expect(await isOpen(server.port)).toBe(false);

    await server.start();
    expect(await redisClient(server.url).get('event')).toBe('kept');
  });

  it('keeps acknowledged writes when it is killed', async () => {
    const server = await aRedis();
    const redis = redisClient(server.url);
    let acknowledged = 0;
    const writes = (async () => {
      for (;;) acknowledged = await redis.incr('events');
    })().catch(() => {});
    await vi.waitUntil(() => acknowledged > 100);

    await server.stop('SIGKILL');
    await writes;
    await server.start();

    expect(Number(await redisClient(server.url).get('events'))).toBeGreaterThanOrEqual(acknowledged);
  });

  it('asks for its password', async () => {
    const { url, port } = await aRedis({ password: 'p@ss: word/' });
    expect(await redisClient(url).ping()).toBe('PONG');
    await expect(redisClient(`redis://127.0.0.1:${port}`).ping()).rejects.toThrow('NOAUTH');
  });

  it('is a cluster', async () => {
    const { port } = await aRedis({ cluster: true });
    const cluster = new Cluster([{ host: '127.0.0.1', port }]);
    onTestFinished(() => cluster.disconnect());
    await Promise.all(['first', 'second', 'third'].map((key) => cluster.set(key, key)));
    expect(await cluster.get('second')).toBe('second');
  });

  it('leaves nothing behind', async () => {
    const server = await aRedis();
    const pid = server.pid as number;
    await server.freeze();
    await server.close();
    expect(isAlive(pid)).toBe(false);
    expect(await isOpen(server.port)).toBe(false);
    expect(existsSync(server.folder)).toBe(false);
  });

  it.each(['exit', 'SIGKILL'] as const)('ends with the process that started it: %s', async (end) => {
    const { parent, server } = await startedElsewhere();
    if (end === 'exit') parent.stdin?.end();
    else parent.kill(end);
    await once(parent, 'exit');
    await vi.waitUntil(() => !isAlive(server.pid) && !existsSync(server.folder));
  });
});

describeWithPrivatePostgres('a private Postgres', () => {
  let server: PrivateServer;
  beforeAll(async () => {
    server = await startPostgres({ maxConnections: 17 });
  });
  afterAll(() => server.close());

  it('syncs to disk, and accepts as many connections as requested', async () => {
    const { rows } = await (await postgresClient(server.url)).query(`
      SELECT current_setting('fsync') fsync, current_setting('max_connections') connections,
        current_setting('server_encoding') encoding, current_setting('is_superuser') superuser`);
    expect(rows).toEqual([{ fsync: 'on', connections: '17', encoding: 'UTF8', superuser: 'on' }]);
  });

  it('answers nothing while it is frozen, on no connection, and then goes on', async () => {
    const client = await postgresClient(server.url);

    await server.freeze();
    const answers = [client.query('SELECT 1'), postgresClient(server.url)];
    expect(await answersWithin(200, ...answers)).toBe(false);

    server.thaw();
    await Promise.all(answers);
  });

  it('keeps its data over a stop, for which it waits for no client', async () => {
    const client = await postgresClient(server.url);
    await client.query("CREATE TABLE stopped AS SELECT 'kept' AS state");

    await server.stop();
    expect(server.pid).toBeUndefined();
    expect(await isOpen(server.port)).toBe(false);

    await server.start();
    const { rows } = await (await postgresClient(server.url)).query('SELECT state FROM stopped');
    expect(rows).toEqual([{ state: 'kept' }]);
  });

  it('is killed with all its children, and keeps acknowledged writes', async () => {
    const client = await postgresClient(server.url);
    await client.query("CREATE TABLE killed AS SELECT 'kept' AS state");
    const pids = await postgresPids(client);

    await server.stop('SIGKILL');
    expect(pids.filter(isAlive)).toEqual([]);

    await server.start();
    const { rows } = await (await postgresClient(server.url)).query('SELECT state FROM killed');
    expect(rows).toEqual([{ state: 'kept' }]);
  });

  it('leaves nothing behind', async () => {
    const pids = [server.pid as number, ...(await postgresPids(await postgresClient(server.url)))];

    await server.freeze();
    await server.close();

    expect(pids.filter(isAlive)).toEqual([]);
    expect(await isOpen(server.port)).toBe(false);
    expect(existsSync(server.folder)).toBe(false);
  });
});

async function aRedis(options?: RedisOptions): Promise<PrivateServer> {
  const server = await startRedis(options);
  onTestFinished(() => server.close());
  return server;
}

function redisClient(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

async function postgresClient(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  onTestFinished(() => client.end().catch(() => {}));
  await client.connect();
  return client;
}

/** Of all its children, with the one of this client. */
async function postgresPids(client: pg.Client): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>('SELECT pid FROM pg_stat_activity');
  return rows.map(({ pid }) => pid);
}

/** A process of its own that starts a Redis, and ends when its input does. */
async function startedElsewhere(): Promise<{ parent: ChildProcess; server: { pid: number; folder: string } }> {
  const program = `
    import { startRedis } from ${JSON.stringify(new URL('servers.mjs', import.meta.url).href)};
    const { pid, folder } = await startRedis();
    console.log(JSON.stringify({ pid, folder }));
    process.stdin.resume();`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [line] = await once(parent.stdout, 'data');
  return { parent, server: JSON.parse(String(line)) };
}

async function answersWithin(ms: number, ...answers: Promise<unknown>[]): Promise<boolean> {
  return Promise.race([...answers.map((answer) => answer.then(() => true)), delay(ms, false)]);
}

/** Not counting one that has ended and waits for its parent to take note. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = `/proc/${pid}/stat`;
  return !existsSync(stat) || !readFileSync(stat, 'latin1').includes(') Z ');
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
