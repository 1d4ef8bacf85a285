import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type IdempotencyStore,
  type IoRedis,
  memoryStore,
  type NodeRedis,
  type Postgres,
  postgresStore,
  redisStore,
  sqliteStore,
} from 'vast-webhook/stores';
import { CliError, toError } from '../shared/errors.js';
import type { Placed } from './server.js';
import { openSqliteFile, unusable } from './sqlite-file.js';
import { type Found, loadUserModule } from './user-module.js';

export interface OpenStore {
  readonly store: IdempotencyStore;
  /** For people, without what is secret in a URL. */
  readonly label: string;
  /** Rejects while it cannot be written to. */
  check(): Promise<void>;
  close(): Promise<unknown> | unknown;
}

/** How long a server may take to answer for the first time. */
const patienceMs = 5_000;
/** How often it is said that a server is away. */
const repeatEveryMs = 10_000;

/**
 * Opens the store that `--store` names, and sees that it works. `onError` hears of connections that are lost later.
 * Throws a `CliError`.
 */
export async function openStore(
  { where, value: text }: Placed<string | IdempotencyStore>,
  cwd: string,
  onError: (reason: string) => void,
): Promise<OpenStore> {
  if (typeof text !== 'string') {
    return { store: text, label: 'that of the config', check: () => tryOut(text), close() {} };
  }
  if (text === 'memory') return { store: memoryStore(), label: 'memory', async check() {}, close() {} };
  if (text.startsWith('sqlite:') && text.length > 'sqlite:'.length)
    return sqlite(where, text.slice('sqlite:'.length), cwd);
  if (endsBeforePassword(text)) {
    throw new CliError(`${where}: a /, ?, # or @ in the password must be written as %2F, %3F, %23 or %40`);
  }
  const { protocol, host, pathname, password } = URL.canParse(text) ? new URL(text) : new URL('none:');
  if (!isEncoded(password)) throw new CliError(`${where}: the password has a % that must be written as %25`);
  const label = `${protocol}//${host}${pathname}`;
  if (protocol === 'redis:' || protocol === 'rediss:') return redis({ where, url: text, label, onError }, cwd);
  if (protocol === 'postgres:' || protocol === 'postgresql:')
    return postgres({ where, url: text, label, onError }, cwd);
  throw new CliError(`${where} must be memory, sqlite:FILE, redis://..., rediss://... or postgres://...`);
}

/** Whether a part of the password would be taken for the host or the path, which are printed. */
function endsBeforePassword(text: string): boolean {
  const [, userInfo, rest = ''] = /^[a-z]+:\/\/(?:([^/?#]*)@)?([^@].*)$/is.exec(text) ?? [];
  // Behind a complete host, an @ may be the value of a parameter.
  return userInfo === undefined ? /^[^/?#]+[/?#].*@/s.test(rest) : /^[^?]*@|#.*@/s.test(rest);
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

async function sqlite(where: string, file: string, cwd: string): Promise<OpenStore> {
  const db = openSqliteFile(where, file, cwd);
  const store = sqliteStore(db);
  try {
    await tryOut(store);
  } catch (error) {
    db.close();
    throw unusable(where, resolve(cwd, file), error);
  }
  return { store, label: `sqlite:${file}`, check: () => tryOut(store), close: () => db.close() };
}

/** Redis or Postgres. */
interface StoreServer {
  /** Where its address was given. */
  readonly where: string;
  readonly url: string;
  /** Its address for people. */
  readonly label: string;
  /** Hears of connections that are lost. */
  onError(reason: string): void;
}

interface Client {
  on(name: 'error', listener: (error: Error) => void): unknown;
}

async function redis(server: StoreServer, cwd: string): Promise<OpenStore> {
  const { where, url } = server;
  const found = loadUserModule(['ioredis', 'redis'], `${where} with Redis`, cwd);
  const { client, connect, close } = found.name === 'ioredis' ? ioRedis(found, url) : nodeRedis(found, url);
  return whenUsable(redisStore(client), client, server, connect, close);
}

interface RedisClient<T> {
  readonly client: T & Client;
  connect(): Promise<unknown>;
  close(): unknown;
}

function ioRedis({ module }: Found, url: string): RedisClient<IoRedis> {
  type Redis = IoRedis & Client & { connect(): Promise<void>; disconnect(): void };
  const { Redis } = module as { Redis: new (url: string, options: object) => Redis };
  // A call that waits for a reconnect is of no use, because the sender has got 503 by then.
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1 });
  return { client, connect: () => client.connect(), close: () => client.disconnect() };
}

function nodeRedis({ module }: Found, url: string): RedisClient<NodeRedis> {
  type Redis = NodeRedis & Client & { connect(): Promise<unknown>; destroy(): void };
  const { createClient } = module as { createClient: (options: object) => Redis };
  const client = createClient({ url, disableOfflineQueue: true });
  return { client, connect: () => client.connect(), close: () => client.destroy() };
}

async function postgres(server: StoreServer, cwd: string): Promise<OpenStore> {
  const { where, url } = server;
  const { module } = loadUserModule(['pg'], `${where} with Postgres`, cwd);
  type Pool = Postgres & Client & { end(): Promise<void> };
  const { Pool } = module as { Pool: new (options: object) => Pool };
  const pool = new Pool({ connectionString: url, connectionTimeoutMillis: 2_000 });
  return whenUsable(
    postgresStore(pool),
    pool,
    server,
    async () => {},
    () => pool.end(),
  );
}

async function whenUsable(
  store: IdempotencyStore,
  client: Client,
  { where, label, onError }: StoreServer,
  connect: () => Promise<unknown>,
  close: () => unknown,
): Promise<OpenStore> {
  let reason: Error | undefined;
  let silentUntil = Number.POSITIVE_INFINITY;
  client.on('error', (error) => {
    reason = error;
    // It tries again and again while the server is away.
    if (performance.now() < silentUntil) return;
    silentUntil = performance.now() + repeatEveryMs;
    onError(reasonOf(error));
  });
  const late = new AbortController();
  try {
    await Promise.race([
      connect().then(() => tryOut(store)),
      sleep(patienceMs, undefined, { signal: late.signal }).then(() => {
        throw new Error(`no answer within ${patienceMs / 1_000} s`);
      }),
    ]);
  } catch (error) {
    close();
    throw new CliError(
      `${where}: ${label} cannot be used (${reasonOf(reason ?? error)}): see that it runs and that address and password are right`,
    );
  } finally {
    late.abort();
  }
  silentUntil = 0;
  return { store, label, check: () => tryOut(store), close };
}

/** Of refused connections there is only a code. */
function reasonOf(thrown: unknown): string {
  const { message, code } = toError(thrown) as NodeJS.ErrnoException;
  return message || String(code);
}

/** Makes the table where there is none, and finds out whether it can be written to. */
async function tryOut(store: IdempotencyStore): Promise<void> {
  const token = randomUUID();
  const { state } = await store.claim('serve:start', token, 1_000);
  if (state === 'acquired') await store.release('serve:start', token, 1_000);
}
