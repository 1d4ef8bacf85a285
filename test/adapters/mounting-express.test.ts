import type { RequestHandler } from 'express';
import { describe, expect, it } from 'vitest';
import { type Outcome, type VastWebhook, vastWebhook } from '../../src/index.js';
import type { WebhookOptions } from '../../src/options.js';
import { type Express, expresses, nowMs, secret } from '../support/adapters.js';
import { expectGuarded, onRoute, statusInFront, topLevel, type Way } from './guarded.js';

type ExpressApp = ReturnType<Express>;

interface ExpressKit {
  readonly express: Express;
  readonly app: ExpressApp;
  readonly hook: RequestHandler & VastWebhook;
  hookWith(options: WebhookOptions): RequestHandler & VastWebhook;
  /** The middleware as another function calls it. */
  readonly wrapped: RequestHandler;
  /** Middleware in front that does not answer. */
  readonly auth: RequestHandler;
  /** The pattern for every path in this version of Express. */
  readonly everything: string;
}

/** The middleware on a mount, where it lets no request pass. */
const mounted = { guarded: [...onRoute.guarded, '/hooks/vast/more'], open: ['/', '/vast/webhooks'] };

/** A handler for every path stands behind each of these. */
const expressWays: Record<string, Way<ExpressKit>> = {
  'app.use(hook)': { build: ({ app, hook }) => app.use(hook), ...topLevel },
  "app.use('/', hook)": { build: ({ app, hook }) => app.use('/', hook), ...topLevel },
  'app.use(hook with a path)': {
    build: ({ app, hookWith }) => app.use(hookWith({ path: '/hooks/vast' })),
    ...onRoute,
  },
  'app.use(hook with a path that ends in a slash)': {
    build: ({ app, hookWith }) => app.use(hookWith({ path: '/hooks/vast/' })),
    ...onRoute,
  },
  'app.use(hook with an upper-case path)': {
    build: ({ app, hookWith }) => app.use(hookWith({ path: '/Hooks/VAST' })),
    ...onRoute,
  },
  "app.use(hook with the path '/')": {
    build: ({ app, hookWith }) => app.use(hookWith({ path: '/' })),
    guarded: ['/', 'http://service.test', '/?a=b'],
    open: ['/vast/webhooks'],
  },
  "app.use('/hooks/vast', hook)": { build: ({ app, hook }) => app.use('/hooks/vast', hook), ...mounted },
  "app.use('/hooks', hook with a path)": {
    build: ({ app, hookWith }) => app.use('/hooks', hookWith({ path: '/vast' })),
    ...onRoute,
  },
  "app.use(['/a', '/b'], hook)": {
    build: ({ app, hook }) => app.use(['/a', '/b'], hook),
    guarded: ['/a', '/b', '/a/more'],
    open: ['/', '/c'],
  },
  'app.use(/regular expression/, hook)': {
    build: ({ app, hook }) => app.use(/^\/h[ao]+ks/, hook),
    guarded: ['/hooks', '/hooks/more'],
    open: ['/', '/other'],
  },
  "app.use('/:tenant/vast', hook)": {
    build: ({ app, hook }) => app.use('/:tenant/vast', hook),
    guarded: ['/a/vast', '/b/vast/', '/a/vast/more'],
    open: ['/a', '/a/more'],
  },
  'app.use(hook), used twice under mounts': {
    build: ({ app, hook }) => app.use('/a', hook).use('/b', hook),
    guarded: ['/a', '/b'],
    open: ['/', '/c', '/vast/webhooks'],
  },
  "app.post('/hooks/vast', hook)": { build: ({ app, hook }) => app.post('/hooks/vast', hook), ...onRoute },
  "app.post('/hooks/vast', [hook])": { build: ({ app, hook }) => app.post('/hooks/vast', [hook]), ...onRoute },
  "app.all('/hooks/vast', hook)": { build: ({ app, hook }) => app.all('/hooks/vast', hook), ...onRoute },
  "app.route('/hooks/vast').post(hook)": {
    build({ app, hook }) {
      app.route('/hooks/vast').post(hook);
      return app;
    },
    ...onRoute,
  },
  "app.post('/:tenant/vast', hook)": {
    build: ({ app, hook }) => app.post('/:tenant/vast', hook),
    guarded: ['/a/vast', '/b/vast/'],
    open: ['/a', '/a/vast/more'],
  },
  'app.post(path, auth, hook)': { build: ({ app, auth, hook }) => app.post('/hooks/vast', auth, hook), ...onRoute },
  'app.post(path, hook with another path)': {
    build: ({ app, hookWith }) => app.post('/hooks/vast', hookWith({ path: '/other' })),
    ...onRoute,
  },

  'app.all(everything, auth) before app.use(hook)': {
    build: ({ app, auth, hook, everything }) => app.all(everything, auth).use(hook),
    ...topLevel,
  },
  'app.all(everything, auth) before app.use(hook with a path)': {
    build: ({ app, auth, hookWith, everything }) => app.all(everything, auth).use(hookWith({ path: '/hooks/vast' })),
    ...onRoute,
  },
  'app.all(everything, auth) before app.use(mount, hook)': {
    build: ({ app, auth, hook, everything }) => app.all(everything, auth).use('/hooks/vast', hook),
    ...mounted,
  },
  'app.all(everything, auth) before a route with the middleware wrapped': {
    build: ({ app, auth, wrapped, everything }) => app.all(everything, auth).post('/hooks/vast', wrapped),
    ...onRoute,
  },
  'a router’s everything before app.use(hook)': {
    build({ app, express, auth, hook, everything }) {
      const router = express.Router();
      router.all(everything, auth);
      return app.use(router).use(hook);
    },
    ...topLevel,
  },

  'wrapped on a route': { build: ({ app, wrapped }) => app.post('/hooks/vast', wrapped), ...onRoute },
  'wrapped on a router’s route': {
    build({ app, express, wrapped }) {
      const router = express.Router();
      router.post('/vast', wrapped);
      return app.use('/hooks', router);
    },
    ...onRoute,
  },
  'wrapped at the top level': { build: ({ app, wrapped }) => app.use(wrapped), ...topLevel },
  'app.all(everything, auth) before the middleware, wrapped at the top level: every request is the endpoint': {
    build: ({ app, auth, wrapped, everything }) => app.all(everything, auth).use(wrapped),
    guarded: ['/vast/webhooks', '/', '/other'],
  },
  'wrapped at the top level with a path': {
    build: ({ app, hookWith }) => {
      const hook = hookWith({ path: '/hooks/vast' });
      return app.use((req, res, next) => hook(req, res, next));
    },
    ...onRoute,
  },
  'wrapped under a mount: every request below is the endpoint': {
    build: ({ app, wrapped }) => app.use('/hooks/vast', wrapped),
    guarded: ['/hooks/vast', '/hooks/vast/more'],
    open: ['/', '/vast/webhooks'],
  },
  'wrapped as tracing does it, with its properties copied': {
    build: ({ app, hook, wrapped }) => app.use(Object.assign(wrapped, hook)),
    ...topLevel,
  },
  'called late, after something asynchronous': {
    build: ({ app, hook }) => app.use((_req, _res, next) => void setImmediate(next)).use(hook),
    ...topLevel,
  },

  'router.use(hook), the router used without a path': {
    build({ app, express, hook }) {
      const router = express.Router();
      router.use(hook);
      return app.use(router);
    },
    ...topLevel,
  },
  'router.use(hook), the router mounted': {
    build({ app, express, hook }) {
      const router = express.Router();
      router.use(hook);
      return app.use('/hooks/vast', router);
    },
    guarded: [...onRoute.guarded, '/hooks/vast/vast/webhooks'],
    open: onRoute.open,
  },
  "router.use('/vast', hook), the router mounted": {
    build({ app, express, hook }) {
      const router = express.Router();
      router.use('/vast', hook);
      return app.use('/hooks', router);
    },
    ...mounted,
  },
  "router.post('/vast', hook), the router mounted": {
    build({ app, express, hook }) {
      const router = express.Router();
      router.post('/vast', hook);
      return app.use('/hooks', router);
    },
    ...onRoute,
  },
  'a router in a router': {
    build({ app, express, hook }) {
      const [outer, inner] = [express.Router(), express.Router()];
      inner.use('/c', hook);
      outer.use('/b', inner);
      return app.use('/a', outer);
    },
    guarded: ['/a/b/c', '/A/b/C/', '/a/b/c/d'],
    open: ['/a/b', '/a'],
  },
  'a route in a router in a router': {
    build({ app, express, hook }) {
      const [outer, inner] = [express.Router(), express.Router()];
      inner.post('/c', hook);
      outer.use('/b', inner);
      return app.use('/a', outer);
    },
    guarded: ['/a/b/c', '/A/b/C/'],
    open: ['/a/b/c/d', '/a/b', '/a', '/vast/webhooks'],
  },
  'a router on a route': {
    build({ app, express, hook }) {
      const router = express.Router();
      router.use(hook);
      return app.post('/hooks/vast', router);
    },
    ...onRoute,
  },

  'sub.use(hook) in an app that is mounted: at its default path and at the mount, as in a router': {
    build({ app, express, hook }) {
      const sub = express();
      sub.use(hook);
      return app.use('/hooks/vast', sub);
    },
    guarded: [...onRoute.guarded, '/hooks/vast/vast/webhooks'],
    open: onRoute.open,
  },
  "sub.use('/vast', hook) in an app that is mounted": {
    build({ app, express, hook }) {
      const sub = express();
      sub.use('/vast', hook);
      return app.use('/hooks', sub);
    },
    ...mounted,
  },
  'sub.post(path, hook) in an app that is mounted': {
    build({ app, express, hook }) {
      const sub = express();
      sub.post('/vast', hook);
      return app.use('/hooks', sub);
    },
    ...onRoute,
  },
  'an app that another function calls': {
    build({ app, express, hook }) {
      const sub = express();
      sub.use(hook);
      return app.use((req, res, next) => sub(req, res, next));
    },
    ...topLevel,
  },
  'the middleware behind an app that is mounted': {
    build: ({ app, express, hook }) => app.use(express()).use(hook),
    ...topLevel,
  },

  'behind a rewrite of the URL': {
    build: ({ app, hook }) =>
      app
        .use((req, _res, next) => {
          req.url = req.url.replace('/old', '/vast/webhooks');
          next();
        })
        .use(hook),
    guarded: ['/old'],
    open: ['/other'],
  },
  'in an app with case-sensitive and strict routing': {
    build: ({ app, hook }) => app.enable('case sensitive routing').enable('strict routing').use(hook),
    ...topLevel,
  },

  'in front of the app, on a bare server: every request is the endpoint': {
    build:
      ({ app, hook }) =>
      (req, res) =>
        hook(req, res, () => app(req, res)),
    guarded: ['/vast/webhooks', '/', '/other'],
  },
  'in front of the app, on a bare server with a path': {
    build({ app, hookWith }) {
      const hook = hookWith({ path: '/hooks/vast' });
      return (req, res) => hook(req, res, () => app(req, res));
    },
    ...onRoute,
  },
  'in a router on a bare server': {
    build({ app, express, hook }) {
      const router = express.Router();
      router.use(hook);
      return (req, res) => router(req as never, res as never, () => app(req, res));
    },
    ...topLevel,
  },
};

describe.each(Object.entries(expresses))('%s: mounted as', (version, express) => {
  it.each(Object.entries(expressWays))('%s', async (_, way) => {
    const outcomes: Outcome[] = [];
    const hookWith = (options: WebhookOptions) =>
      vastWebhook(secret, {
        now: () => nowMs,
        onOutcome: (outcome) => outcomes.push(outcome),
        ...options,
      }) as unknown as RequestHandler & VastWebhook;
    const hook = hookWith({});
    const app = express().set('env', 'test');
    // Answers whether the middleware verified the request, or else with its body.
    const handle: RequestHandler = (req, res) => {
      res.type('json').send(JSON.stringify(req.vast ? 'verified' : { unverified: req.body }));
    };
    const listener = way.build({
      express,
      app,
      hook,
      hookWith,
      wrapped: (req, res, next) => hook(req, res, next),
      auth: (_req, _res, next) => next(),
      everything: version === 'Express 4' ? '*' : '/{*everything}',
    });
    app.use(express.json(), handle);
    await expectGuarded(listener, outcomes, way);
  });

  it.each([
    '/vast\\webhooks',
    '/vast/webhooks//',
    'foo://service.test/vast/webhooks',
    '/vast/webhooks\t',
    '/vast/webhooks\xa0',
    '/%76ast/webhooks',
    'http://a@service.test:80/vast\\webhooks',
    'http://service.test;/vast/webhooks',
    'http:///vast/webhooks',
    '/vast/webhooks#a',
    '/vast\\webhooks#a',
    '//service.test/vast/webhooks',
    'http://service.test//vast/webhooks',
  ])('no unsigned request reaches the app’s handler behind a bare server with a path: %s', async (target) => {
    let reached = 0;
    const app = express().set('env', 'test');
    app.post('/vast/webhooks', (_req, res) => {
      reached++;
      res.end();
    });
    const status = await statusInFront('/vast/webhooks', target, app);
    expect(reached).toBe(0);
    expect([400, 401, 404]).toContain(status);
  });
});
