import type { IncomingMessage } from 'node:http';
import { isRoot, type PathTest, pathMatcher, pathOf } from '../receive/path.js';

/** What Express 4 and 5 keep of a `use` or a route; their routers' stacks are made of these. */
interface Layer {
  readonly handle?: unknown;
  /** Express 5: whether it was used without a path. */
  readonly slash?: boolean;
  /** Express 4: the same. */
  readonly regexp?: { readonly fast_slash?: boolean };
}
type Stack = readonly Layer[];

interface App {
  readonly parent?: App;
  /** Express 4, whose `router` throws. */
  readonly _router?: { readonly stack: Stack };
  readonly router?: { readonly stack: Stack };
}

interface ExpressRequest extends IncomingMessage {
  readonly app?: App;
  readonly path?: string | null;
  readonly route?: { readonly stack?: Stack };
}

type Middleware = ((...args: never[]) => void) & { readonly close: unknown };

/**
 * Tells which requests are on the middleware's endpoint. A route that holds it is its endpoint. Without a `path`,
 * that is the mount itself under a mount, and `defaultPath` at an app's or router's top level. Where the middleware
 * cannot find itself, every request is: to refuse is safe, to let through is not.
 */
export function expressEndpoint(
  middleware: Middleware,
  path: string | undefined,
  defaultPath: string,
): (req: IncomingMessage) => boolean {
  const matches = pathMatcher(path ?? defaultPath);
  const testOfApp = new WeakMap<object, PathTest>();

  const isSelf = (handle: unknown) =>
    // Tracing wraps layers in functions that carry our properties on.
    handle === middleware || (handle as Partial<Middleware> | undefined)?.close === middleware.close;

  const testIn = (stack: Stack, isMounted: boolean): PathTest | undefined => {
    const tests: PathTest[] = [];
    for (const layer of stack) {
      const nested = (layer.handle as { stack?: Stack } | undefined)?.stack;
      if (isSelf(layer.handle)) {
        const usedWithoutPath = layer.slash ?? layer.regexp?.fast_slash;
        if (usedWithoutPath) tests.push(matches);
        // A router or app that is mounted itself may be meant to be the endpoint.
        if (!usedWithoutPath || isMounted) tests.push(isRoot);
      } else if (Array.isArray(nested)) {
        const test = testIn(nested, true);
        if (test) tests.push(test);
      }
    }
    return tests.length > 1 ? (path) => tests.some((test) => test(path)) : tests[0];
  };

  return (request) => {
    const req: ExpressRequest = request;
    // An earlier route leaves itself on the request, so it counts only if it holds the middleware.
    if (req.route?.stack?.some(({ handle }) => isSelf(handle))) return true;
    const { app } = req;
    if (app === undefined) return path === undefined || matches(pathOf(req.url ?? ''));
    if (path !== undefined) return matches(req.path);
    let test = testOfApp.get(app);
    if (test === undefined) {
      const { stack } = app._router ?? app.router ?? { stack: [] };
      test = testIn(stack, app.parent !== undefined);
      if (test === undefined) return true;
      testOfApp.set(app, test);
    }
    return test(req.path);
  };
}
