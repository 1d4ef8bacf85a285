/** Frameworks have no path for an absolute-form target that ends with the host. */
export type PathTest = (path: string | null | undefined) => boolean;

export const isRoot: PathTest = pathMatcher('/');

/**
 * Whether a request path is the endpoint. It errs on the side of yes: Express and Koa routers look past case and
 * one trailing slash, other servers past percent-encoding, repeated slashes, `;` parameters and stray white space, and a
 * handler behind the middleware must not be reached by a spelling that only the router understands.
 */
export function pathMatcher(endpoint: string): PathTest {
  const normal = normalize(endpoint);
  return (path) => path === endpoint || normalize(path ?? '/') === normal;
}

function normalize(path: string): string {
  const plain = decode(path.trimEnd())
    .replace(/;[^/\\]*/g, '')
    .replace(/[/\\]+/g, '/')
    .toLowerCase();
  return plain.length > 1 && plain.endsWith('/') ? plain.slice(0, -1) : plain;
}

function decode(path: string): string {
  return path.replace(/%[0-7][0-9a-f]/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)));
}

/** The path of a request target, which proxies may send in absolute form (RFC 9112, 3.2.2). */
export function pathOf(target: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(target);
  const rest = scheme ? target.slice(scheme[0].length) : target;
  const end = rest.search(/[?#]/);
  const path = end === -1 ? rest : rest.slice(0, end);
  return path === '' ? '/' : path;
}
