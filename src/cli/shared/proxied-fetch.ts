import { readdirSync, readFileSync, statSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { isIP, isIPv4, type Socket } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import * as tls from 'node:tls';
import { CliError } from './errors.js';

type Setting = (name: string) => string | undefined;

/** What of `fetch` the sinks and the clients of the management APIs use. */
interface Init {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** The way that requests take from this machine, where the environment prescribes one. */
export interface Outbound {
  isProxied(url: URL): boolean;
  /** A request that is yet to be ended. Rejects when a proxy makes no connection. */
  request(url: URL, options: https.RequestOptions): Promise<http.ClientRequest>;
}

/**
 * Follows the variables of Python's `requests`: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in lower case
 * too, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` and `SSL_CERT_FILE`. Undefined where none is set. Node.js 20 has no such
 * setting of its own. Throws a `CliError`.
 */
export function outbound(setting: Setting): Outbound | undefined {
  const proxyFor = proxyChooser(setting);
  const secureContext = authorities(setting);
  if (proxyFor === undefined && secureContext === undefined) return undefined;
  return {
    isProxied: (url) => proxyFor?.(url) !== undefined,
    request: (url, options) => requestTo(url, options, proxyFor?.(url), secureContext),
  };
}

/** A `fetch` that goes this way. Undefined where none is prescribed. Redirects are not followed. Throws a `CliError`. */
export function proxiedFetch(setting: Setting): typeof fetch | undefined {
  const way = outbound(setting);
  if (way === undefined) return undefined;
  const send = async (input: string, init: Init = {}): Promise<Response> => {
    init.signal?.throwIfAborted();
    try {
      return await exchange(way, new URL(input), init);
    } catch (cause) {
      init.signal?.throwIfAborted();
      throw new TypeError('fetch failed', { cause });
    }
  };
  return send as typeof fetch;
}

/** Statuses whose `Response` may have no body. */
const bodiless = [204, 205, 304];

async function exchange(way: Outbound, url: URL, init: Init): Promise<Response> {
  const { method = 'GET', headers = {}, body, signal } = init;
  const response = await answerTo(await way.request(url, { method, headers, signal }), body);
  const { statusCode: status = 0 } = response;
  if (bodiless.includes(status)) response.resume();
  const stream = bodiless.includes(status) ? null : (Readable.toWeb(response) as ReadableStream<Uint8Array>);
  const received = Object.entries(response.headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): [string, string] => [name, each]),
  );
  return new Response(stream, { status, headers: received });
}

async function requestTo(
  url: URL,
  options: https.RequestOptions,
  proxy: URL | undefined,
  secureContext: Authorities,
): Promise<http.ClientRequest> {
  const direct: Options = { ...options, secureContext, agent: false };
  if (proxy === undefined) return clientOf(url).request(url, direct);
  if (url.protocol !== 'https:') {
    const headers = { ...options.headers, Host: url.host, ...authorization(proxy) };
    return clientOf(proxy).request(withoutCredentials(proxy), { ...direct, path: url.href, headers });
  }
  const socket = await tunnel(url, proxy, secureContext, options.signal);
  const host = hostOf(url);
  // TLS takes a host name here and no address. The certificate is compared with both.
  const createConnection = () => tls.connect({ socket, host, servername: isIP(host) ? '' : host, secureContext });
  // A connection of one's own is heeded without an agent only.
  return https.request(url, { ...options, agent: undefined, createConnection });
}

function answerTo(request: http.ClientRequest, body: string | undefined): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve).on('error', reject).end(body);
  });
}

/** A connection to the host of an address, made by the proxy. */
function tunnel(url: URL, proxy: URL, secureContext: Authorities, signal: AbortSignal | undefined): Promise<Socket> {
  const path = `${url.hostname}:${url.port || 443}`;
  const headers = { Host: path, ...authorization(proxy) };
  // For a proxy that speaks TLS itself.
  const options: Options = {
    method: 'CONNECT',
    path,
    headers,
    signal,
    secureContext,
    agent: false,
  };
  const request = clientOf(proxy).request(withoutCredentials(proxy), options);
  return new Promise((resolve, reject) => {
    request.on('connect', ({ statusCode = 0 }, socket: Socket) => {
      if (statusCode >= 200 && statusCode < 300) return resolve(socket);
      socket.destroy();
      reject(Object.assign(new Error('the proxy refused'), { code: `PROXY_ANSWERED_${statusCode}` }));
    });
    request.on('error', reject).end();
  });
}

function clientOf({ protocol }: URL): typeof http | typeof https {
  return protocol === 'https:' ? https : http;
}

/** Node.js would make an `Authorization` of them, which is for the host behind the proxy. */
function withoutCredentials(proxy: URL): URL {
  return Object.assign(new URL(proxy), { username: '', password: '' });
}

/** Without the brackets of an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function authorization({ username, password }: URL): Record<string, string> {
  if (!username && !password) return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'Proxy-Authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}

function proxyChooser(setting: Setting): ((url: URL) => URL | undefined) | undefined {
  const either = (name: string) => setting(name.toLowerCase()) ?? setting(name);
  const proxyOf = (name: string) => {
    const text = either(name) ?? either('ALL_PROXY');
    return text === undefined ? undefined : proxyUrl(name, text);
  };
  const proxies: Record<string, URL | undefined> = { 'https:': proxyOf('HTTPS_PROXY'), 'http:': proxyOf('HTTP_PROXY') };
  if (!Object.values(proxies).some(Boolean)) return undefined;
  const exceptions = (either('NO_PROXY') ?? '').split(/[\s,]+/).filter(Boolean);
  return (url) => (exceptions.some((exception) => isExempt(url, exception)) ? undefined : proxies[url.protocol]);
}

function proxyUrl(name: string, text: string): URL {
  const full = /^[a-z][\w+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : new URL('none:');
  // The address is not repeated: it may hold a password.
  if (!['http:', 'https:'].includes(url.protocol)) {
    throw new CliError(
      `${name} must be the http:// or https:// address of a proxy: others, such as SOCKS, are not known`,
    );
  }
  return url;
}

/** `*`, a host and all below it, with a port or without, an address, or a range of IPv4 addresses. */
function isExempt(url: URL, exception: string): boolean {
  if (exception === '*') return true;
  const host = hostOf(url);
  const [base = '', bits] = exception.split('/');
  if (bits !== undefined) return isIPv4(host) && isIPv4(base) && isInRange(host, base, Number(bits));
  if (isIP(exception)) return host === exception.toLowerCase();
  const [, name = '', port] = /^\[?(.+?)\]?(?::(\d+))?$/.exec(exception.replace(/^\*?\./, '').toLowerCase()) ?? [];
  if (port !== undefined && port !== (url.port || (url.protocol === 'https:' ? '443' : '80'))) return false;
  return host === name || host.endsWith(`.${name}`);
}

function isInRange(address: string, base: string, bits: number): boolean {
  const numberOf = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - bits);
  return Math.floor(numberOf(address) / size) === Math.floor(numberOf(base) / size);
}

type Authorities = tls.SecureContext | undefined;

/** Those of `tls.connect` are taken, too. */
type Options = https.RequestOptions & { readonly secureContext?: Authorities };

/**
 * Beside those that Node.js knows, so that a bundle of a company's own is enough. Made once, because reading some 150
 * certificates for each connection would take longer than everything else.
 */
function authorities(setting: Setting): Authorities {
  const names = ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE'];
  const given = names.flatMap((name) => certificatesIn(name, setting(name)));
  if (given.length === 0) return undefined;
  // What Node.js would have added by itself.
  const extra = certificatesIn('', setting('NODE_EXTRA_CA_CERTS'));
  try {
    return tls.createSecureContext({ ca: [...tls.rootCertificates, ...given, ...extra] });
  } catch (error) {
    const set = names.filter((name) => setting(name) !== undefined).join(', ');
    throw new CliError(`${set}: a certificate in it cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function certificatesIn(name: string, path: string | undefined): string[] {
  if (path === undefined) return [];
  try {
    const files = statSync(path).isDirectory() ? readdirSync(path).map((file) => join(path, file)) : [path];
    const texts = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file, 'utf8'));
    return texts.filter((text) => text.includes('-----BEGIN CERTIFICATE-----'));
  } catch (error) {
    throw new CliError(`${name}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
