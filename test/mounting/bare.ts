/** The middleware with a path in front of another server, which reads targets in a way of its own. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { getRequestListener } from '@hono/node-server';
import fastify from 'fastify';
import { Hono } from 'hono';
import { vastWebhook } from '../../src/index.js';
import { expresses, koas, nowMs, secret } from '../support/adapters.js';
import type { Generator, Observer } from './mounting.js';
import type { Random } from './random.js';

const require = createRequire(import.meta.url);
type Polka = { use(...args: unknown[]): Polka; all(path: string, handler: unknown): Polka; handler: RequestListener };
const polka = require('polka') as () => Polka;

const path = '/vast/webhooks';
type Received = IncomingMessage & { vast?: unknown };

function handle(observer: Observer, req: IncomingMessage, res: ServerResponse): void {
  observer.handled((req as Received).vast);
  res.statusCode = 204;
  res.end();
}

const plain = (target: string) => `plain ${target}`;

type Behind = (observer: Observer, random: Random) => RequestListener | Promise<RequestListener>;

const behinds: Readonly<Record<string, Behind>> = {
  'URL, as its base says'(observer) {
    return (req, res) => {
      let pathname = '';
      try {
        pathname = new URL(req.url as string, 'http://service.test').pathname;
      } catch {}
      if (pathname === path) return handle(observer, req, res);
      res.statusCode = pathname === '/users' ? 200 : 404;
      res.end(plain(pathname));
    };
  },
  'URL, from the host'(observer) {
    return (req, res) => {
      let pathname = '';
      try {
        pathname = new URL(`http://${req.headers.host}${req.url}`).pathname;
      } catch {}
      if (pathname === path) return handle(observer, req, res);
      res.statusCode = pathname === '/users' ? 200 : 404;
      res.end(plain(pathname));
    };
  },
  'a decoded path'(observer) {
    return (req, res) => {
      let decoded = (req.url as string).split('?')[0] as string;
      try {
        decoded = decodeURIComponent(decoded);
      } catch {}
      const found = decoded.replace(/\/+/g, '/').replace(/\/$/, '').toLowerCase();
      if (found === path) return handle(observer, req, res);
      res.statusCode = found === '/users' ? 200 : 404;
      res.end(plain(found));
    };
  },
  async Express(observer, random) {
    const app = random.pick(Object.values(expresses))().set('env', 'test');
    app.all(path, (req, res) => handle(observer, req, res));
    app.all('/users', (_req, res) => void res.send(plain('/users')));
    return app;
  },
  async Fastify(observer, random) {
    const app = fastify({
      // The former default, which matches the end of the path.
      useSemicolonDelimiter: random.chance(0.5),
      routerOptions: {
        caseSensitive: random.chance(0.3),
        ignoreTrailingSlash: random.chance(0.5),
        ignoreDuplicateSlashes: random.chance(0.5),
      },
    });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', (_request, _payload, done) => done(null));
    app.all(path, (request, reply) => {
      reply.hijack();
      handle(observer, request.raw, reply.raw);
    });
    app.all('/users', () => plain('/users'));
    await app.ready();
    return (req, res) => app.routing(req, res);
  },
  async Hono(observer) {
    const app = new Hono<{ Bindings: { incoming: Received } }>();
    app.all(path, (c) => {
      observer.handled(c.env.incoming.vast);
      return c.body(null, 204);
    });
    app.all('/users', (c) => c.text(plain('/users')));
    return getRequestListener((request, env) => app.fetch(request, env as never), { overrideGlobalObjects: false });
  },
  'Koa, by ctx.URL'(observer, random) {
    const app = new (random.pick(Object.values(koas)))();
    app.silent = true;
    app.use((ctx) => {
      const { pathname } = ctx.URL;
      if (pathname === path) {
        observer.handled((ctx.req as Received).vast);
        ctx.status = 204;
      } else if (pathname === '/users') ctx.body = plain('/users');
    });
    return app.callback();
  },
};

const hookWith = () => vastWebhook(secret, { path, now: () => nowMs, onOutcome() {}, onError() {} });

export const bare: Generator = async (random, observer) => {
  if (random.chance(0.15)) return polkas(random, observer);
  const name = random.pick(Object.keys(behinds));
  const hook = hookWith();
  const listener = await (behinds[name] as Behind)(observer, random);
  return {
    says: `a bare server with a path in front of ${name}`,
    listener: (req, res) => hook(req, res, () => listener(req, res)),
    endpoint: path,
    plain: ['/users'],
    plainMethods: ['GET', 'POST'],
  };
};

const polkas: Generator = (random, observer) => {
  const own = random.chance(0.5);
  const app = polka();
  if (own) app.use('/vast', hookWith());
  else app.use(hookWith());
  app.all(path, (req: IncomingMessage, res: ServerResponse) => handle(observer, req, res));
  app.all('/users', (_req: IncomingMessage, res: ServerResponse) => res.end(plain('/users')));
  return {
    says: `Polka, used ${own ? 'at a part of its path' : 'at the top'}`,
    listener: app.handler,
    endpoint: path,
    plain: ['/users'],
    plainMethods: ['GET', 'POST'],
  };
};
