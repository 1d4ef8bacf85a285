/** A service with docs/reference/stores.md's example of writes that are committed together with the event. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { compileFunction } from 'node:vm';
import { transformSync } from 'esbuild';
import express, { type Express, type RequestHandler } from 'express';
import pg from 'pg';
import { vastWebhook } from '../../../src/index.js';
import { postgresStore } from '../../../src/stores/index.js';

export interface CostsArgs {
  readonly url: string;
  readonly secret: string;
  readonly port: number;
  /** Ends the process at that moment, as a crash does. */
  readonly dieAfter?: 'COMMIT' | 'INSERT INTO costs';
}

/** A service in another process. */
export async function make({ url, secret, port, dieAfter }: CostsArgs) {
  const pool = new pg.Pool({ connectionString: url }).on('error', () => {});
  if (dieAfter !== undefined) afterQuery(pool, dieAfter, () => process.kill(process.pid, 'SIGKILL'));
  const server = createServer(costsService(pool, secret)).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    store: postgresStore(pool),
    async close() {
      server.closeAllConnections();
      server.close();
      await pool.end();
    },
  };
}

export function costsService(pool: pg.Pool, secret: string): Express {
  const app = express();
  app.set('env', 'test');
  app.use(vastWebhook(secret, { onOutcome() {} }) as unknown as RequestHandler);
  compileFunction(exampleOf('docs/reference/stores.md'), ['app', 'pool', 'postgresStore'])(app, pool, postgresStore);
  return app;
}

/** Calls `then`, which may throw, after the pool's clients ran a query that begins so. */
export function afterQuery(pool: pg.Pool, beginning: string, then: () => unknown): void {
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
    const watched = async (...args: unknown[]) => {
      const result = await query(...args);
      if (String(args[0]).startsWith(beginning)) await then();
      return result;
    };
    client.query = watched as typeof client.query;
  });
}

/** Processes of tests run in the project's folder. */
function exampleOf(file: string): string {
  const text = readFileSync(file, 'utf8');
  const example = /^\*\*Writes of your own, together with the event\..*?^```ts\n(.*?)^```/ms.exec(text)?.[1];
  if (example === undefined) throw new Error(`${file} has no example of writes of your own`);
  // A function has no imports, so it gets them as parameters.
  return transformSync(example.replace(/^import .*\n/gm, ''), { loader: 'ts' }).code;
}

/** A port without a server. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
