import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis5';
import { createClient, createCluster } from 'redis';
import { createClient as createClient5, createCluster as createCluster5 } from 'redis5';
import { type IoRedis, type NodeRedis, type RedisStoreOptions, redisStore } from '../../../src/stores/index.js';

/** A client of the user's, on its defaults. It connects by itself, again and again. */
export interface RedisHandle {
  readonly client: IoRedis | NodeRedis;
  /** Until then the first calls wait for it. */
  readonly connected: Promise<unknown>;
  close(): void;
}

const single = {
  'ioredis 5': (url) => ofIoRedis(new Redis5(url)),
  'ioredis 6': (url) => ofIoRedis(new Redis(url)),
  'node-redis 5': (url) => ofNodeRedis(createClient5({ url })),
  'node-redis 6': (url) => ofNodeRedis(createClient({ url })),
} satisfies Record<string, (url: string) => RedisHandle>;

export type RedisClient = keyof typeof single;
export const redisClients = Object.keys(single) as RedisClient[];

const cluster: Readonly<Record<RedisClient, (url: string) => RedisHandle>> = {
  'ioredis 5': (url) => ofIoRedis(new Cluster5([url])),
  'ioredis 6': (url) => ofIoRedis(new Cluster([url])),
  'node-redis 5': (url) => ofNodeRedis(createCluster5({ rootNodes: [{ url }] })),
  'node-redis 6': (url) => ofNodeRedis(createCluster({ rootNodes: [{ url }] })),
};

export function connectRedis(client: RedisClient, url: string, isCluster = false): RedisHandle {
  return (isCluster ? cluster : single)[client](url);
}

interface Emitter {
  on(event: 'error', listener: () => void): unknown;
}

export function ofIoRedis(client: IoRedis & Emitter & { disconnect(): void }): RedisHandle {
  client.on('error', () => {});
  return { client, connected: Promise.resolve(), close: () => client.disconnect() };
}

export function ofNodeRedis(
  client: NodeRedis & Emitter & { connect(): Promise<unknown>; destroy(): void; isOpen: boolean },
): RedisHandle {
  client.on('error', () => {});
  const connected = client.connect();
  connected.catch(() => {});
  return { client, connected, close: () => client.isOpen && client.destroy() };
}

export interface RedisArgs extends RedisStoreOptions {
  readonly client: RedisClient;
  readonly url: string;
  readonly isCluster?: boolean;
}

export async function make({ client, url, isCluster, prefix }: RedisArgs) {
  const handle = connectRedis(client, url, isCluster);
  await handle.connected;
  return { store: redisStore(handle.client, { prefix }), close: handle.close };
}
