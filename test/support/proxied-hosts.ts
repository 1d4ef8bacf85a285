import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ProxiedHosts {
  /** With the user name and password that the proxy asks for. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** The file of the certificate that all hosts share. */
  readonly certificate: string;
  /** The connections and requests that the proxy was asked for: `CONNECT hooks.slack.com:443`, `POST plain.example`. */
  readonly asked: readonly string[];
  /** What arrived at the hosts. */
  readonly arrived: readonly { readonly host: string; readonly url: string; readonly headers: IncomingHttpHeaders }[];
  /** Answers CONNECT with this status instead. */
  refuseWith: number | undefined;
  close(): Promise<void>;
}

/** A certificate of its own, with its key, for names and addresses. Lives for two days. */
export function certificateFor(
  folder: string,
  names: readonly string[],
): { readonly key: string; readonly cert: string } {
  const files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') };
  const alternatives = names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
  const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const subject = ['-subj', '/CN=stand-in', '-addext', `subjectAltName=${alternatives}`];
  execFileSync('openssl', [...kind, '-keyout', files.key, '-out', files.cert, ...subject], { stdio: 'ignore' });
  return files;
}

/**
 * A proxy on loopback, behind which the named hosts are stand-ins: by https with a certificate that nobody knows, and by
 * http. `hosts` maps their names to origins on loopback; a function gives the origin at the time of the request.
 */
export async function proxiedHosts(
  hosts: Readonly<Record<string, string | (() => string | undefined)>>,
): Promise<ProxiedHosts> {
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-proxy-'));
  const files = certificateFor(folder, ['localhost', ...Object.keys(hosts)]);
  const [user, password] = ['proxy-user', 'proxy pass:word@42'];
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const asked: string[] = [];
  const arrived: ProxiedHosts['arrived'][number][] = [];

  const pass = (req: IncomingMessage, res: ServerResponse, host: string, path: string) => {
    arrived.push({ host, url: path, headers: req.headers });
    const given = hosts[host];
    const origin = typeof given === 'function' ? given() : given;
    // As a tunnel whose service does not run.
    if (origin === undefined) return res.writeHead(502).end();
    const onward = request(new URL(path, origin), { method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    onward.on('error', () => res.writeHead(502).end());
    return req.pipe(onward);
  };
  const hostIn = (authority = '') => authority.replace(/:\d+$/, '');
  const secure = createTlsServer({ key: readFileSync(files.key), cert: readFileSync(files.cert) }, (req, res) =>
    pass(req, res, hostIn(req.headers.host), req.url ?? '/'),
  );
  const proxy = createServer((req, res) => {
    const url = new URL(req.url ?? '');
    asked.push(`${req.method} ${url.host}`);
    if (req.headers['proxy-authorization'] !== expected) return res.writeHead(407).end();
    const { 'proxy-authorization': _, ...headers } = req.headers;
    req.headers = headers;
    return pass(req, res, url.hostname, url.pathname + url.search);
  });
  proxy.on('connect', (req, socket) => {
    asked.push(`CONNECT ${req.url}`);
    const isKnown = Object.hasOwn(hosts, hostIn(req.url));
    const status = self.refuseWith ?? (req.headers['proxy-authorization'] !== expected ? 407 : isKnown ? 200 : 502);
    socket.on('error', () => {});
    if (status !== 200) return socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
    const onward = connect(portOf(secure), '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    onward.on('error', () => {}).on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    return onward.pipe(socket).pipe(onward);
  });
  for (const server of [secure, proxy]) await once(server.listen(0, '127.0.0.1'), 'listening');
  const self: ProxiedHosts = {
    url: `http://${user}:${encodeURIComponent(password)}@127.0.0.1:${portOf(proxy)}`,
    user,
    password,
    certificate: files.cert,
    asked,
    arrived,
    refuseWith: undefined,
    async close() {
      for (const server of [secure, proxy]) {
        server.close();
        server.closeAllConnections();
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return self;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
