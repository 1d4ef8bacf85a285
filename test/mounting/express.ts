import { createRequire } from 'node:module';
import type { RequestHandler, Router } from 'express';
import { vastWebhook } from '../../src/index.js';
import { vastWebhook as koaVastWebhook } from '../../src/koa.js';
import type { WebhookOptions } from '../../src/options.js';
import { expresses, koas, nowMs, secret } from '../support/adapters.js';
import type { Generator, Observer } from './mounting.js';
import type { Random } from './random.js';

const require = createRequire(import.meta.url);
const connect = require('connect') as () => RequestHandler & { use(path: string, handler: RequestHandler): void };

type Hook = RequestHandler & { close: unknown };

const hookWith = (options: WebhookOptions = {}): Hook =>
  vastWebhook(secret, { now: () => nowMs, onOutcome() {}, onError() {}, ...options }) as unknown as Hook;

/** Ways in which services and tracing stand around a middleware. */
const wrappings: Readonly<Record<string, (hook: Hook) => RequestHandler>> = {
  plain: (hook) => hook,
  'in a function': (hook) => (req, res, next) => hook(req, res, next),
  'in an async function': (hook) => async (req, res, next) => hook(req, res, next),
  'by tracing that copies properties': (hook) =>
    Object.assign(((req, res, next) => hook(req, res, (error?: unknown) => next(error))) as RequestHandler, hook),
  'by tracing that does not': (hook) => (req, res, next) => hook(req, res, (error?: unknown) => next(error)),
};

interface Leaf {
  /** The path below the container. */
  readonly endpoint: string;
  readonly isWide?: boolean;
  /** Whether the container's other routes are left alone. */
  readonly leavesOthers?: boolean;
  readonly later?: () => void;
}

interface Kit {
  readonly to: Router;
  readonly express: (typeof expresses)[keyof typeof expresses];
  readonly everything: string;
  readonly wrap: (hook: Hook) => RequestHandler;
  readonly isWrapped: boolean;
  readonly handler: RequestHandler;
  /** The path of the parent of the container. */
  readonly prefix: string;
  readonly random: Random;
  readonly observer: Observer;
}

const p = '/hooks/vast';

const leaves: Readonly<Record<string, (kit: Kit) => Leaf>> = {
  'use(hook)'({ to, wrap, isWrapped, handler, prefix }) {
    to.use(wrap(hookWith()));
    to.all('/vast/webhooks', handler);
    return { endpoint: '/vast/webhooks', leavesOthers: prefix === '' || !isWrapped };
  },
  "use('', hook)"({ to, wrap, isWrapped, handler, prefix, everything, random }) {
    // In Express 5, ['/'] matches only the root, and the middleware is not called elsewhere.
    const paths = everything === '*' ? ['', '/', ['/']] : ['', '/'];
    to.use(random.pick<never>(paths as never), wrap(hookWith()));
    to.all('/vast/webhooks', handler);
    return { endpoint: '/vast/webhooks', leavesOthers: prefix === '' && !isWrapped };
  },
  'use(hook with a path)'({ to, wrap, handler, prefix, random }) {
    to.use(wrap(hookWith({ path: random.chance(0.5) ? p : prefix + p })));
    to.all(p, handler);
    return { endpoint: p, leavesOthers: true };
  },
  'use(path, hook, handler)'({ to, wrap, handler }) {
    to.use(p, wrap(hookWith()), handler);
    return { endpoint: p, isWide: true, leavesOthers: true };
  },
  'use(path, hook), and a handler behind'({ to, wrap, handler }) {
    to.use(p, wrap(hookWith()));
    to.use(p, handler);
    return { endpoint: p, isWide: true, leavesOthers: true };
  },
  'use(path, hook with the same path)'({ to, wrap, handler, prefix, random }) {
    to.use(p, wrap(hookWith({ path: random.pick([p, prefix + p]) })));
    to.all(p, handler);
    return { endpoint: p, leavesOthers: true };
  },
  'use(everything, hook with a path)'({ to, wrap, handler, everything }) {
    to.use(everything, wrap(hookWith({ path: p })));
    to.all(p, handler);
    return { endpoint: p, leavesOthers: true };
  },
  'post(path, hook, handler)'({ to, wrap, handler }) {
    to.post(p, wrap(hookWith()), handler);
    return { endpoint: p, leavesOthers: true };
  },
  'all(path, hook), and a handler behind'({ to, wrap, handler }) {
    to.all(p, wrap(hookWith()));
    to.all(p, handler);
    return { endpoint: p, leavesOthers: true };
  },
  'post(path, router with hook, handler)'({ to, express, wrap, handler }) {
    const inner = express.Router();
    inner.use(wrap(hookWith()));
    to.post(p, inner, handler);
    return { endpoint: p, leavesOthers: true };
  },
  'post(path, app with hook, handler)'({ to, express, wrap, handler }) {
    const inner = express();
    inner.use(wrap(hookWith()));
    to.post(p, inner as unknown as RequestHandler, handler);
    return { endpoint: p, leavesOthers: true };
  },
  'use(hook), and a wrapped mount'({ to, handler, prefix, random }) {
    const hook = hookWith();
    const wrapped: RequestHandler = (req, res, next) => hook(req, res, next);
    const isFirst = random.chance(0.5);
    if (isFirst) to.use(p, wrapped, handler);
    to.use(hook);
    if (!isFirst) to.use(p, wrapped, handler);
    return { endpoint: p, isWide: true, leavesOthers: prefix === '' };
  },
  'a Koa app'({ to, random, observer }) {
    const koa = new (random.pick(Object.values(koas)))();
    koa.silent = true;
    const path = random.chance(0.5) ? { path: p } : {};
    koa.use(koaVastWebhook(secret, { now: () => nowMs, onOutcome() {}, onError() {}, ...path }) as never);
    koa.use((ctx) => {
      if (ctx.path !== '/') return;
      observer.handled((ctx.state as { vast?: unknown }).vast);
      ctx.status = 204;
    });
    to.use(p, koa.callback() as unknown as RequestHandler);
    return { endpoint: p, leavesOthers: true };
  },
  'a connect app'({ to, wrap, handler }) {
    const inner = connect();
    inner.use(p, wrap(hookWith()));
    inner.use(p, handler);
    to.use(inner);
    return { endpoint: p, isWide: true, leavesOthers: true };
  },
  'use(hook), and wrapped in a route'({ to, handler, prefix, random }) {
    const hook = hookWith();
    const wrapped: RequestHandler = (req, res, next) => hook(req, res, next);
    const inRoute = random.chance(0.5);
    if (inRoute) to.post(p, wrapped, handler);
    to.use(hook);
    if (!inRoute) to.post(p, wrapped, handler);
    return { endpoint: p, leavesOthers: prefix === '' };
  },
  'use(hook), and mounted again after the first request'({ to, handler, prefix }) {
    const hook = hookWith();
    to.use(hook);
    const later = () => {
      to.use(p, hook, handler);
    };
    return { endpoint: p, isWide: true, leavesOthers: prefix === '', later };
  },
};

/** Containers: a name, the arguments of the parent's `use`, and the resulting path. */
const paths: readonly (readonly [pattern: unknown, path: string])[] = [
  [undefined, ''],
  ['/', ''],
  ['/api', '/api'],
  ['/api/v1', '/api/v1'],
  ['/:tenant', '/acme'],
  [['/a', '/api'], '/api'],
  [/^\/h[ao]ks/, '/haks'],
];

export const express: Generator = (random, observer) => {
  const version = random.pick(Object.keys(expresses)) as keyof typeof expresses;
  const make = expresses[version];
  const everything = version === 'Express 4' ? '*' : '/{*everything}';
  const app = make().set('env', 'test');
  if (random.chance(0.2)) app.enable('case sensitive routing');
  if (random.chance(0.2)) app.enable('strict routing');
  const said: string[] = [version];
  const pass: RequestHandler = (_req, _res, next) => next();
  const before = random.pick(['nothing', 'nothing', 'use', 'a route for everything']);
  if (before === 'use') app.use(pass);
  if (before === 'a route for everything') app.all(everything, pass);
  if (before !== 'nothing') said.push(`${before} before`);

  const plain: RequestHandler = (req, res) => void res.status(200).send(`plain ${req.originalUrl}`);
  const isRouted = before === 'a route for everything';
  let prefix = '';
  let hidesPath = false;
  let to = app as unknown as Router;
  for (let depth = random.below(3); depth > 0; depth--) {
    const [pattern, path] = random.pick(paths);
    const kind = random.pick(['a router', 'an app', 'a wrapped app', 'a wrapped router']);
    const inner = (kind.endsWith('router') ? make.Router() : make()) as unknown as Router;
    const used: RequestHandler = kind.includes('wrapped') ? (req, res, next) => inner(req, res, next) : inner;
    if (pattern === undefined) to.use(used);
    else to.use(pattern as string, used);
    said.push(`${kind} at ${String(pattern)}`);
    // Express keeps the path of an app only where a \`use\` of another app has it as a text.
    if (kind === 'an app')
      hidesPath ||= said.some((one) => one.includes('router')) || !/^[/\w]*$/.test(String(pattern ?? ''));
    to = inner;
    prefix += path;
  }
  const wrapping = random.chance(0.5) ? 'plain' : random.pick(Object.keys(wrappings));
  const isWrapped = wrapping !== 'plain' || hidesPath || said.some((one) => one.includes('wrapped'));
  const name = random.pick(Object.keys(leaves));
  const leaf = (leaves[name] as (kit: Kit) => Leaf)({
    to,
    express: make,
    everything,
    wrap: wrappings[wrapping] as (hook: Hook) => RequestHandler,
    isWrapped,
    handler: handlerOf(observer),
    prefix,
    random,
    observer,
  });
  said.push(name, wrapping);
  // Where a route has matched before, or the middleware is wrapped below a mount, nothing shows the mount.
  const tellable = !isRouted || (!isWrapped && prefix === '');
  to.get('/plain', plain);
  app.all('/users', plain);
  app.get('/', plain);
  // A tenant may have that name.
  const isBelow = prefix.startsWith('/acme');
  const hasPath = name.includes('with a path') || name.includes('with the same path');
  const own = leaf.leavesOthers && (hasPath || tellable) && prefix !== '' ? [`${prefix}/plain`] : [];
  return {
    says: said.join(', '),
    listener: app,
    endpoint: prefix + leaf.endpoint,
    isWide: leaf.isWide,
    plain: hasPath || tellable ? [...(isBelow ? [] : ['/users']), ...own] : [],
    plainMethods: ['GET'],
    later: leaf.later,
  };
};

function handlerOf(observer: Observer): RequestHandler {
  return (req, res) => {
    observer.handled(req.vast);
    res.statusCode = 204;
    res.end();
  };
}
