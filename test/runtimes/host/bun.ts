import { createRequire } from 'node:module';
import { redisStore, sqliteStore } from '../../../src/stores/index.js';
import { type Fetch, fetchService } from '../../support/fetch-service.js';
import { frameworks } from './frameworks.js';
import { serveTest } from './process.js';
import { commonStores, nodeSqlite, once } from './stores.js';

interface BunServer {
  readonly port: number;
  stop(closeConnections: boolean): Promise<void>;
}

declare const Bun: {
  serve(options: { hostname: string; port: number; fetch: Fetch }): BunServer;
  readonly RedisClient: new (url: string) => Parameters<typeof redisStore>[0];
};

const { Database } = createRequire(import.meta.url)('bun:sqlite') as {
  Database: new (file: string) => Parameters<typeof sqliteStore>[0];
};
const { REDIS_URL } = process.env;
const redis = REDIS_URL ? new Bun.RedisClient(REDIS_URL) : undefined;

serveTest({
  servers: {
    ...frameworks,
    async 'Bun.serve'(setup, handler, arrived) {
      const { answer, hook } = fetchService(setup, handler);
      const fetch: Fetch = (request, ...context) => {
        arrived();
        return answer(request, ...context);
      };
      const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch });
      return { port: server.port, hook, stop: () => server.stop(true) };
    },
  },
  stores: {
    ...commonStores(),
    ...nodeSqlite(),
    'sqliteStore over bun:sqlite': once(() => sqliteStore(new Database(':memory:'))),
    ...(redis && {
      'redisStore over Bun.RedisClient': () => redisStore(redis, { prefix: `${process.env.RUN_NAME}:bun:` }),
    }),
  },
});
