import type { IncomingHttpHeaders } from 'node:http';
import type { Settings } from '../options.js';
import { type Provider, schemeOf } from '../providers/provider.js';
import { type TargetTest, targetTest } from '../receive/path.js';
import { printable, printableJson } from '../util/printable.js';

/** Where the framework calls the middleware, if it shows that. */
export type Place =
  /** In a route of its own. */
  | 'route'
  /** In `use`, under a path of its own. */
  | 'mount'
  /** In `use`, without a path of its own, and at the top. */
  | 'use'
  /** The same, in a router or app that has a path. */
  | 'nested'
  /** Not in a framework: no code behind could get a request. */
  | 'alone'
  /** Not known. */
  | 'unknown';

/** What an adapter knows about a request before the body is read. */
export interface Visit {
  readonly method: string | undefined;
  /** The request target as it came, before any mount or rewrite. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  /** The target after mounts and rewrites. */
  readonly rewritten: readonly string[];
  /** Whether the path that is left below a mount is its root. */
  readonly isAtRoot: boolean;
  readonly place: Place;
}

/** Some readers build a URL from these, so a path in one of them can become the request's path. */
const origins = ['host', ':authority', ':scheme', 'x-forwarded-host', 'x-forwarded-proto'] as const;

/** The endpoints of the middlewares that were made in this process. */
const endpoints = new Map<string, { readonly provider: string; readonly path: string; readonly test: TargetTest }>();

/**
 * Decides which requests are for the endpoint, in the same way for every framework. A request is passed on only if it
 * cannot be for the endpoint, because refusing is safe and letting through is not.
 */
export class EndpointMatch {
  readonly path: string;
  readonly #isGiven: boolean;
  readonly #test: TargetTest;
  readonly #signatureHeader: string | undefined;
  readonly #report: (error: Error) => void;
  readonly #reported = new Set<string>();

  constructor({ path, report }: Pick<Settings<never>, 'path' | 'report'>, provider: Provider<never>) {
    this.path = path ?? provider.path;
    this.#isGiven = path !== undefined;
    this.#test = targetTest(this.path);
    this.#signatureHeader = schemeOf(provider).headers.signature;
    this.#report = report;
    this.#reportNested(provider.name);
  }

  /** An earlier middleware takes deliveries whose path ends in its own, and it refuses those of others. */
  #reportNested(provider: string): void {
    for (const [key, other] of endpoints) {
      const isOther = other.provider !== provider || (this.#isGiven && other.path !== this.path);
      if (!isOther || !other.test(this.path)) continue;
      this.#once(
        key,
        `the path '${this.path}' of ${provider} ends in '${other.path}', which an earlier middleware for ${other.provider} guards, so that it would refuse its deliveries: give one of them another path, or make this middleware first and put it before the other`,
      );
    }
    endpoints.set(`${provider} ${this.path}`, { provider, path: this.path, test: this.#test });
  }

  /** The usual case. It needs the target only. */
  matches(target: string): boolean {
    return this.#test(target);
  }

  /** For a request whose target does not match. */
  isEndpoint(visit: Visit): boolean {
    if (visit.rewritten.some(this.#test)) return true;
    const odd = origins.find((name) => isOdd(visit.headers[name]));
    if (odd !== undefined) {
      this.#once(
        'origin',
        `${visit.method} ${shown(visit.target)} was refused, because its header ${odd} contains more than allowed, and some frameworks would read another path from it: fix the proxy that sets it`,
      );
      return true;
    }
    const { place, isAtRoot, method } = visit;
    if (place === 'route') {
      if (this.#isGiven)
        this.#once(
          'path',
          `the middleware has path: '${this.path}', and is on a route whose requests do not match it: leave path away, or use app.use() in place of the route`,
        );
      return true;
    }
    if (this.#isGiven || place === 'use') return this.#passOn(visit);
    if (place === 'mount') return true;
    // A function of a platform does not choose its path, and a signed delivery must not end as a 404.
    if (place === 'alone') return method === 'POST' && (this.#signatureHeader === undefined || this.#isSigned(visit));
    // A handler for the router's own root may be what the middleware guards.
    if (place === 'nested' && (!isAtRoot || /^(?:GET|HEAD|OPTIONS)$/.test(method ?? ''))) return this.#passOn(visit);
    // The root of a mount is probably the endpoint.
    if (place === 'nested' || !isAtRoot || visit.rewritten.length === 0) this.#guessed(visit);
    return true;
  }

  #guessed(visit: Visit): void {
    // A delivery is where it belongs.
    if (this.#isSigned(visit)) return;
    this.#once(
      'guess',
      `${visit.method} ${shown(visit.target)} was refused, because the middleware cannot see how it is mounted, so it treats every request as a delivery: give it its path, as in { path: '${this.path}' }`,
    );
  }

  #isSigned({ headers }: Visit): boolean {
    return this.#signatureHeader !== undefined && headers[this.#signatureHeader] !== undefined;
  }

  /** A webhook that has never worked is worth a line in the log. */
  #passOn(visit: Visit): false {
    if (visit.method === 'POST' && this.#isSigned(visit)) {
      this.#once(
        'passed on',
        `a request with the header ${this.#signatureHeader} came to ${shown(visit.target)} and was passed on, because the endpoint is ${this.path}: register the webhook with that path, or give the middleware the other one as { path }`,
      );
    }
    return false;
  }

  #once(what: string, message: string): void {
    if (this.#reported.has(what)) return;
    this.#reported.add(what);
    this.#report(new Error(message));
  }
}

/** No host and no scheme is empty, or holds a path. */
function isOdd(header: string | string[] | undefined): boolean {
  return header !== undefined && /^$|[/\\?#]/.test(header.toString());
}

/** The path of a target, without any decoding. */
export function pathOf(target: string): string {
  return target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*/s, '') || '/';
}

/** The path of a target in one line, without its query, which may hold a token. */
function shown(target: string): string {
  const path = printable(pathOf(target));
  return printableJson(path.length > 200 ? `${path.slice(0, 200)}...` : path);
}
