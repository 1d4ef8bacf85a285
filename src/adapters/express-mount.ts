import type { IncomingMessage } from 'node:http';
import { type Place, pathOf } from './endpoint-match.js';

/** What Express 4 and 5 keep of a `use` or a route; their routers' stacks are made of these. */
interface Layer {
  readonly handle?: unknown;
  readonly route?: { readonly stack?: Stack };
  /** Express 5: whether it was used without a path, and what finds its path otherwise. */
  readonly slash?: boolean;
  readonly matchers?: readonly ((path: string) => false | { readonly path: string })[];
  /** Express 4: the same. */
  readonly regexp?: RegExp & { readonly fast_slash?: boolean };
}
type Stack = readonly Layer[];

interface App {
  /** Where a `use` has put it, as that was written. */
  readonly mountpath?: unknown;
  readonly parent?: App;
  /** Express 4, whose `router` throws. */
  readonly _router?: { readonly stack: Stack };
  readonly router?: { readonly stack: Stack };
}

/** What Express's routers leave on a request. Connect and Polka leave the first, and cut the mount off `url`. */
export interface RoutedRequest extends IncomingMessage {
  readonly originalUrl?: string;
  /** What mounts have cut off. Only Express's routers set it. */
  readonly baseUrl?: string;
  /** Of the innermost router, for what stands behind the present layer. */
  readonly next?: unknown;
  /** Of the last route that matched, which may have passed the request on since. */
  readonly route?: { readonly stack?: Stack };
  readonly app?: App;
}

type Middleware = ((...args: never[]) => void) & { readonly close: unknown };

/** Tells where in Express the middleware is called. What a request says by itself comes before any search. */
export function expressPlaces(middleware: Middleware): (req: RoutedRequest, next: unknown) => Place {
  /** Requests that were let pass although a second place may hold the middleware, wrapped. */
  const passed = new WeakSet<object>();
  const isSelf = (handle: unknown) =>
    // Tracing wraps layers in functions that carry our properties on.
    handle === middleware || (handle as Partial<Middleware> | undefined)?.close === middleware.close;

  return (req, next) => {
    const { route, baseUrl } = req;
    if (route?.stack?.some(({ handle }) => isSelf(handle))) return 'route';
    if (next === undefined) return 'alone';
    if (baseUrl === undefined) return 'unknown';
    const isBelowMount = baseUrl !== '' || isMoved(req);
    if (!isBelowMount && route === undefined) {
      passed.add(req);
      return 'use';
    }
    // A route calls its handlers with a `next` of its own.
    if (route !== undefined && next !== req.next) return 'unknown';
    // It may be around us, and what it holds is an app or a router that need not show its own.
    if (route?.stack?.some(({ handle }) => isContainer(handle))) return 'unknown';
    const places = placesIn(req, isSelf);
    if (places.length === 1 && places[0] === 'mount') return isBelowMount ? 'mount' : 'unknown';
    if (places.length === 0 || places.includes('mount') || passed.has(req)) return 'unknown';
    passed.add(req);
    return baseUrl === '' ? 'use' : 'nested';
  };
}

/** Whether somebody else than Express has cut a mount off the path, or rewritten it. */
function isMoved({ url = '', originalUrl = url }: RoutedRequest): boolean {
  return url !== originalUrl && pathOf(url) !== pathOf(originalUrl);
}

/** The places of the middleware below the mounts that the request has come through. */
function placesIn({ app, baseUrl = '' }: RoutedRequest, isSelf: (handle: unknown) => boolean): Place[] {
  const { stack } = app?._router ?? app?.router ?? { stack: [] };
  const outside = pathAbove(app);
  if (!baseUrl.toLowerCase().startsWith(outside.toLowerCase())) return [];
  return placesBelow(stack, baseUrl.slice(outside.length), false, isSelf);
}

/** What an app's own mounts have cut off, where that is the same for each request. */
function pathAbove(app: App | undefined): string {
  if (app?.parent === undefined) return '';
  const path = app.mountpath === '/' ? '' : String(app.mountpath);
  return pathAbove(app.parent) + path;
}

function isContainer(handle: unknown): boolean {
  const { stack, handle: handles } = Object(handle) as { stack?: unknown; handle?: unknown };
  return Array.isArray(stack) || typeof handles === 'function';
}

function placesBelow(stack: Stack, base: string, isInRoute: boolean, isSelf: (handle: unknown) => boolean): Place[] {
  return stack.flatMap((layer): Place[] => {
    // What is itself in a route is known by the request.
    if (layer.route !== undefined) {
      const routers = (layer.route.stack ?? []).filter(({ handle }) => !isSelf(handle));
      return routers.flatMap(({ handle }) => placesBelow(stackOf(handle), base, true, isSelf));
    }
    const rest = restOf(layer, base);
    if (rest === undefined) return [];
    if (!isSelf(layer.handle)) return placesBelow(stackOf(layer.handle), rest, isInRoute, isSelf);
    if (rest !== '') return [];
    return [isInRoute || rest !== base ? 'mount' : 'use'];
  });
}

function stackOf(handle: unknown): Stack {
  const { stack } = Object(handle) as { stack?: Stack };
  return Array.isArray(stack) ? stack : [];
}

function isWithoutPath({ slash, regexp }: Layer): boolean {
  return slash ?? regexp?.fast_slash ?? false;
}

/** What a layer leaves of the base, or undefined where it cannot have matched. */
function restOf(layer: Layer, base: string): string | undefined {
  if (isWithoutPath(layer)) return base;
  const path = base === '' ? '/' : base;
  const found = layer.regexp?.exec(path)?.[0] ?? layer.matchers?.map((match) => match(path)).find((match) => match);
  const cut = typeof found === 'object' ? found.path : found;
  return typeof cut === 'string' ? base.slice(cut.replace(/\/$/, '').length) : undefined;
}
