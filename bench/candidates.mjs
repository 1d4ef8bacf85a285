import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { path, secret } from './deliveries.mjs';

const limit = 64 * 1024;

// Frameworks and the package are imported by the candidate that uses them: each runs in a process of its own,
// and must not contain what it does not need.

/** For each candidate: whether it verifies, and a function that makes its `http.Server`. */
export const candidates = {
  bare: {
    verifies: false,
    about: 'node:http: reads the body, answers 204',
    async server() {
      return createServer((req, res) => readBody(req, () => res.writeHead(204).end()));
    },
  },
  'bare-hmac': {
    verifies: true,
    about: 'the same, with one HMAC, timingSafeEqual, JSON.parse and a Map',
    async server() {
      const seen = new Map();
      return createServer((req, res) => {
        readBody(req, (body) => {
          if (!isSigned(req.headers, body)) return res.writeHead(401).end();
          const event = JSON.parse(body);
          if (!seen.has(event.event_id)) seen.set(event.event_id, Date.now());
          res.writeHead(204).end();
        });
      });
    },
  },
  'express-alone': {
    verifies: false,
    about: 'Express 5: answers 204, leaves the body unread',
    async server() {
      const { default: express } = await import('express');
      const app = express();
      app.post(path, (_req, res) => res.status(204).end());
      return createServer(app);
    },
  },
  'express-unchecked': {
    verifies: false,
    about: 'Express 5: reads the raw body, answers 204',
    async server() {
      const { default: express } = await import('express');
      const app = express();
      app.post(path, express.raw({ type: '*/*' }), (_req, res) => res.status(204).end());
      return createServer(app);
    },
  },
  'express-hand': {
    verifies: true,
    about: 'Express 5: verified as a careful person writes it by hand',
    async server() {
      const { default: express } = await import('express');
      const app = express();
      const seen = new Map();
      app.post(path, express.raw({ type: '*/*' }), (req, res) => {
        if (!isRecent(req.get('x-vast-timestamp'))) return res.status(401).end();
        if (!isSigned(req.headers, req.body)) return res.status(401).end();
        const event = JSON.parse(req.body);
        if (!seen.has(event.event_id)) seen.set(event.event_id, Date.now());
        res.status(204).end();
      });
      return createServer(app);
    },
  },
  'express-ours': {
    verifies: true,
    about: 'Express 5: app.use(vastWebhook(secret)) and a handler',
    async server() {
      const { default: express } = await import('express');
      const { vastWebhook } = await import('vast-webhook');
      const app = express();
      app.use(vastWebhook(secret));
      app.post(path, (_req, res) => res.status(204).end());
      return createServer(app);
    },
  },
  'express-route': {
    verifies: true,
    about: 'Express 5: app.post(path, vastWebhook(secret), handler)',
    async server() {
      const { default: express } = await import('express');
      const { vastWebhook } = await import('vast-webhook');
      const app = express();
      app.post(path, vastWebhook(secret), (_req, res) => res.status(204).end());
      return createServer(app);
    },
  },
  'express-front': {
    verifies: true,
    about: 'Express 5: the middleware in front of the app, and a handler in it',
    async server() {
      const { default: express } = await import('express');
      const { vastWebhook } = await import('vast-webhook');
      const app = express();
      app.post(path, (_req, res) => res.status(204).end());
      const hook = vastWebhook(secret, { path });
      return createServer((req, res) => hook(req, res, () => app(req, res)));
    },
  },
  'koa-unchecked': {
    verifies: false,
    about: 'Koa 3: reads the raw body, answers 204',
    async server() {
      const { default: Koa } = await import('koa');
      const { default: getRawBody } = await import('raw-body');
      const app = new Koa();
      app.use(async (ctx, next) => {
        if (ctx.method !== 'POST' || ctx.path !== path) return next();
        await getRawBody(ctx.req, { limit: '64kb' });
        ctx.status = 204;
      });
      return createServer(app.callback());
    },
  },
  'koa-hand': {
    verifies: true,
    about: 'Koa 3: verified as a careful person writes it by hand',
    async server() {
      const { default: Koa } = await import('koa');
      const { default: getRawBody } = await import('raw-body');
      const app = new Koa();
      const seen = new Map();
      app.use(async (ctx, next) => {
        if (ctx.method !== 'POST' || ctx.path !== path) return next();
        ctx.status = 401;
        if (!isRecent(ctx.get('x-vast-timestamp'))) return;
        const body = await getRawBody(ctx.req, { limit: '64kb' });
        if (!isSigned(ctx.headers, body)) return;
        const event = JSON.parse(body);
        if (!seen.has(event.event_id)) seen.set(event.event_id, Date.now());
        ctx.status = 204;
      });
      return createServer(app.callback());
    },
  },
  'koa-hand-whole': {
    verifies: true,
    about: 'the same, with a handler of its own whose answer completes the event, and a time limit for the body',
    async server() {
      const { default: Koa } = await import('koa');
      const { default: getRawBody } = await import('raw-body');
      const app = new Koa();
      const seen = new Map();
      app.use(async (ctx, next) => {
        if (ctx.method !== 'POST' || ctx.path !== path) return next();
        ctx.status = 401;
        if (!isRecent(ctx.get('x-vast-timestamp'))) return;
        const body = await within(10_000, getRawBody(ctx.req, { limit: '64kb' }));
        if (!isSigned(ctx.headers, body)) return;
        const event = JSON.parse(body);
        const id = event.event_id;
        const state = seen.get(id);
        if (state !== undefined) {
          ctx.status = state === 'in flight' ? 503 : 204;
          return;
        }
        seen.set(id, 'in flight');
        const settle = () => {
          if (seen.get(id) !== 'in flight') return;
          if (ctx.res.statusCode < 300) seen.set(id, Date.now());
          else seen.delete(id);
        };
        ctx.res.on('finish', settle);
        ctx.res.on('close', settle);
        ctx.request.body = event;
        await next();
      });
      app.use((ctx) => {
        ctx.status = 204;
      });
      return createServer(app.callback());
    },
  },
  'koa-ours': {
    verifies: true,
    about: 'Koa 3: app.use(vastWebhook(secret)) and a handler',
    async server() {
      const { default: Koa } = await import('koa');
      const { vastWebhook } = await import('vast-webhook/koa');
      const app = new Koa();
      app.use(vastWebhook(secret));
      app.use((ctx) => {
        ctx.status = 204;
      });
      return createServer(app.callback());
    },
  },
  'fetch-hand': {
    verifies: true,
    about: 'Request to Response on @hono/node-server: verified as a careful person writes it by hand',
    server: () => fetchByHand((request) => readStream(request, limit)),
  },
  'fetch-hand-whole': {
    verifies: true,
    about: 'the same, by somebody who knows that a body of known length is cheaper in one piece',
    server: () =>
      fetchByHand(async (request) => {
        const isKnown = Number(request.headers.get('content-length') ?? Number.NaN) <= limit;
        return isKnown ? Buffer.from(await request.arrayBuffer()) : readStream(request, limit);
      }),
  },
  'fetch-ours': {
    verifies: true,
    about: 'Request to Response on @hono/node-server: vastWebhook(secret, {}, handler)',
    async server() {
      const { getRequestListener } = await import('@hono/node-server');
      const { vastWebhook } = await import('vast-webhook/fetch');
      return createServer(getRequestListener(vastWebhook(secret, {}, () => new Response(null, { status: 204 }))));
    },
  },
  'front-ours': {
    verifies: true,
    about: 'vastWebhook with a path and a sink, in front of an Express app',
    async server() {
      const { default: express } = await import('express');
      const { vastWebhook } = await import('vast-webhook');
      const app = express();
      const hook = vastWebhook(secret, { path, sinks: [async function audit() {}] });
      return createServer((req, res) => hook(req, res, () => app(req, res)));
    },
  },
};

async function fetchByHand(readBody) {
  const { getRequestListener } = await import('@hono/node-server');
  const seen = new Map();
  return createServer(
    getRequestListener(async (request) => {
      const headers = {
        'x-vast-signature-256': request.headers.get('x-vast-signature-256'),
        'x-vast-timestamp': request.headers.get('x-vast-timestamp'),
      };
      if (!isRecent(headers['x-vast-timestamp'])) return new Response(null, { status: 401 });
      const body = await readBody(request);
      if (!isSigned(headers, body)) return new Response(null, { status: 401 });
      const event = JSON.parse(body);
      if (!seen.has(event.event_id)) seen.set(event.event_id, Date.now());
      return new Response(null, { status: 204 });
    }),
  );
}

function readBody(req, done) {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => done(Buffer.concat(chunks)));
}

/** Reads up to a limit, because `arrayBuffer()` has none. */
async function readStream(request, limit) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.length;
    if (length > limit) throw new Error('too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function within(ms, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('late')), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function isRecent(timestamp) {
  return /^\d{1,15}$/.test(timestamp) && Math.abs(Math.floor(Date.now() / 1000) - Number(timestamp)) <= 300;
}

function isSigned(headers, body) {
  const signature = headers['x-vast-signature-256'];
  if (typeof signature !== 'string' || !/^sha256=[0-9a-f]{64}$/.test(signature)) return false;
  const expected = createHmac('sha256', secret).update(`${headers['x-vast-timestamp']}.`).update(body).digest();
  return timingSafeEqual(expected, Buffer.from(signature.slice('sha256='.length), 'hex'));
}
