import { createServer, type RequestListener } from 'node:http';
import Router from '@koa/router';
import type { RequestHandler } from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Outcome, type VastWebhook, vastWebhook } from '../../src/index.js';
import { vastWebhook as koaVastWebhook } from '../../src/koa.js';
import type { WebhookOptions } from '../../src/options.js';
import {
  type Answer,
  bytesOf,
  Connection,
  doors,
  type Express,
  expresses,
  type Koa,
  type KoaRouter,
  koaBodyParser,
  koaMount,
  koas,
  listen,
  type Message,
  type Mounting,
  mountings,
  nowMs,
  secret,
  serve,
  signed,
} from '../support/adapters.js';

const json = [['Content-Type', 'application/json']] as const;

describe.each(doors)('%s: the middleware', (name, door) => {
  describe.each(Object.keys(mountings) as Mounting[])('%s', (mounting) => {
    it('hands a genuine delivery to the handler of the endpoint', async () => {
      const service = await serve(door, { mounting });
      expect((await service.send(signed())).status).toBe(204);
      expect(service.handled).toHaveLength(1);
      expect(await service.outcome()).toMatchObject({ result: 'accepted' });
    });

    it('takes nothing but POST there', async () => {
      const service = await serve(door, { mounting });
      for (const method of ['GET', 'PUT', 'DELETE']) {
        expect(await service.send({ ...signed(), method })).toMatchObject({ status: 405, headers: { allow: 'POST' } });
      }
      expect(service.handled).toHaveLength(0);
    });

    it('leaves requests elsewhere alone, with a body of any size for their own parser', async () => {
      const service = await serve(door, { mounting, options: { limit: 10 } });
      const sent = { text: 'x'.repeat(90_000) };
      const answer = await service.send({ target: '/elsewhere', headers: json, body: JSON.stringify(sent) });
      expect(JSON.parse(answer.body)).toEqual({ got: sent });
      expect(service.outcomes).toHaveLength(0);
    });

    // koa-mount compares case, @koa/router does not: known, and not the middleware's to mend.
    // It fails by itself on a target without a path.
    const byKoaMount = name.startsWith('Koa') && mounting === 'under a mount';
    const spellings: Record<string, (endpoint: string) => string> = {
      plain: (endpoint) => endpoint,
      'with a query': (endpoint) => `${endpoint}?a=b`,
      'with an empty query': (endpoint) => `${endpoint}?`,
      'with a fragment': (endpoint) => `${endpoint}#a`,
      'with a slash at its end': (endpoint) => `${endpoint}/`,
      'with two slashes at its end': (endpoint) => `${endpoint}//`,
      'with two slashes at its start': (endpoint) => `/${endpoint}`,
      'with two slashes within': (endpoint) => endpoint.replace(/\/(?=[^/]*$)/, '//'),
      'with a backslash': (endpoint) => endpoint.replace(/\/(?=[^/]*$)/, '\\'),
      'with a backslash and a fragment': (endpoint) => `${endpoint.replace(/\/(?=[^/]*$)/, '\\')}#a`,
      'with an encoded slash': (endpoint) => endpoint.replace(/\/(?=[^/]*$)/, '%2F'),
      'with an encoded letter': (endpoint) => endpoint.replace(/.$/, (last) => `%${last.charCodeAt(0).toString(16)}`),
      'with dots': (endpoint) => `/.${endpoint}`,
      'with dots that go up': (endpoint) => `/a/..${endpoint}`,
      'with parameters': (endpoint) => `${endpoint};a=b`,
      'with a tab at its end': (endpoint) => `${endpoint}\t`,
      'with a no-break space at its end': (endpoint) => `${endpoint}\xa0`,
      'with an encoded space at its end': (endpoint) => `${endpoint}%20`,
      'with a null byte at its end': (endpoint) => `${endpoint}%00`,
      'in absolute form': (endpoint) => `http://service.test${endpoint}`,
      'in absolute form with a user': (endpoint) => `http://user@service.test:8080${endpoint}/`,
      'in absolute form with another scheme': (endpoint) => `foo://service.test${endpoint}`,
      'in absolute form with a backslash': (endpoint) => `http://service.test${endpoint.replaceAll('/', '\\')}`,
      'in absolute form without a path': () => 'http://service.test',
      'in absolute form with another scheme, in upper case, with a slash': (endpoint) =>
        `FOO://service.test${endpoint}/`,
      ...(!byKoaMount && {
        'in absolute form with another scheme and without a path': () => 'foo://service.test',
        'in upper case': (endpoint) => endpoint.toUpperCase(),
        'in upper case and absolute form, with a slash': (endpoint) => `HTTP://SERVICE.TEST${endpoint.toUpperCase()}/?`,
      }),
    };

    it.each(Object.entries(spellings))('lets nothing unsigned to the handler: the endpoint %s', async (_, spell) => {
      const service = await serve(door, { mounting });
      const answer = await service.send({ ...signed({}, { key: 'forged' }), target: spell(service.endpoint) });
      expect(service.handled).toHaveLength(0);
      expect(door.refusals).toContain(answer.status);
    });

    const same = ['plain', 'with a query', 'with a slash at its end', 'in absolute form', 'in upper case'];
    it.each(same.filter((spelling) => spelling in spellings))('is found there: the endpoint %s', async (spelling) => {
      const service = await serve(door, { mounting });
      const spell = spellings[spelling] as (endpoint: string) => string;
      expect((await service.send({ ...signed(), target: spell(service.endpoint) })).status).toBe(204);
      expect(service.handled).toHaveLength(1);
    });
  });
});

// ---------------------------------------------------------------- every other way to mount it

/** A way to mount the middleware: where it guards what is behind, and where it lets requests pass. */
interface Way<Kit> {
  readonly build: (kit: Kit) => RequestListener;
  readonly guarded: readonly string[];
  readonly open?: readonly string[];
}

async function expectGuarded(listener: RequestListener, outcomes: readonly Outcome[], way: Way<never>): Promise<void> {
  const server = createServer(listener);
  const port = await listen(server);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const send = async (message: Message): Promise<Answer> => {
    const connection = await Connection.open(port);
    connection.write(bytesOf(message));
    const answer = await connection.answer();
    connection.destroy();
    return answer;
  };
  for (const target of way.guarded) {
    expect(await send({ target, headers: json, body: '{"a":1}' }), target).toMatchObject({
      status: 401,
      body: '{"ok":false,"error":"invalid_signature"}',
    });
    const before = outcomes.length;
    expect(await send({ target, ...signed() }), target).toMatchObject({ status: 200, body: '"verified"' });
    expect(outcomes.length - before, target).toBe(1);
    expect(outcomes.at(-1), target).toMatchObject({ result: 'accepted' });
  }
  const before = outcomes.length;
  for (const target of way.open ?? []) {
    expect(await send({ target, headers: json, body: '{"a":1}' }), target).toMatchObject({
      status: 200,
      body: '{"unverified":{"a":1}}',
    });
  }
  expect(outcomes.length).toBe(before);
}

type ExpressApp = ReturnType<Express>;

interface ExpressKit {
  readonly express: Express;
  readonly app: ExpressApp;
  readonly hook: RequestHandler & VastWebhook;
  hookWith(options: WebhookOptions): RequestHandler & VastWebhook;
  /** The middleware as another function calls it. */
  readonly wrapped: RequestHandler;
  /** What comes in front, without answering. */
  readonly auth: RequestHandler;
  /** The pattern for every path, in this version's language. */
  readonly everything: string;
}

const topLevel = {
  guarded: ['/vast/webhooks', '/VAST/webhooks/', 'http://service.test/vast/webhooks?a=b', '/more/vast/webhooks'],
  open: ['/', '/other', '/vast', '/vast/webhooks/more'],
};
const onRoute = {
  guarded: ['/hooks/vast', '/HOOKS/vast/', 'http://service.test/hooks/vast'],
  open: ['/', '/vast/webhooks', '/hooks/vast/more'],
};
/** A mount of its own, below which nothing is passed on. */
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
  'wrapped as tracing does it, with its properties carried on': {
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
  'in an app whose routes care for case and slashes': {
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
    // Says whether the middleware let it through as verified, and otherwise what its body was.
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
  ])('nothing unsigned reaches the app’s handler behind a bare server with a path: %s', async (target) => {
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

describe('in front of a server that reads paths in its own way, with a path', () => {
  it.each([
    ['/vast/webhooks', 401],
    ['/VAST/webhooks/', 401],
    ['/vast/%77ebhooks', 401],
    ['/vast%2Fwebhooks', 401],
    ['/vast\\webhooks', 401],
    ['//vast//webhooks//', 401],
    ['/vast;a=b/webhooks;c', 401],
    ['/vast/webhooks%3Bc', 401],
    ['http://service.test/vast/webhooks#a', 401],
    ['/vast/webhooks?from=http://a.test/b', 401],
    ['/vast/webhook', 200],
    ['/vast/webhooks/more', 200],
    ['/?/vast/webhooks', 200],
    ['http://service.test', 200],
    ['*', 200],
  ])('refuses what might be the endpoint, and lets pass what cannot be: %s', async (target, status) => {
    expect(await statusInFront('/vast/webhooks', target)).toBe(status);
  });
});

describe("in front of a server, with the path '/'", () => {
  it.each([
    ['/', 401],
    ['/?a', 401],
    ['http://service.test', 401],
    ['http://service.test?a', 401],
    ['/a', 200],
  ])('refuses the root only, however it is written: %s', async (target, status) => {
    expect(await statusInFront('/', target)).toBe(status);
  });
});

/** Of an unsigned request to a server with the middleware in front of it. Behind it, every path answers 200. */
async function statusInFront(
  path: string,
  target: string,
  behind: RequestListener = (_req, res) => res.end(),
): Promise<number> {
  const hook = vastWebhook(secret, { path, onOutcome() {} });
  const server = createServer((req, res) => hook(req, res, () => behind(req, res)));
  const port = await listen(server);
  onTestFinished(() => void server.close());
  const connection = await Connection.open(port);
  connection.write(bytesOf({ target, body: '{}' }));
  const { status } = await connection.answer();
  connection.destroy();
  return status;
}

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
  /** Middleware composed into one, which no app knows the parts of. */
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
  // Whether that route is behind or around the middleware cannot be told.
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
    // Whether that router is behind or around the middleware cannot be told.
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
    // The handler stands behind the middleware of each way, for every path.
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
