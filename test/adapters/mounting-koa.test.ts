import Router from '@koa/router';
import { describe, it } from 'vitest';
import type { Outcome } from '../../src/index.js';
import { vastWebhook as koaVastWebhook } from '../../src/koa.js';
import type { WebhookOptions } from '../../src/options.js';
import { type Koa, type KoaRouter, koaBodyParser, koaMount, koas, nowMs, secret } from '../support/adapters.js';
import { expectGuarded, onRoute, topLevel, type Way } from './guarded.js';

type KoaApp = InstanceType<Koa>;
type KoaMiddleware = Parameters<KoaApp['use']>[0];

interface KoaKit {
  readonly Koa: Koa;
  readonly app: KoaApp;
  readonly hook: KoaMiddleware;
  hookWith(options: WebhookOptions): KoaMiddleware;
  readonly wrapped: KoaMiddleware;
  readonly auth: KoaMiddleware;
  router(options?: { prefix?: string }): KoaRouter;
  /** Several middlewares as one, whose parts the app cannot see. */
  compose(...parts: KoaMiddleware[]): KoaMiddleware;
}

const koaMounted = {
  guarded: ['/hooks/vast', '/hooks/vast/', 'http://service.test/hooks/vast?a=b', '/hooks/vast/more'],
  open: ['/', '/vast/webhooks'],
};
const everything = '/{*everything}';

const koaWays: Record<string, Way<KoaKit>> = {
  'app.use(hook)': { build: ({ app, hook }) => app.use(hook).callback(), ...topLevel },
  'app.use(hook with a path)': {
    build: ({ app, hookWith }) => app.use(hookWith({ path: '/hooks/vast' })).callback(),
    ...onRoute,
  },
  'app.use(hook with an upper-case path that ends in a slash)': {
    build: ({ app, hookWith }) => app.use(hookWith({ path: '/Hooks/VAST/' })).callback(),
    ...onRoute,
  },
  'mount(path, hook)': { build: ({ app, hook }) => app.use(koaMount('/hooks/vast', hook)).callback(), ...koaMounted },
  'mount(path, hook) twice': {
    build: ({ app, hook }) => app.use(koaMount('/a', hook)).use(koaMount('/b', hook)).callback(),
    guarded: ['/a', '/b', '/a/more'],
    open: ['/', '/vast/webhooks'],
  },
  'mount(path, hook with a path)': {
    build: ({ app, hookWith }) => app.use(koaMount('/hooks', hookWith({ path: '/vast' }))).callback(),
    guarded: ['/hooks/vast', '/hooks/VAST/'],
    open: ['/', '/hooks', '/vast', '/vast/webhooks'],
  },
  'mount(path, wrapped)': {
    build: ({ app, wrapped }) => app.use(koaMount('/hooks/vast', wrapped)).callback(),
    ...koaMounted,
  },
  'a mount in a mount': {
    build: ({ app, hook }) => app.use(koaMount('/hooks', koaMount('/vast', hook))).callback(),
    ...koaMounted,
  },
  'mount(path, app with hook)': {
    build({ app, Koa, hook }) {
      const sub = new Koa();
      sub.use(hook);
      return app.use(koaMount('/hooks/vast', sub)).callback();
    },
    ...koaMounted,
  },
  'mount(path, app with a mount in it)': {
    build({ app, Koa, hook }) {
      const sub = new Koa();
      sub.use(koaMount('/vast', hook));
      return app.use(koaMount('/hooks', sub)).callback();
    },
    ...koaMounted,
  },
  'mount(path, app with a route in it)': {
    build({ app, Koa, hook, router }) {
      const routes = router();
      routes.post('/vast', hook);
      return app.use(koaMount('/hooks', new Koa().use(routes.routes()))).callback();
    },
    guarded: ['/hooks/vast', '/hooks/VAST/'],
    open: ['/', '/hooks', '/hooks/vast/more', '/vast/webhooks'],
  },
  'mount(path, app with a route in it that holds the middleware wrapped)': {
    build({ app, Koa, wrapped, router }) {
      const routes = router();
      routes.post('/vast', wrapped);
      return app.use(koaMount('/hooks', new Koa().use(routes.routes()))).callback();
    },
    guarded: ['/hooks/vast', '/hooks/VAST/'],
    open: ['/', '/hooks', '/hooks/vast/more', '/vast/webhooks'],
  },
  'mount(...) of something else before app.use(hook)': {
    build: ({ app, auth, hook }) => app.use(koaMount('/vast', auth)).use(hook).callback(),
    ...topLevel,
  },
  'mount(...) of something else before the middleware, composed': {
    build: ({ app, auth, hook, compose }) => app.use(koaMount('/vast', auth)).use(compose(auth, hook)).callback(),
    ...topLevel,
  },
  'mount(...) of something else before mount(path, hook)': {
    build: ({ app, auth, hook }) => app.use(koaMount('/hooks', auth)).use(koaMount('/hooks/vast', hook)).callback(),
    ...koaMounted,
  },
  'composed at the top level': {
    build: ({ app, auth, hook, compose }) => app.use(compose(auth, hook)).callback(),
    ...topLevel,
  },
  'wrapped at the top level': { build: ({ app, wrapped }) => app.use(wrapped).callback(), ...topLevel },
  'wrapped at the top level with a path': {
    build({ app, hookWith }) {
      const hook = hookWith({ path: '/hooks/vast' });
      return app.use((ctx, next) => hook(ctx, next)).callback();
    },
    ...onRoute,
  },
  'composed under a mount': {
    build: ({ app, auth, hook, compose }) => app.use(koaMount('/hooks/vast', compose(auth, hook))).callback(),
    ...koaMounted,
  },
  'called late, after something asynchronous': {
    build: ({ app, hook }) =>
      app
        .use(async (_ctx, next) => {
          await new Promise(setImmediate);
          await next();
        })
        .use(hook)
        .callback(),
    ...topLevel,
  },

  "router.post('/hooks/vast', hook)": {
    build({ app, hook, router }) {
      const routes = router();
      routes.post('/hooks/vast', hook);
      return app.use(routes.routes()).callback();
    },
    ...onRoute,
  },
  'router.post(path, auth, hook)': {
    build({ app, auth, hook, router }) {
      const routes = router();
      routes.post('/hooks/vast', auth, hook);
      return app.use(routes.routes()).callback();
    },
    ...onRoute,
  },
  'router.post(path, wrapped)': {
    build({ app, wrapped, router }) {
      const routes = router();
      routes.post('/hooks/vast', wrapped);
      return app.use(routes.routes()).callback();
    },
    ...onRoute,
  },
  'router.post(path, hook with another path)': {
    build({ app, hookWith, router }) {
      const routes = router();
      routes.post('/hooks/vast', hookWith({ path: '/other' }));
      return app.use(routes.routes()).callback();
    },
    ...onRoute,
  },
  "router.post('/:tenant/vast', hook)": {
    build({ app, hook, router }) {
      const routes = router();
      routes.post('/:tenant/vast', hook);
      return app.use(routes.routes()).callback();
    },
    guarded: ['/a/vast', '/b/vast/'],
    open: ['/a', '/a/vast/more'],
  },
  'a router with a prefix': {
    build({ app, hook, router }) {
      const routes = router({ prefix: '/hooks' });
      routes.post('/vast', hook);
      return app.use(routes.routes()).callback();
    },
    ...onRoute,
  },
  'a router in a router': {
    build({ app, hook, router }) {
      const [outer, inner] = [router({ prefix: '/a' }), router()];
      inner.post('/c', hook);
      outer.use('/b', inner.routes());
      return app.use(outer.routes()).callback();
    },
    guarded: ['/a/b/c', '/A/b/C/'],
    open: ['/', '/a/b', '/a/b/c/d', '/vast/webhooks'],
  },
  'a router under a mount': {
    build({ app, hook, router }) {
      const routes = router();
      routes.post('/vast', hook);
      return app.use(koaMount('/hooks', routes.routes())).callback();
    },
    guarded: ['/hooks/vast', '/hooks/VAST/'],
    open: ['/', '/hooks', '/vast/webhooks'],
  },
  "router.use(hook) before a router's routes": {
    build({ app, auth, hook, router }) {
      const routes = router();
      routes.use(hook);
      routes.post('/vast/webhooks', auth);
      routes.post('/other', auth);
      return app.use(routes.routes()).callback();
    },
    guarded: ['/vast/webhooks', '/VAST/webhooks/'],
    open: ['/', '/other'],
  },
  "router.use(hook with a path) before a router's routes": {
    build({ app, auth, hookWith, router }) {
      const routes = router();
      routes.use(hookWith({ path: '/hooks/vast' }));
      routes.post(everything, auth);
      return app.use(routes.routes()).callback();
    },
    ...onRoute,
  },
  // The middleware cannot know whether that route is behind or around it.
  'a router’s everything before app.use(hook): every request is the endpoint': {
    build({ app, auth, hook, router }) {
      const routes = router();
      routes.all(everything, auth);
      return app.use(routes.routes()).use(hook).callback();
    },
    guarded: [...topLevel.guarded, ...topLevel.open],
  },
  'a router’s everything before app.use(hook with a path)': {
    build({ app, auth, hookWith, router }) {
      const routes = router();
      routes.all(everything, auth);
      return app
        .use(routes.routes())
        .use(hookWith({ path: '/hooks/vast' }))
        .callback();
    },
    ...onRoute,
  },
  'a router’s everything before mount(path, hook): every request below is the endpoint': {
    build({ app, auth, hook, router }) {
      const routes = router();
      routes.all(everything, auth);
      return app.use(routes.routes()).use(koaMount('/hooks/vast', hook)).callback();
    },
    // The middleware cannot know whether that router is behind or around it.
    guarded: [...koaMounted.guarded, '/hooks/vast/more'],
    open: ['/', '/vast/webhooks'],
  },
  'a router’s everything before another router’s route with the middleware wrapped': {
    build({ app, auth, wrapped, router }) {
      const [first, second] = [router(), router()];
      first.all(everything, auth);
      second.post('/hooks/vast', wrapped);
      return app.use(first.routes()).use(second.routes()).callback();
    },
    ...onRoute,
  },
};

describe.each(Object.entries(koas))('%s: mounted as', (_version, Koa) => {
  it.each(Object.entries(koaWays))('%s', async (_, way) => {
    const outcomes: Outcome[] = [];
    const hookWith = (options: WebhookOptions) =>
      koaVastWebhook(secret, {
        now: () => nowMs,
        onOutcome: (outcome) => outcomes.push(outcome),
        ...options,
      }) as unknown as KoaMiddleware;
    const hook = hookWith({});
    const app = new Koa();
    app.silent = true;
    // A handler for every path stands behind the middleware.
    const use = app.use.bind(app);
    const parse = koaBodyParser();
    const answer: KoaMiddleware = (ctx) => {
      const body: unknown = (ctx.request as { body?: unknown }).body;
      const answered = 'vast' in (ctx.state as object) ? 'verified' : { unverified: body };
      ctx.type = 'json';
      ctx.body = JSON.stringify(answered);
    };
    const callback = app.callback.bind(app);
    app.callback = () => {
      use(parse);
      use(answer);
      return callback();
    };
    const listener = way.build({
      Koa,
      app: app as unknown as KoaApp,
      hook,
      hookWith,
      wrapped: (ctx, next) => hook(ctx, next),
      auth: (_ctx, next) => next(),
      router: (options) => new Router(options) as unknown as KoaRouter,
      compose:
        (...parts) =>
        (ctx, next) =>
          parts.reduceRight<() => Promise<unknown>>((rest, part) => () => Promise.resolve(part(ctx, rest)), next)(),
    });
    await expectGuarded(listener, outcomes, way);
  });
});
