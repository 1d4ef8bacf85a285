import type { ServerResponse } from 'node:http';
import { isBuiltIn } from '../providers/index.js';
import { vast } from '../providers/vast.js';

/**
 * The middleware's forms look alike, and in the wrong framework each would lose events in its own way. So each form
 * checks its arguments, and names the right one.
 */
type Form = 'Express' | 'Koa' | 'fetch';

export function isNodeCall(res: ServerResponse): boolean {
  return typeof res?.setHeader === 'function';
}

export function isKoaCall(ctx: { readonly req: unknown }, next: unknown): boolean {
  return typeof next === 'function' && isNodeRequest(ctx?.req);
}

/** Checks the shape, because servers have a `Request` class of their own. */
export function isFetchCall(request: unknown): boolean {
  const { headers, url } = Object(request);
  return typeof url === 'string' && typeof Object(headers).get === 'function';
}

function isNodeRequest(value: unknown): boolean {
  const { headers, method } = Object(value);
  return typeof headers === 'object' && typeof headers.get !== 'function' && typeof method === 'string';
}

/** The fix, from the first argument of the call. */
export function misuse(form: Form, provider: string, called: unknown): TypeError {
  const own = isBuiltIn(provider) ? provider : 'provider';
  const base = provider === vast.name ? 'vast-webhook' : `vast-webhook/${own}`;
  const { req, request } = Object(called);
  const [caller, cure] = isFetchCall(called)
    ? ['with a Request', `import it from '${base}/fetch'`]
    : isFetchCall(req?.raw)
      ? ['with a Hono context', `import it from '${base}/fetch', and write app.post(path, (c) => hook(c.req.raw))`]
      : isFetchCall(request)
        ? [
            'with an event that has a Request',
            `import it from '${base}/fetch', and write ({ request }) => hook(request)`,
          ]
        : isNodeRequest(req)
          ? ['by Koa', `import it from '${base}/koa'`]
          : isNodeRequest(called)
            ? ['by Express or a node:http server', `import it from '${base}'`]
            : [
                'with something that is no request',
                `give it what its documentation says: '${base}', '${base}/koa' or '${base}/fetch'`,
              ];
  return new TypeError(`this is the ${form} form of the middleware, and it was called ${caller}: ${cure}`);
}

/** Fails in the calling framework's own way, which is a 5xx in each. */
export function refuse(
  error: TypeError,
  [, res, next]: readonly unknown[],
  report: (error: Error) => void,
): Promise<never> {
  const response = Object(res) as Partial<ServerResponse>;
  // Express 4 ignores promises, and node:http has no error handler.
  if (typeof next === 'function') next(error);
  else if (typeof response.writeHead === 'function') {
    response.writeHead(500);
    response.end?.();
    report(error);
  } else return Promise.reject(error);
  return new Promise(() => {});
}
