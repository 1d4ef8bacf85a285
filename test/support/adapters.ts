/**
 * The frameworks that the package supports, behind one interface, so that a test is written once and runs in all.
 * Requests go over real sockets, written byte by byte, because HTTP clients would correct them.
 */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import Router from '@koa/router';
import express5, { type RequestHandler } from 'express';
import express4 from 'express4';
import Koa3 from 'koa';
import Koa2 from 'koa2';
import { onTestFinished } from 'vitest';
import { type FetchHandler, vastWebhook as fetchVastWebhook } from '../../src/fetch.js';
import {
  type Closable,
  type Outcome,
  type Received,
  type Secret,
  type VastEvent,
  type Verified,
  vastWebhook,
} from '../../src/index.js';
import { vastWebhook as koaVastWebhook, type VastState } from '../../src/koa.js';
import type { WebhookOptions } from '../../src/options.js';
import { shodaiWebhook as fetchShodaiWebhook } from '../../src/shodai/fetch.js';
import { shodaiWebhook } from '../../src/shodai/index.js';
import { shodaiWebhook as koaShodaiWebhook, type ShodaiState } from '../../src/shodai/koa.js';
import { v0Webhook as fetchV0Webhook } from '../../src/v0/fetch.js';
import { v0Webhook } from '../../src/v0/index.js';
import { v0Webhook as koaV0Webhook, type V0State } from '../../src/v0/koa.js';

const require = createRequire(import.meta.url);
type KoaMiddleware = Parameters<Koa3['use']>[0];
export const koaMount = require('koa-mount') as (path: string, app: KoaMiddleware | Koa3) => KoaMiddleware;
export const koaBodyParser = require('koa-bodyparser') as (options?: object) => KoaMiddleware;
// Not imported: its types add to those of every `IncomingMessage`.
const { bodyParser } = require('@koa/bodyparser') as { bodyParser: typeof koaBodyParser };
const { koaBody } = require('koa-body') as { koaBody: (options?: object) => KoaMiddleware };

export const secret = '9f2c6d1e5b7a48c3a0d4f86b21e97c53';
/** The clock of every service in these tests, unless a test has its own: Unix milliseconds and seconds. */
export const nowMs = 1_800_000_000_250;
export const nowSeconds = 1_800_000_000;

// ---------------------------------------------------------------- requests

let events = 0;
export function anEvent(fields: object = {}): Record<string, unknown> {
  return {
    event_id: (++events).toString(16).padStart(32, '0'),
    user_id: 123,
    notif_type: 'outbid',
    subject: 'Your Instance Has Been Outbid',
    message: 'Your bid was $0.03/hr',
    timestamp: 1_799_999_999.5,
    ...fields,
  };
}

export type HeaderList = readonly (readonly [name: string, value: string])[];

export interface Message {
  readonly method?: string;
  /** The request target: the service's endpoint. */
  readonly target?: string;
  readonly headers?: HeaderList;
  readonly body?: string | Buffer;
}

/** Computed without the package, so that the tests check the package against something. */
export function signature(body: string | Buffer, key: string, timestamp: string | number): string {
  return `sha256=${createHmac('sha256', key).update(`${timestamp}.`).update(body).digest('hex')}`;
}

export function signed(
  payload: object | string | Buffer = anEvent(),
  {
    key = secret,
    timestamp = nowSeconds as number | string,
    attempt = '1',
  }: { key?: string; timestamp?: number | string; attempt?: string } = {},
): { body: Buffer; headers: [string, string][] } {
  const body = Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
  return {
    body,
    headers: [
      ['Content-Type', 'application/json'],
      ['X-Vast-Signature-256', signature(body, key, timestamp)],
      ['X-Vast-Timestamp', String(timestamp)],
      ['X-Vast-Delivery-Attempt', attempt],
    ],
  };
}

/** The headers of a message, with the named ones removed or replaced. */
export function headersWith(headers: HeaderList, changes: Record<string, string | undefined>): [string, string][] {
  const changed = new Set(Object.keys(changes).map((name) => name.toLowerCase()));
  const kept = headers.filter(([name]) => !changed.has(name.toLowerCase())) as [string, string][];
  const added = Object.entries(changes).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return [...kept, ...added];
}

/** The start line and the headers, as bytes, with nothing added but `Host`. */
export function head(method: string, target: string, headers: HeaderList): Buffer {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: service.test', ...headers.map(([n, v]) => `${n}: ${v}`)];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

export function bytesOf({ method = 'POST', target = '/', headers = [], body = '' }: Message): Buffer {
  const bytes = Buffer.from(body);
  const framed = headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const length: HeaderList = framed ? [] : [['Content-Length', String(bytes.length)]];
  return Buffer.concat([head(method, target, [...headers, ...length]), bytes]);
}

export function chunk(bytes: string | Buffer): Buffer {
  const data = Buffer.from(bytes);
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);
}

// ---------------------------------------------------------------- answers

export interface Answer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** One TCP connection to a service, and the answers on it. */
export class Connection {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #over = false;
  #wake: () => void = () => {};
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      const over = () => {
        this.#over = true;
        this.#wake();
        resolve();
      };
      socket.on('end', over);
      socket.on('close', over);
    });
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** Received bytes that belong to no answer yet. */
  get unread(): string {
    return this.#received.toString('latin1');
  }

  write(bytes: string | Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** Closes the connection, like a sender that gives up. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The next answer. Rejects when the connection ends before one is complete. */
  async answer(method = 'POST'): Promise<Answer> {
    for (;;) {
      const parsed = parseAnswer(this.#received, method, this.#over);
      if (parsed !== undefined) {
        this.#received = this.#received.subarray(parsed.length);
        if (parsed.answer.status >= 200) return parsed.answer;
      } else if (this.#over) {
        throw new Error(`the connection was closed without a whole answer: ${JSON.stringify(this.unread)}`);
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

function parseAnswer(bytes: Buffer, method: string, over: boolean): { answer: Answer; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [start = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const status = Number(start.split(' ')[1]);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const from = end + 4;
  const whole = (body: string, length: number) => ({ answer: { status, headers, body }, length });
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return whole('', from);
  if (headers['transfer-encoding'] === 'chunked') {
    const last = bytes.indexOf('0\r\n\r\n', from);
    return last === -1 ? undefined : whole(bytes.subarray(from, last).toString(), last + 5);
  }
  const length = headers['content-length'];
  if (length === undefined) return over ? whole(bytes.subarray(from).toString(), bytes.length) : undefined;
  const to = from + Number(length);
  return bytes.length < to ? undefined : whole(bytes.subarray(from, to).toString(), to);
}

// ---------------------------------------------------------------- services

/** What the framework passes to a handler behind the middleware. */
export interface Handled {
  readonly vast: Verified<VastEvent> | undefined;
  /** The same, of whatever provider the service is for. */
  readonly received: Received<object> | undefined;
  readonly body: unknown;
  /** Resolves when the sender has hung up or the answer is out. */
  closed(): Promise<unknown>;
  /** Sends a part of an answer, where the framework has ways to. */
  write(part: string): void;
}

/** Answers with a status, or throws. */
type Handler = (handled: Handled) => number | Promise<number>;

/** Each provider's middleware in each form. */
const makers = {
  vast: { express: vastWebhook, koa: koaVastWebhook, fetch: fetchVastWebhook },
  shodai: { express: shodaiWebhook, koa: koaShodaiWebhook, fetch: fetchShodaiWebhook },
  v0: { express: v0Webhook, koa: koaV0Webhook, fetch: fetchV0Webhook },
} as const;

/** The ways to mount the middleware, each with its endpoint. */
export const mountings = {
  'at the top level': '/vast/webhooks',
  'with a path': '/hooks/x',
  'under a mount': '/hooks/vast',
  'on a route': '/hooks/vast',
} as const;
export type Mounting = keyof typeof mountings;

export interface Setup {
  readonly provider?: keyof typeof makers;
  readonly secret?: Secret;
  readonly options?: WebhookOptions;
  readonly mounting?: Mounting;
  /** The service's own handler of the endpoint, which answers 204 by default. */
  readonly handler?: Handler;
  /** Runs before the middleware, and calls it with `next`. */
  readonly around?: (next: () => unknown, req: IncomingMessage, res: ServerResponse) => unknown;
  /** Body parsers of the framework before and behind the middleware, by their names in the adapter. */
  readonly parserBefore?: string;
  readonly parserBehind?: string;
}

/** The body that a parser leaves for later middleware. */
interface Parser<Middleware> {
  readonly make: () => Middleware;
  readonly leaves: 'bytes' | 'text' | 'nothing';
  /** Whether it reads the stream although a body is there already. */
  readonly insists?: boolean;
}

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

/** A running service with the middleware in it, a handler on the endpoint, and `POST /elsewhere` that echoes JSON. */
export interface Service {
  readonly port: number;
  readonly endpoint: string;
  readonly hook: Closable;
  /** The outcomes so far. */
  readonly outcomes: readonly Outcome[];
  /** The errors that `onError` got. */
  readonly errors: readonly Error[];
  /** The calls of the handler so far. */
  readonly handled: readonly Handled[];
  /** The nth outcome, from 1, when it is there. */
  outcome(nth?: number): Promise<Outcome>;
  /** The nth call of the handler, from 1, when it is there. */
  handling(nth?: number): Promise<Handled>;
  /** Resolves when the service has seen the head of its next request. */
  arrival(): Promise<IncomingMessage>;
  connect(): Promise<Connection>;
  /** One request on a connection of its own. */
  send(message: Message): Promise<Answer>;
  stop(): Promise<void>;
}

const isAtTop = (mounting: Mounting | undefined) => mounting === 'at the top level';
const keptByExpress = 'express.json({ verify: keepRawBody })';

export async function start(adapter: Adapter, setup: Setup = {}): Promise<Service> {
  const outcomes = new Log<Outcome>();
  const handled = new Log<Handled>();
  const errors: Error[] = [];
  const { handler = () => 204, mounting = 'at the top level', options, provider = 'vast' } = setup;
  const endpoint = mounting === 'at the top level' ? `/${provider}/webhooks` : mountings[mounting];
  const { listener, hook } = adapter.listen(
    {
      ...setup,
      mounting,
      options: {
        now: () => nowMs,
        onError: (error) => errors.push(error),
        ...(mounting === 'with a path' && { path: endpoint }),
        ...options,
        onOutcome(outcome) {
          outcomes.add(outcome);
          return options?.onOutcome?.(outcome);
        },
      },
    },
    (call) => {
      handled.add(call);
      return handler(call);
    },
  );
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
    arrival: async () => (await once(server, 'request'))[0] as IncomingMessage,
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

/** Entries that can be waited for. */
class Log<T> {
  readonly entries: T[] = [];
  #waiting: (() => void)[] = [];

  add(entry: T): void {
    this.entries.push(entry);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async nth(nth: number): Promise<T> {
    while (this.entries.length < nth) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    return this.entries[nth - 1] as T;
  }
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
        const { vast, body, [provider]: received } = req;
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
        const { vast, [provider]: received } = ctx.state as Partial<VastState & ShodaiState & V0State>;
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

type Fetch = (request: Request) => Promise<Response>;

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

/** The readers of the body, in front of the middleware or in the handler. */
const fetchParsers: Record<string, Parser<(request: Request) => Promise<unknown>>> = {
  'request.json()': { make: () => (request) => request.json(), leaves: 'nothing', insists: true },
  'request.arrayBuffer()': { make: () => (request) => request.arrayBuffer(), leaves: 'nothing', insists: true },
};

/** Whether the options make the middleware call a handler. A missing or superfluous handler is an error. */
export function isHandedOn({ handoff, sinks }: WebhookOptions): boolean {
  return handoff ?? !sinks?.length;
}

function fetchAdapter(name: string): Adapter {
  return {
    takes: 'Request',
    // Hono's server has no body for a target with a user in it.
    refusals: [400, 401, 404, 500],
    parsers: fetchParsers,
    advice: 'request.clone()',
    showsErrors: true,
    listen({ provider = 'vast', secret: secrets = secret, options = {}, around, parserBefore, parserBehind }, handler) {
      const handle: FetchHandler = async (vast, request) => {
        const closed = () => once(request.signal, 'abort');
        if (parserBehind) await fetchParsers[parserBehind]?.make()(request);
        const status = await handler({ vast, received: vast, body: vast.event, closed, write: () => {} });
        return new Response(null, { status });
      };
      const hook = makers[provider].fetch(
        secrets,
        options as never,
        isHandedOn(options) ? (handle as never) : undefined,
      );
      const parse = parserBefore ? fetchParsers[parserBefore]?.make() : undefined;
      const listener = fetchServers[name]?.(async (request) => {
        if (new URL(request.url).pathname === '/elsewhere') return Response.json({ got: await readJson(request) });
        if (request.headers.get('content-type') === 'application/json') await parse?.(request);
        return hook(request);
      }) as RequestListener;
      return { listener: around ? (req, res) => void around(() => listener(req, res), req, res) : listener, hook };
    },
  };
}

async function readJson(request: Request): Promise<unknown> {
  const text = await request.text();
  return text === '' ? {} : JSON.parse(text);
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
