import { type Place, pathOf } from './endpoint-match.js';

interface RouterLayer {
  readonly methods: readonly string[];
  readonly stack: readonly unknown[];
  /** `ignoreCaptures`: that a `use` layer has no path of its own. */
  readonly opts?: { readonly ignoreCaptures?: boolean };
}

/** What Koa's routers leave on a context. */
export interface RoutedContext {
  readonly path: string;
  readonly originalUrl: string;
  /** Set by @koa/router: the routes and `use` layers with this path, of all routers so far. */
  readonly matched?: readonly RouterLayer[];
  /** Set by other routers. */
  readonly params?: unknown;
  readonly routePath?: unknown;
}

/** Tells where in Koa the middleware is called. */
export function koaPlaces(middleware: unknown): (ctx: RoutedContext) => Place {
  /** Contexts that were let pass although a second place may hold the middleware, wrapped. */
  const passed = new WeakSet<object>();

  return (ctx) => {
    const { matched = [], params, routePath } = ctx;
    const own = matched.filter(({ stack }) => stack.includes(middleware));
    if (own.some(isRoute)) return 'route';
    const [layer] = own;
    if (layer !== undefined) {
      if (own.length > 1 || passed.has(ctx)) return 'unknown';
      if (layer.opts?.ignoreCaptures !== true) return 'mount';
      // Behind a route, that one may hold the middleware, too, wrapped.
      if (matched.slice(0, matched.indexOf(layer)).some(isRoute)) return 'unknown';
      passed.add(ctx);
      return 'use';
    }
    if (matched.some(isRoute) || params !== undefined || routePath !== undefined) return 'unknown';
    // koa-mount cuts its prefix off the path; so may others.
    return ctx.path === pathOf(ctx.originalUrl) ? 'use' : 'unknown';
  };
}

function isRoute({ methods }: RouterLayer): boolean {
  return methods.length > 0;
}
