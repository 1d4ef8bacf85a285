import { isRoot, pathMatcher, pathOf } from '../receive/path.js';

interface RouterLayer {
  readonly methods: readonly string[];
  readonly stack: readonly unknown[];
}

interface RoutedContext {
  readonly app: { readonly middleware: readonly unknown[] };
  readonly path: string;
  readonly originalUrl: string;
  /** Set by koa-mount, and left behind by it. */
  readonly mountPath?: string;
  /** Set by @koa/router: the routes and `use` layers with this path, of all routers so far. */
  readonly matched?: readonly RouterLayer[];
}

/**
 * Tells which requests are on the middleware's endpoint. A route that holds it is its endpoint. Without a `path`,
 * that is `defaultPath` at the app's top level, and under koa-mount the mount itself or `defaultPath` below it.
 * Where the middleware cannot find itself, every request is: to refuse is safe, to let through is not.
 */
export function koaEndpoint(
  middleware: unknown,
  path: string | undefined,
  defaultPath: string,
): (ctx: RoutedContext) => boolean {
  const matches = pathMatcher(path ?? defaultPath);
  return (ctx) => {
    const { matched = [] } = ctx;
    if (matched.some(({ methods, stack }) => methods.length > 0 && stack.includes(middleware))) return true;
    if (path !== undefined || ctx.app.middleware.includes(middleware)) return matches(ctx.path);
    // In a route below the mount, but wrapped, the mount says nothing of the endpoint.
    if (isMounted(ctx) && matched.length === 0) return isRoot(ctx.path) || matches(ctx.path);
    return true;
  };
}

/** Whether koa-mount has cut its prefix off the path just now, and not for some earlier middleware. */
function isMounted({ mountPath, path, originalUrl }: RoutedContext): boolean {
  if (mountPath === undefined) return false;
  const whole = pathOf(originalUrl);
  const prefix = mountPath.replace(/\/$/, '');
  return path !== whole && (whole.endsWith(prefix + path) || (path === '/' && whole.endsWith(prefix)));
}
