import type { IncomingMessage } from 'node:http';
import { type Place, pathOf } from './endpoint-match.js';

/** A layer of Express 4 and 5: a `use` or a route in a router's stack. */
interface Layer {
  readonly handle?: unknown;
  readonly route?: { readonly stack?: Stack };
  /** Express 5: whether it has no path, and the functions that match its path otherwise. */
  readonly slash?: boolean;
  readonly matchers?: readonly ((path: string) => false | { readonly path: string })[];
  /** Express 4: the same. */
  readonly regexp?: RegExp & { readonly fast_slash?: boolean };
}
type Stack = readonly Layer[];

interface App {
  /** The path of its `use`, as it was written. */
  readonly mountpath?: unknown;
  readonly parent?: App;
  /** Express 4, whose `router` throws. */
  readonly _router?: { readonly stack: Stack };
  readonly router?: { readonly stack: Stack };
}

/** What Express's routers set on a request. Connect and Polka set the first, and cut the mount off `url`. */
export interface RoutedRequest extends IncomingMessage {
  readonly originalUrl?: string;
  /** The part that mounts have cut off. Only Express's routers set it. */
  readonly baseUrl?: string;
  /** The innermost router's `next`, for the layers behind this one. */
  readonly next?: unknown;
  /** The last route that matched. It may have called `next()` since. */
  readonly route?: { readonly stack?: Stack };
  readonly app?: App;
}

type Middleware = ((...args: never[]) => void) & { readonly close: unknown };

/** Finds where in Express the middleware is called. The request's own fields come before any search. */
export function expressPlaces(middleware: Middleware): (req: RoutedRequest, next: unknown) => Place {
  /** Requests that were passed on although the middleware may have a second, wrapped place. */
  const passed = new WeakSet<object>();
  const isSelf = (handle: unknown) =>
    // Tracing wraps layers in functions that copy our properties.
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
    // This layer may contain us, in an app or router that hides its own layers.
    if (route?.stack?.some(({ handle }) => isContainer(handle))) return 'unknown';
    const places = placesIn(req, isSelf);
    if (places.length === 1 && places[0] === 'mount') return isBelowMount ? 'mount' : 'unknown';
    if (places.length === 0 || places.includes('mount') || passed.has(req)) return 'unknown';
    passed.add(req);
    return baseUrl === '' ? 'use' : 'nested';
  };
}

/** Whether something other than Express has cut a mount off the path, or rewritten it. */
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

/** The part that the app's own mounts cut off, if it is the same for each request. */
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
    // If it is itself in a route, the request shows that.
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

/** The part of the base behind a layer's path. Undefined if the layer cannot have matched. */
function restOf(layer: Layer, base: string): string | undefined {
  if (isWithoutPath(layer)) return base;
  const path = base === '' ? '/' : base;
  const found = layer.regexp?.exec(path)?.[0] ?? layer.matchers?.map((match) => match(path)).find((match) => match);
  const cut = typeof found === 'object' ? found.path : found;
  return typeof cut === 'string' ? base.slice(cut.replace(/\/$/, '').length) : undefined;
}
