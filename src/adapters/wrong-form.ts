import type { ServerResponse } from 'node:http';

/**
 * The middleware's forms look alike, and each given to another framework would lose events in a way of its own. So
 * each form looks at what it is called with, and says which one is meant.
 */
type Form = 'Express' | 'Koa' | 'fetch';

export function isNodeCall(res: ServerResponse): boolean {
  return typeof res?.setHeader === 'function';
}

export function isKoaCall(ctx: { readonly req: unknown }, next: unknown): boolean {
  return typeof next === 'function' && isNodeRequest(ctx?.req);
}

/** By its shape, since servers bring a `Request` of their own. */
export function isFetchCall(request: unknown): boolean {
  const { headers, url } = Object(request);
  return typeof url === 'string' && typeof Object(headers).get === 'function';
}

function isNodeRequest(value: unknown): boolean {
  const { headers, method } = Object(value);
  return typeof headers === 'object' && typeof headers.get !== 'function' && typeof method === 'string';
}

/** What to do, by the first thing that the form was called with. */
export function misuse(form: Form, provider: string, called: unknown): TypeError {
  const base = provider === 'vast' ? 'vast-webhook' : `vast-webhook/${provider}`;
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

/** Lets the framework that called a form which gives a promise fail in its own way, which is a 5xx in each. */
export function refuse(
  error: TypeError,
  [, res, next]: readonly unknown[],
  report: (error: Error) => void,
): Promise<never> {
  const response = Object(res) as Partial<ServerResponse>;
  // Express 4 does not look at promises, and node:http has nobody to tell.
  if (typeof next === 'function') next(error);
  else if (typeof response.writeHead === 'function') {
    response.writeHead(500);
    response.end?.();
    report(error);
  } else return Promise.reject(error);
  return new Promise(() => {});
}
