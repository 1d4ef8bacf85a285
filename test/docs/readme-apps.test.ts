/** The first examples of the README and of the page on mounting, judged as services: other routes, errors, forgeries. */
import { createRequire } from 'node:module';
import { getRequestListener } from '@hono/node-server';
import { transformSync } from 'esbuild';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as fetchForm from '../../src/fetch.js';
import * as main from '../../src/index.js';
import * as koaForm from '../../src/koa.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { bytesOf, Connection, expresses, koas, listen } from '../support/adapters.js';
import { blocksOf, pageAt } from './markdown.js';

const require = createRequire(import.meta.url);
const secret = 'synthetic-webhook-secret';
const readme = 'README.md';
const mounting = 'docs/reference/mounting.md';

/** The example of a page that holds a text, as a function of what it imports and of what the reader has. */
function example(
  page: string,
  holding: string,
  modules: Record<string, unknown>,
  raiseBid: () => Promise<void>,
  result: string,
) {
  const code = blocksOf(pageAt(page)).find((block) => block.code.includes(holding))?.code as string;
  const js = transformSync(code, { loader: 'ts', format: 'cjs', platform: 'node' }).code;
  const load = (name: string) => modules[name] ?? require(name);
  const module = { exports: {} as Record<string, unknown> };
  const body = `${js.replace(/app\.listen\(\w+\);/, '')}\nreturn ${result};`;
  const process = { env: { VAST_WEBHOOK_SECRET: secret } };
  return new Function('require', 'module', 'exports', 'process', 'secret', 'raiseBid', body)(
    load,
    module,
    module.exports,
    process,
    secret,
    raiseBid,
  );
}

const services: Record<string, (raiseBid: () => Promise<void>) => unknown> = {
  ...Object.fromEntries(
    Object.entries(expresses).flatMap(([version, express]) =>
      [readme, mounting].map((page) => [
        `${page}, ${version}`,
        (raiseBid: () => Promise<void>) => {
          const modules = {
            express: { default: express, __esModule: true },
            'vast-webhook': main,
          };
          return example(page, "import express from 'express'", modules, raiseBid, 'app');
        },
      ]),
    ),
  ),
  ...Object.fromEntries(
    Object.entries(koas).map(([version, Koa]) => [
      `${mounting}, ${version}`,
      (raiseBid: () => Promise<void>) => {
        const modules = { koa: { default: Koa, __esModule: true }, 'vast-webhook/koa': koaForm };
        const app = example(mounting, "import Koa from 'koa'", modules, raiseBid, 'app');
        app.silent = true;
        return app.callback();
      },
    ]),
  ),
  [`${mounting}, fetch`]: (raiseBid) => {
    const modules = { 'vast-webhook/fetch': fetchForm };
    const post = example(mounting, 'export const POST', modules, raiseBid, 'module.exports.POST');
    return getRequestListener((request) =>
      new URL(request.url).pathname === '/vast/webhooks' ? post(request) : new Response(null, { status: 404 }),
    );
  },
};

describe.each(Object.entries(services))('the example of %s', (_name, make) => {
  async function serve(raiseBid: () => Promise<void>) {
    const { createServer } = await import('node:http');
    const server = createServer(make(raiseBid) as never);
    const port = await listen(server);
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return async (target: string, method: string, message: { body?: string | Buffer; headers?: object } = {}) => {
      const connection = await Connection.open(port);
      onTestFinished(() => connection.destroy());
      const headers = Object.entries(message.headers ?? {}) as [string, string][];
      connection.write(bytesOf({ target, method, body: message.body as string, headers }));
      return (await connection.answer(method)).status;
    };
  }

  it('runs its handler for a genuine event', async () => {
    let raised = 0;
    const send = await serve(async () => void raised++);
    expect(await send('/vast/webhooks', 'POST', signedDelivery(sampleEvent('outbid'), secret))).toBe(204);
    expect(raised).toBe(1);
  });

  it('refuses a forgery, and leaves other routes alone', async () => {
    let raised = 0;
    const send = await serve(async () => void raised++);
    expect(
      await send('/vast/webhooks', 'POST', signedDelivery(sampleEvent('outbid'), 'another-secret-of-some-length')),
    ).toBe(401);
    expect(await send('/health', 'GET')).toBe(404);
    expect(await send('/', 'POST', { body: 'a=b' })).toBe(404);
    expect(raised).toBe(0);
  });

  it('has an event sent again when its handler fails, and lives on', async () => {
    const failures: unknown[] = [];
    const hear = (error: unknown) => failures.push(error);
    process.on('unhandledRejection', hear);
    onTestFinished(() => void process.off('unhandledRejection', hear));
    let raised = 0;
    const send = await serve(async () => {
      if (++raised === 1) throw new Error('the bid could not be raised');
    });
    const delivery = signedDelivery(sampleEvent('outbid'), secret);
    expect(await send('/vast/webhooks', 'POST', delivery)).toBe(500);
    expect(await send('/vast/webhooks', 'POST', delivery)).toBe(204);
    expect(failures).toEqual([]);
  });
});
