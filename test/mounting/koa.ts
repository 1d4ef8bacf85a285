import Router from '@koa/router';
import { vastWebhook } from '../../src/koa.js';
import type { WebhookOptions } from '../../src/options.js';
import { type Koa, type KoaRouter, koaMount, koas, nowMs, secret } from '../support/adapters.js';
import type { Generator } from './mounting.js';
import type { Random } from './random.js';

type App = InstanceType<Koa>;
type Middleware = Parameters<App['use']>[0];

const hookWith = (options: WebhookOptions = {}): Middleware =>
  vastWebhook(secret, { now: () => nowMs, onOutcome() {}, onError() {}, ...options }) as unknown as Middleware;

const composed =
  (...parts: Middleware[]): Middleware =>
  (ctx, next) =>
    parts.reduceRight<() => Promise<unknown>>((rest, part) => () => Promise.resolve(part(ctx, rest)), next)();

const wrappings: Readonly<Record<string, (hook: Middleware) => Middleware>> = {
  plain: (hook) => hook,
  'in a function': (hook) => (ctx, next) => hook(ctx, next),
  composed: (hook) => composed((_ctx, next) => next(), hook),
};

interface Kit {
  readonly app: App;
  readonly Koa: Koa;
  readonly wrap: (hook: Middleware) => Middleware;
  readonly handler: Middleware;
  /** Runs the handler for targets that it parses as this path. */
  readonly at: (path: string) => Middleware;
  readonly random: Random;
}

interface Leaf {
  readonly endpoint: string;
  readonly isWide?: boolean;
  readonly plain?: readonly string[];
}

const router = (options?: { prefix?: string; sensitive?: boolean }) => new Router(options) as unknown as KoaRouter;
const p = '/hooks/vast';
const plain: Middleware = (ctx) => {
  ctx.body = `plain ${ctx.originalUrl}`;
};

const leaves: Readonly<Record<string, (kit: Kit) => Leaf>> = {
  'app.use(hook)'({ app, wrap, at }) {
    app.use(wrap(hookWith())).use(at('/vast/webhooks'));
    return { endpoint: '/vast/webhooks' };
  },
  'app.use(hook with a path)'({ app, wrap, at }) {
    app.use(wrap(hookWith({ path: p }))).use(at(p));
    return { endpoint: p };
  },
  'mount(path, hook and handler)'({ app, wrap, handler }) {
    app.use(koaMount(p, composed(wrap(hookWith()), handler)));
    return { endpoint: p, isWide: true };
  },
  'mount(path, hook), and a handler behind'({ app, wrap, handler }) {
    app.use(koaMount(p, wrap(hookWith()))).use(koaMount(p, handler));
    return { endpoint: p, isWide: true };
  },
  'mount(path, hook with the same path)'({ app, wrap, handler }) {
    // A reader that compares case in another way than koa-mount is not the middleware's to mend.
    app.use(koaMount(p, wrap(hookWith({ path: p }))));
    app.use(koaMount(p, (ctx, next) => (ctx.path === '/' ? handler(ctx, next) : next())));
    return { endpoint: p };
  },
  'mount(path, app with hook)'({ app, Koa, wrap, handler }) {
    const inner = new Koa();
    inner.use(wrap(hookWith())).use(handler);
    app.use(koaMount(p, inner));
    return { endpoint: p, isWide: true };
  },
  'router.post(path, hook, handler)'({ app, wrap, handler, random }) {
    const prefix = random.pick(['', '/api']);
    const routes = router(prefix === '' ? {} : { prefix });
    routes.post(p, wrap(hookWith()), handler);
    routes.get('/plain', plain);
    app.use(routes.routes());
    return { endpoint: prefix + p, plain: [`${prefix}/plain`] };
  },
  'router.use(hook)'({ app, wrap, handler, random }) {
    const prefix = random.pick(['', '/api']);
    // @koa/router compares case for middleware below a prefix, and not for its routes.
    const routes = router(prefix === '' ? {} : { prefix, sensitive: true });
    const hook = hookWith();
    const used = wrap(hook);
    routes.use(used);
    routes.post('/vast/webhooks', handler);
    routes.get('/plain', plain);
    app.use(routes.routes());
    return { endpoint: `${prefix}/vast/webhooks`, plain: used === hook ? [`${prefix}/plain`] : [] };
  },
  'router.use(path, hook)'({ app, wrap, handler }) {
    const routes = router();
    routes.use(p, wrap(hookWith()));
    routes.post(`${p}{/*more}`, handler);
    routes.get('/plain', plain);
    app.use(routes.routes());
    return { endpoint: p, isWide: true, plain: ['/plain'] };
  },
  'app.use(hook), and wrapped in a route'({ app, handler, random }) {
    const hook = hookWith();
    const routes = router();
    routes.post(p, (ctx, next) => hook(ctx, next), handler);
    routes.get('/plain', plain);
    if (random.chance(0.5)) app.use(hook).use(routes.routes());
    else app.use(routes.routes()).use(hook);
    return { endpoint: p, plain: ['/plain'] };
  },
  'router.use(hook), and wrapped in a route'({ app, handler, random }) {
    const hook = hookWith();
    const routes = router();
    const route = () => routes.post(p, (ctx, next) => hook(ctx, next), handler);
    if (random.chance(0.5)) route();
    routes.use(hook);
    route();
    app.use(routes.routes());
    return { endpoint: p };
  },
};

export const koa: Generator = (random, observer) => {
  const version = random.pick(Object.keys(koas)) as keyof typeof koas;
  const Koa = koas[version];
  const app = new Koa();
  app.silent = true;
  const wrapping = random.chance(0.5) ? 'plain' : random.pick(Object.keys(wrappings));
  const name = random.pick(Object.keys(leaves));
  const handler: Middleware = (ctx) => {
    observer.handled((ctx.state as { vast?: unknown }).vast);
    ctx.status = 204;
  };
  const readings: Readonly<Record<string, (path: string) => Middleware>> = {
    'ctx.path': (path) => (ctx, next) => (ctx.path === path ? handler(ctx, next) : next()),
    'ctx.URL': (path) => (ctx, next) => (ctx.URL.pathname === path ? handler(ctx, next) : next()),
    'a router': (path) => {
      const routes = router();
      routes.all(path, handler);
      return routes.routes() as unknown as Middleware;
    },
  };
  const reading = random.pick(Object.keys(readings));
  const leaf = (leaves[name] as (kit: Kit) => Leaf)({
    app: app as App,
    Koa,
    wrap: wrappings[wrapping] as (hook: Middleware) => Middleware,
    handler,
    at: readings[reading] as (path: string) => Middleware,
    random,
  });
  app.use((ctx, next) => (ctx.path === '/users' ? plain(ctx as never, next) : next()));
  return {
    says: `${version}, ${name}, ${wrapping}, read by ${reading}`,
    listener: app.callback(),
    endpoint: leaf.endpoint,
    isWide: leaf.isWide,
    plain: ['/users', ...(leaf.plain ?? [])],
    plainMethods: ['GET'],
  };
};
