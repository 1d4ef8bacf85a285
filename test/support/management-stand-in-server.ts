import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';

export interface ManagementOptions {
  /** The key that the service knows. */
  readonly apiKey?: string;
  /** Answers 429 to more calls than these in the time before. None by default. */
  readonly rateLimit?: { readonly calls: number; readonly perMs: number };
  /** Takes http:// on loopback for a webhook's URL, which the real service refuses. */
  readonly allowLoopback?: boolean;
  /** Where a webhook's URL leads, in place of DNS and the tunnel. As it stands, by default. */
  readonly resolve?: (url: string) => string;
}

interface ManagementRequest {
  readonly method: string;
  /** With the base's path. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Answers one request in place of the service. */
export type Failure = (res: ServerResponse, req: IncomingMessage) => unknown;

export interface ManagementStandIn<Webhook> {
  /** For `baseUrl`. */
  readonly url: string;
  readonly apiKey: string;
  /** The webhooks of the service, including secrets. Push to it to add some. */
  readonly webhooks: Webhook[];
  /** All that arrived, the ones answered by `failNext` included. */
  readonly requests: readonly ManagementRequest[];
  /** `GET /webhooks/` and the like: `requests` as a test reads them. */
  readonly calls: readonly string[];
  /** Why each request that broke the contract was refused. */
  readonly violations: readonly string[];
  /** Lets the next requests fail, one by one in the order of the calls. */
  failNext(failure: Failure, times?: number): void;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  /** Sent as JSON; a string as plain text. */
  readonly body: unknown;
}

/** The differences between the services. */
export interface ManagementService<Webhook> {
  /** Below which all paths lie. */
  readonly basePath: string;
  readonly apiKey: string;
  isAuthorized(headers: IncomingHttpHeaders, apiKey: string): boolean;
  unauthorized(): Answer;
  badRequest(reason: string): Answer;
  tooManyRequests(): Answer;
  /** Undefined where there is no such path. `path` is below the base. */
  answer(method: string, path: string, body: unknown): Answer | undefined | Promise<Answer | undefined>;
  readonly webhooks: Webhook[];
}

const html = (status: number) =>
  `<!doctype html><html><body><h1>${status}</h1><p>The page's own words.</p></body></html>`;

const answerWith =
  (status: number, type: string, body: string, headers: Record<string, string> = {}): Failure =>
  (res) =>
    res.writeHead(status, { 'Content-Type': type, ...headers }).end(body);

/** The faults of the services, for `failNext`. */
export const failures = {
  json: (status: number, body: unknown, headers?: Record<string, string>) =>
    answerWith(status, 'application/json', JSON.stringify(body), headers),
  text: (status: number, body: string, headers?: Record<string, string>) =>
    answerWith(status, 'text/plain; charset=utf-8', body, headers),
  /** A proxy's page. */
  html: (status: number) => answerWith(status, 'text/html', html(status)),
  /** Vast.ai's usual 429: plain text without `Retry-After`. */
  tooFrequent: answerWith(429, 'text/plain', 'API requests too frequent endpoint threshold=2.0'),
  /** Its other one. */
  tooFrequentDetail: answerWith(429, 'application/json', '{"detail": "API requests too frequent"}'),
  /** Never answers. */
  hang: (() => {}) as Failure,
  /** Begins the answer and never ends it. */
  stall: ((res) => res.writeHead(200, { 'Content-Type': 'application/json' }).write('{"success": ')) as Failure,
  /** Closes the connection without an answer. */
  disconnect: ((res) => res.destroy()) as Failure,
  /** Breaks the answer off. */
  breakOff: ((res) => {
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' }).write('{"success": ');
    setImmediate(() => res.destroy());
  }) as Failure,
  garbage: answerWith(200, 'application/json', '{"success": tru'),
  /** An answer without an end, for as long as it is read. */
  endless: ((res) => {
    res.writeHead(200, { 'Content-Type': 'application/json' });
    const chunk = ' '.repeat(65_536);
    const write = () => {
      while (!res.destroyed && res.write(chunk));
    };
    res.on('drain', write);
    write();
  }) as Failure,
  redirect: (location: string) => answerWith(302, 'text/html', html(302), { Location: location }),
};

export async function startManagement<Webhook>(
  service: ManagementService<Webhook>,
  { rateLimit }: ManagementOptions,
): Promise<ManagementStandIn<Webhook>> {
  const requests: ManagementRequest[] = [];
  const violations: string[] = [];
  const failing: Failure[] = [];
  let times: number[] = [];

  const isTooFrequent = () => {
    if (!rateLimit) return false;
    const now = performance.now();
    times = times.filter((time) => now - time < rateLimit.perMs);
    return times.push(now) > rateLimit.calls;
  };

  const judge = async ({ method, path, headers, body }: ManagementRequest): Promise<Answer> => {
    if (!service.isAuthorized(headers, service.apiKey)) return service.unauthorized();
    if (isTooFrequent()) return service.tooManyRequests();
    if (body !== '' && !/^application\/json\b/.test(headers['content-type'] ?? '')) {
      return service.badRequest('the content type is not application/json');
    }
    let json: unknown;
    try {
      json = body === '' ? undefined : JSON.parse(body);
    } catch {
      return service.badRequest('the body is not JSON');
    }
    const answer = path.startsWith(`${service.basePath}/`)
      ? await service.answer(method, path.slice(service.basePath.length), json)
      : undefined;
    return answer ?? { status: 404, body: html(404) };
  };

  const server = createServer(async (req, res) => {
    const request = { method: req.method ?? '', path: req.url ?? '', headers: req.headers, body: await textOf(req) };
    requests.push(request);
    const failure = failing.shift();
    if (failure) return failure(res, req);
    const { status, body } = await judge(request);
    if (status === 400 || status === 404) violations.push(`${request.method} ${request.path}: ${JSON.stringify(body)}`);
    const isText = typeof body === 'string';
    const type = isText ? (body.startsWith('<') ? 'text/html' : 'text/plain') : 'application/json';
    res.writeHead(status, { 'Content-Type': type }).end(isText ? body : JSON.stringify(body));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}${service.basePath}`,
    apiKey: service.apiKey,
    webhooks: service.webhooks,
    requests,
    get calls() {
      return requests.map(({ method, path }) => `${method} ${path.slice(service.basePath.length)}`);
    },
    violations,
    failNext(failure, times = 1) {
      failing.push(...Array.from({ length: times }, () => failure));
    },
    async close() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** Why a webhook's URL is refused, or nothing. */
export function urlViolation(
  url: unknown,
  maxLength: number,
  { allowLoopback }: ManagementOptions,
): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return 'the URL is not a URL';
  if (url.length > maxLength) return 'the URL is too long';
  const { protocol, hostname, username, password } = new URL(url);
  if (username || password) return 'the URL has credentials';
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
  if (isLoopback) return allowLoopback ? undefined : 'the URL does not resolve to a public address';
  return protocol === 'https:' ? undefined : 'the URL is not https';
}

/** Why a body is refused that may have these fields and must have those, or nothing. */
export function fieldViolation(
  body: unknown,
  rules: Readonly<Record<string, (value: unknown) => string | boolean | undefined>>,
  needed: readonly string[],
): string | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return 'the body is not an object';
  for (const name of needed) if (!(name in body)) return `${name} is missing`;
  for (const [name, value] of Object.entries(body)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (!rule) return `${name} is not a field`;
    const violation = rule(value);
    if (violation !== undefined && violation !== true) return violation || `${name} is invalid`;
  }
  return undefined;
}

export const isListOf =
  (isValid: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.length > 0 && value.every(isValid);

export const isString = (value: unknown): boolean => typeof value === 'string';

/** Delivers as the services do: within 10 s, without following redirects. Returns the status, or 0 without an answer. */
export async function deliver(
  url: string,
  delivery: { readonly body: string; readonly headers: Readonly<Record<string, string>> },
  { resolve = (url) => url }: ManagementOptions,
): Promise<number> {
  try {
    const signal = AbortSignal.timeout(10_000);
    const response = await fetch(resolve(url), { method: 'POST', redirect: 'manual', signal, ...delivery });
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}
