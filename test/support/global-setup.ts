/**
 * A Redis and a Postgres for the run: those of REDIS_URL and DATABASE_URL, else private ones, else those on the
 * standard ports; and the Chromium in PATH. What is missing fails in CI; elsewhere its tests are skipped, and the last
 * line of the run says why.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createClient } from 'redis';
import type { TestProject } from 'vitest/node';
import { findChromium } from './chromium.js';
import { type PrivateServer, startPostgres, startRedis } from './servers.mjs';

declare module 'vitest' {
  export interface ProvidedContext {
    /** In the name of all that tests make on a server. */
    runName: string;
    /** For the package as `copyBuiltPackage` builds it. */
    buildFolder: string;
    redisUrl: string | undefined;
    databaseUrl: string | undefined;
    /** Whether tests can start servers of their own. */
    privateRedis: boolean;
    privatePostgres: boolean;
    /** Why they cannot, or why there is no server at all. */
    redisReasons: string;
    postgresReasons: string;
    /** The browser's file. */
    chromium: string | undefined;
  }
}

interface Lease {
  readonly url: string;
  release(): Promise<void>;
}

interface Kind {
  readonly name: string;
  readonly variable: string;
  readonly standardUrl: string;
  start(): Promise<PrivateServer>;
  /** A server that is not ours: nothing may be left on it, and nothing of others touched. */
  borrow(url: string): Promise<Lease>;
}

interface Found {
  readonly kind: Kind;
  readonly lease: Lease | undefined;
  readonly canStart: boolean;
  readonly reasons: readonly string[];
}

const runName = `vw_${randomBytes(4).toString('hex')}`;
const isCi = !['', '0', 'false'].includes(process.env.CI ?? '');

const redisKind: Kind = {
  name: 'Redis',
  variable: 'REDIS_URL',
  standardUrl: 'redis://127.0.0.1:6379',
  start: startRedis,
  borrow: borrowRedis,
};

const postgresKind: Kind = {
  name: 'Postgres',
  variable: 'DATABASE_URL',
  standardUrl: 'postgres://postgres@127.0.0.1:5432/postgres',
  start: startPostgres,
  borrow: borrowPostgres,
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const searches = await Promise.allSettled([find(redisKind), find(postgresKind)]);
  const found = searches.flatMap((search) => (search.status === 'fulfilled' ? search.value : []));
  const release = async () => {
    await Promise.all(found.map(({ lease }) => lease?.release()));
  };

  const failures = searches.flatMap((search) => (search.status === 'rejected' ? messageOf(search.reason) : []));
  if (isCi) failures.push(...missing(found));
  if (failures.length > 0) {
    await release();
    throw new Error(failures.join('\n'));
  }

  provide(project, found as [Found, Found]);
  const buildFolder = await mkdtemp(join(tmpdir(), 'vast-webhook-build-'));
  project.provide('buildFolder', buildFolder);
  return async () => {
    await release();
    await rm(buildFolder, { recursive: true, force: true });
    // Vitest has printed its summary by now.
    for (const line of missing(found)) console.warn(`SKIPPED ${inOneLine(line)}`);
  };
}

function provide(project: TestProject, [redis, postgres]: [Found, Found]): void {
  project.provide('runName', runName);
  project.provide('redisUrl', redis.lease?.url);
  project.provide('databaseUrl', postgres.lease?.url);
  project.provide('privateRedis', redis.canStart);
  project.provide('privatePostgres', postgres.canStart);
  project.provide('redisReasons', redis.reasons.join('\n'));
  project.provide('postgresReasons', postgres.reasons.join('\n'));
  project.provide('chromium', findChromium());
}

function missing(found: readonly Found[]): string[] {
  const lines = found
    .filter(({ canStart }) => !canStart)
    .map(({ kind, lease, reasons }) => {
      const what = lease ? `start ${kind.name} servers of their own` : `need ${kind.name}`;
      return `the tests that ${what}: ${reasons.join('\n')}`;
    });
  if (findChromium() === undefined) lines.push('the tests that need a browser: there is no chromium in PATH');
  return lines;
}

function inOneLine(reasons: string): string {
  return reasons.replaceAll(/:\s*\n\s*/g, ': ').replaceAll(/\s*\n\s*/g, '; ');
}

async function find(kind: Kind): Promise<Found> {
  const reasons: string[] = [];
  const own = await orReason(startOwn(kind), reasons);
  const given = process.env[kind.variable];
  if (given) {
    await own?.release();
    return { kind, lease: await borrowGiven(kind, given), canStart: own !== undefined, reasons };
  }
  const lease = own ?? (await orReason(kind.borrow(kind.standardUrl), reasons, `${kind.standardUrl}: `));
  return { kind, lease, canStart: own !== undefined, reasons };
}

async function startOwn(kind: Kind): Promise<Lease> {
  const server = await kind.start();
  return { url: server.url, release: () => server.close() };
}

async function borrowGiven(kind: Kind, url: string): Promise<Lease> {
  try {
    return await kind.borrow(url);
  } catch (error) {
    throw new Error(`${kind.variable} is set, but its ${kind.name} cannot be used: ${messageOf(error)}`);
  }
}

async function orReason<T>(promise: Promise<T>, reasons: string[], prefix = ''): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    reasons.push(prefix + messageOf(error));
    return undefined;
  }
}

/** An `AggregateError`, as of a refused connection, has only a code. */
function messageOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  return message || String(code ?? error);
}

async function borrowRedis(url: string): Promise<Lease> {
  await withRedis(url, (client) => client.ping());
  return { url, release: () => withRedis(url, deleteOurKeys) };
}

type RedisClient = ReturnType<typeof redisClient>;

function redisClient(url: string) {
  return createClient({ url, socket: { connectTimeout: 3000, reconnectStrategy: false } }).on('error', () => {});
}

async function withRedis(url: string, work: (client: RedisClient) => Promise<unknown>): Promise<void> {
  const client = redisClient(url);
  await client.connect();
  try {
    await work(client);
  } finally {
    client.destroy();
  }
}

async function deleteOurKeys(client: RedisClient): Promise<void> {
  for await (const keys of client.scanIterator({ MATCH: `*${runName}*`, COUNT: 1000 })) {
    if (keys.length > 0) await client.unlink(keys);
  }
}

async function borrowPostgres(url: string): Promise<Lease> {
  await query(url, `CREATE SCHEMA ${runName}`);
  const inSchema = new URL(url);
  inSchema.searchParams.set('options', `-c search_path=${runName}`);
  return { url: inSchema.href, release: () => query(url, `DROP SCHEMA ${runName} CASCADE`) };
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000 });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
