/** The frameworks that the package supports, behind one interface, so that a test is written once and runs in all. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import Router from '@koa/router';
import express5, { type RequestHandler } from 'express';
import express4 from 'express4';
import Koa3 from 'koa';
import Koa2 from 'koa2';
import { onTestFinished } from 'vitest';
import { type Closable, type Received, type Secret, vastWebhook } from '../../src/index.js';
import { vastWebhook as koaVastWebhook, type VastState } from '../../src/koa.js';
import { type Provider, webhook } from '../../src/provider/index.js';
import { webhook as koaWebhook } from '../../src/provider/koa.js';
import { shodaiWebhook } from '../../src/shodai/index.js';
import { shodaiWebhook as koaShodaiWebhook } from '../../src/shodai/koa.js';
import { v0Webhook } from '../../src/v0/index.js';
import { v0Webhook as koaV0Webhook } from '../../src/v0/koa.js';
import { type Fetch, fetchParsers, fetchService } from './fetch-service.js';
import { bytesOf, Connection, secret } from './requests.js';
import { type Handler, type Mounting, mountings, type Parser, recorded, type Service, type Setup } from './service.js';
import { beacon, comet, pulsar, rocket, type SpaceEvent } from './space-providers.js';

export { isHandedOn } from './fetch-service.js';
export * from './requests.js';
export { type Handled, type Mounting, mountings, type Service, type Setup } from './service.js';
export { beacon, comet, pulsar, rocket } from './space-providers.js';

const require = createRequire(import.meta.url);
type KoaMiddleware = Parameters<Koa3['use']>[0];
export const koaMount = require('koa-mount') as (path: string, app: KoaMiddleware | Koa3) => KoaMiddleware;
export const koaBodyParser = require('koa-bodyparser') as (options?: object) => KoaMiddleware;
// Not imported: its types add to those of every `IncomingMessage`.
const { bodyParser } = require('@koa/bodyparser') as { bodyParser: typeof koaBodyParser };
const { koaBody } = require('koa-body') as { koaBody: (options?: object) => KoaMiddleware };

function formsOf(provider: Provider<SpaceEvent>) {
  return {
    express: (secrets: Secret, options: never) => webhook(provider, secrets, options),
    koa: (secrets: Secret, options: never) => koaWebhook(provider, secrets, options),
  };
}

/** Each provider's middleware in each form. */
const makers = {
  vast: { express: vastWebhook, koa: koaVastWebhook },
  shodai: { express: shodaiWebhook, koa: koaShodaiWebhook },
  v0: { express: v0Webhook, koa: koaV0Webhook },
  comet: formsOf(comet),
  rocket: formsOf(rocket),
  beacon: formsOf(beacon),
  pulsar: formsOf(pulsar),
} as const;

/** The middleware in one version of a framework. `adapters` has one entry for each. */
export interface Adapter {
  /** What the middleware gets: the request and response of `node:http`, as earlier middleware left them, or a `Request`. */
  readonly takes: 'node' | 'Request';
  /** The statuses that an unsigned request may get, whatever the spelling of its target. */
  readonly refusals: readonly number[];
  readonly parsers: Readonly<Record<string, Omit<Parser<never>, 'make'>>>;
  /** What an outcome advises when a parser came first. */
  readonly advice: string;
  /** Whether the middleware sees the error of a handler that throws, or only the status of the answer. */
  readonly showsErrors: boolean;
  readonly listen: (setup: Setup, handler: Handler) => { listener: RequestListener; hook: Closable };
}

const isAtTop = (mounting: Mounting | undefined) => mounting === 'at the top level';
const keptByExpress = 'express.json({ verify: keepRawBody })';

export async function start(adapter: Adapter, setup: Setup = {}): Promise<Service> {
  const { outcomes, handled, errors, endpoint, setup: watched, handler } = recorded(setup);
  const { listener, hook } = adapter.listen(watched, handler);
  const server = createServer(listener);
  const port = await listen(server);
  const connections: Connection[] = [];
  const service: Service = {
    port,
    endpoint,
    hook,
    outcomes: outcomes.entries,
    errors,
    handled: handled.entries,
    outcome: (nth = 1) => outcomes.nth(nth),
    handling: (nth = 1) => handled.nth(nth),
    arrival: () => once(server, 'request'),
    async connect() {
      const connection = await Connection.open(port);
      connections.push(connection);
      return connection;
    },
    async send(message) {
      const connection = await service.connect();
      connection.write(bytesOf({ target: endpoint, ...message }));
      const answer = await connection.answer(message.method);
      connection.destroy();
      return answer;
    },
    async stop() {
      for (const connection of connections) connection.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
  return service;
}

/** A service for the running test, stopped when that is over. */
export async function serve(adapter: Adapter, setup: Setup = {}): Promise<Service> {
  const service = await start(adapter, setup);
  onTestFinished(() => service.stop());
  return service;
}

export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

// ---------------------------------------------------------------- Express

export type Express = typeof express5;

export const expresses = { 'Express 4': express4 as unknown as Express, 'Express 5': express5 } as const;

function expressParsers(express: Express): Record<string, Parser<RequestHandler>> {
  return {
    'express.json()': { make: () => express.json(), leaves: 'nothing' },
    'express.text()': { make: () => express.text({ type: '*/*' }), leaves: 'nothing' },
    'express.urlencoded()': { make: () => express.urlencoded({ type: '*/*', extended: false }), leaves: 'nothing' },
    'express.raw()': { make: () => express.raw({ type: '*/*' }), leaves: 'bytes' },
  };
}

function expressAdapter(name: keyof typeof expresses): Adapter {
  const express = expresses[name];
  const parsers = expressParsers(express);
  return {
    takes: 'node',
    refusals: [400, 401, 404],
    parsers,
    advice: keptByExpress,
    showsErrors: false,
    listen(
      { provider = 'vast', secret: secrets = secret, options, mounting, around, parserBefore, parserBehind },
      handler,
    ) {
      const hook = makers[provider].express(secrets, options as never);
      const app = express();
      app.set('env', 'test');
      if (around) app.use((req, res, next) => void around(next, req, res));
      if (parserBefore) app.use((parsers[parserBefore] as Parser<RequestHandler>).make());
      const behind: RequestHandler[] = parserBehind ? [(parsers[parserBehind] as Parser<RequestHandler>).make()] : [];
      const handle: RequestHandler = (req, res, next) => {
        const { vast, body } = req;
        const { [provider]: received } = req as unknown as Partial<Record<string, Received<object>>>;
        const closed = () => once(res, 'close');
        const status = handler({ vast, received, body, closed, write: (part) => void res.write(part) });
        // Express 4 does not look at a handler's promise.
        return Promise.resolve(status).then((code) => void res.status(code).end(), next);
      };
      const route = options?.path ?? (isAtTop(mounting) ? `/${provider}/webhooks` : mountings[mounting as Mounting]);
      if (mounting === 'on a route') app.all(route, hook as unknown as RequestHandler, ...behind, handle);
      else {
        if (mounting === 'under a mount') app.use(route, hook as unknown as RequestHandler);
        else app.use(hook as unknown as RequestHandler);
        app.all(route, ...behind, handle);
      }
      app.post('/elsewhere', express.json(), (req, res) => void res.json({ got: req.body }));
      return { listener: app, hook };
    },
  };
}

// ---------------------------------------------------------------- Koa

export type Koa = typeof Koa3;
export const koas = { 'Koa 2': Koa2 as unknown as Koa, 'Koa 3': Koa3 } as const;

const koaParsers: Record<string, Parser<KoaMiddleware>> = {
  'koa-bodyparser': { make: () => koaBodyParser(), leaves: 'text' },
  '@koa/bodyparser': { make: () => bodyParser(), leaves: 'text' },
  'koa-body': { make: () => koaBody(), leaves: 'nothing', insists: true },
};

function koaAdapter(name: keyof typeof koas): Adapter {
  return {
    takes: 'node',
    refusals: [400, 401, 404],
    parsers: koaParsers,
    advice: 'before koa-body, @koa/bodyparser or koa-bodyparser',
    showsErrors: true,
    listen(
      { provider = 'vast', secret: secrets = secret, options, mounting, around, parserBefore, parserBehind },
      handler,
    ) {
      const hook = makers[provider].koa(secrets, options as never);
      const app = new koas[name]();
      app.silent = true;
      if (around) app.use((ctx, next) => around(next, ctx.req, ctx.res) as Promise<void>);
      if (parserBefore) app.use((koaParsers[parserBefore] as Parser<KoaMiddleware>).make());
      const behind = parserBehind ? [(koaParsers[parserBehind] as Parser<KoaMiddleware>).make()] : [];
      const handle: KoaMiddleware = (ctx) => {
        const { vast } = ctx.state as Partial<VastState>;
        const { [provider]: received } = ctx.state as Partial<Record<string, Received<object>>>;
        const { body } = ctx.request as { body?: unknown };
        const answered = handler({
          vast,
          received,
          body,
          closed: () => once(ctx.res, 'close'),
          write: (part) => void ctx.res.write(part),
        });
        if (typeof answered === 'number') {
          ctx.status = answered;
          return;
        }
        return answered.then((status) => {
          ctx.status = status;
        });
      };
      const router = new Router() as unknown as KoaRouter;
      const route = options?.path ?? (isAtTop(mounting) ? `/${provider}/webhooks` : mountings[mounting as Mounting]);
      if (mounting === 'on a route') router.all(route, hook as unknown as KoaMiddleware, ...behind, handle);
      else {
        app.use(mounting === 'under a mount' ? koaMount(route, hook as unknown as KoaMiddleware) : (hook as never));
        router.all(route, ...behind, handle);
      }
      router.post('/elsewhere', koaBodyParser(), (ctx) => {
        ctx.body = { got: (ctx.request as { body?: unknown }).body };
      });
      app.use(router.routes());
      return { listener: app.callback(), hook };
    },
  };
}

/** `@koa/router`, typed by shape: its own types are of one version of Koa. */
export interface KoaRouter {
  all(path: string, ...handlers: KoaMiddleware[]): unknown;
  get(path: string, ...handlers: KoaMiddleware[]): unknown;
  post(path: string, ...handlers: KoaMiddleware[]): unknown;
  use(...handlers: unknown[]): unknown;
  routes(): KoaMiddleware;
}
// ---------------------------------------------------------------- fetch

const { Request: UndiciRequest } = globalThis;

/** Servers of functions from `Request` to `Response`. Hono's has a `Request` of its own, which is made bit by bit. */
const fetchServers: Record<string, (answer: Fetch) => RequestListener> = {
  'fetch on undici': undiciListener,
  'fetch on @hono/node-server': getRequestListener,
};

function undiciListener(answer: Fetch): RequestListener {
  return async (req, res) => {
    const hungUp = new AbortController();
    res.once('close', () => {
      if (!res.writableFinished) hungUp.abort();
    });
    let response: Response;
    try {
      response = await answer(requestOf(req, hungUp.signal));
    } catch {
      response = new Response(null, { status: 400 });
    }
    res.statusCode = response.status;
    res.setHeaders(response.headers);
    res.end(Buffer.from(await response.arrayBuffer()));
    // The rest of the body has no reader, and it would block the next request. The stream that was made of
    // it would pause it again as soon as that is full.
    if (!req.complete) req.removeAllListeners('data').resume();
  };
}

function requestOf(req: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers();
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    headers.append(req.rawHeaders[i] as string, req.rawHeaders[i + 1] as string);
  }
  const url = new URL(req.url as string, 'http://service.test');
  const body = req.method === 'GET' || req.method === 'HEAD' ? undefined : Readable.toWeb(req);
  return new UndiciRequest(url, { method: req.method, headers, body, duplex: 'half', signal } as RequestInit);
}

function fetchAdapter(name: string): Adapter {
  return {
    takes: 'Request',
    // Hono's server has no body for a target with a user in it.
    refusals: [400, 401, 404, 500],
    parsers: fetchParsers,
    advice: 'request.clone()',
    showsErrors: true,
    listen({ around, ...setup }, handler) {
      const { answer, hook } = fetchService(setup, handler);
      const listener = fetchServers[name]?.(answer) as RequestListener;
      return { listener: around ? (req, res) => void around(() => listener(req, res), req, res) : listener, hook };
    },
  };
}

const allAdapters: readonly (readonly [name: string, adapter: Adapter])[] = [
  ['Express 4', expressAdapter('Express 4')],
  ['Express 5', expressAdapter('Express 5')],
  ['Koa 2', koaAdapter('Koa 2')],
  ['Koa 3', koaAdapter('Koa 3')],
  ...Object.keys(fetchServers).map((name) => [name, fetchAdapter(name)] as const),
];

/** Mutation tests use fewer, because they are about the code behind all adapters: `ADAPTERS='Express 5,Koa 3'`. */
const chosen = process.env.ADAPTERS?.split(',');

/** Every rule is tested through each of these: `describe.each(adapters)('%s ...', (name, adapter) => ...)`. */
export const adapters = allAdapters.filter(([name]) => chosen === undefined || chosen.includes(name));

/** The adapters of `node:http`, for tests of earlier middleware that changes its requests. */
export const nodeAdapters = adapters.filter(([, { takes }]) => takes === 'node');
