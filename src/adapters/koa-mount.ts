import { pathOf, type Visit } from './endpoint-match.js';

interface RouterLayer {
  readonly methods: readonly string[];
  readonly stack: readonly unknown[];
  /** A pattern, behind the router's prefix. */
  readonly path?: unknown;
  /** `ignoreCaptures`: that a `use` layer has no path of its own. */
  readonly opts?: { readonly ignoreCaptures?: boolean };
}

/** What Koa's routers set on a context. */
export interface RoutedContext {
  readonly path: string;
  /** Set by @koa/router: the routes and `use` layers with this path, of all routers so far. */
  readonly matched?: readonly RouterLayer[];
  /** Set by other routers. */
  readonly params?: unknown;
  readonly routePath?: unknown;
}

/** Finds where in Koa the middleware is called. `target` is the whole original target. */
export function koaPlaces(
  middleware: unknown,
): (ctx: RoutedContext, target: string) => Pick<Visit, 'place' | 'isAtRoot'> {
  /** Contexts that were passed on although the middleware may have a second, wrapped place. */
  const passed = new WeakSet<object>();

  return (ctx, target) => {
    const { matched = [], path, params, routePath } = ctx;
    const isMoved = path !== pathOf(target);
    const isAtRoot = path === '/';
    const own = matched.filter(({ stack }) => stack.includes(middleware));
    if (own.some(isRoute)) return { place: 'route', isAtRoot };
    const [layer] = own;
    if (layer !== undefined) {
      if (own.length > 1 || passed.has(ctx)) return { place: 'unknown', isAtRoot };
      if (layer.opts?.ignoreCaptures !== true) return { place: 'mount', isAtRoot };
      // Behind a route: that route may also contain the middleware, wrapped.
      if (matched.slice(0, matched.indexOf(layer)).some(isRoute)) return { place: 'unknown', isAtRoot };
      passed.add(ctx);
      const prefix = prefixOf(layer);
      if (prefix === '' && !isMoved) return { place: 'use', isAtRoot };
      return { place: 'nested', isAtRoot: path.replace(/\/$/, '').toLowerCase() === prefix };
    }
    const isRouted = matched.some(isRoute) || params !== undefined || routePath !== undefined;
    // koa-mount cuts its prefix off the path, and others may do so.
    return { place: isRouted || isMoved ? 'unknown' : 'use', isAtRoot };
  };
}

/** The prefix of a `use` layer without a path of its own. */
function prefixOf({ path }: RouterLayer): string {
  return String(path ?? '')
    .replace(/[({[:*\\].*/s, '')
    .replace(/\/$/, '')
    .toLowerCase();
}

function isRoute({ methods }: RouterLayer): boolean {
  return methods.length > 0;
}
