import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createSecureServer,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type IdempotencyStore, memoryStore, type Outcome, vastWebhook } from '../../src/index.js';
import { vastWebhook as koaVastWebhook } from '../../src/koa.js';
import type { WebhookOptions } from '../../src/options.js';
import { koas, nowMs, secret, signed } from '../support/adapters.js';

type Listener = (req: Http2ServerRequest, res: Http2ServerResponse) => void;
/** Answers with a status, or throws. */
type Handler = (vast: unknown) => Promise<number>;
interface Form {
  make(options: WebhookOptions, handler: Handler): { listener: Listener; hook: { close(): Promise<void> } };
}

const path = '/vast/webhooks';

const forms: Record<string, Form> = {
  'in front of a handler': {
    make(options, handler) {
      const hook = vastWebhook(secret, { path, ...options });
      const behind = async (req: { vast?: unknown }, res: Http2ServerResponse) => {
        try {
          const status = await handler(req.vast);
          if (status >= 500) throw new Error('failed');
          res.statusCode = status;
        } catch {
          // Which HTTP/2 does not keep for a stream that is gone.
          res.writeHead(500);
        }
        res.end();
      };
      const listener: Listener = (req, res) => hook(req as never, res as never, () => void behind(req as never, res));
      return { listener, hook };
    },
  },
  ...Object.fromEntries(
    Object.entries(koas).map(([version, Koa]): [string, Form] => [
      version,
      {
        make(options, handler) {
          const hook = koaVastWebhook(secret, options);
          const app = new Koa();
          app.silent = true;
          app.use(hook as never);
          app.use(async (ctx) => {
            ctx.status = await handler((ctx.state as { vast?: unknown }).vast);
          });
          return { listener: app.callback() as unknown as Listener, hook };
        },
      },
    ]),
  ),
};

let folder: string;
let tls: { key: Buffer; cert: Buffer };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'http2-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name)) as [string, string];
  const names = ['-subj', '/CN=localhost', '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...names], {
    stdio: 'ignore',
  });
  tls = { key: readFileSync(key), cert: readFileSync(cert) };
});

afterAll(() => rmSync(folder, { recursive: true }));

describe.each(Object.entries(forms))('HTTP/2, %s', (_name, form) => {
  describe.each(['without TLS', 'with TLS'])('%s', (mode) => {
    /** `before`: the first middleware, which may call the next one later. */
    async function serve(options: WebhookOptions, handler: Handler, before = (go: () => void) => go()) {
      const outcomes: Outcome[] = [];
      const { listener: inner, hook } = form.make(
        { now: () => nowMs, onOutcome: (outcome) => outcomes.push(outcome), onError() {}, ...options },
        handler,
      );
      const listener: Listener = (req, res) => before(() => inner(req, res));
      const server = mode === 'with TLS' ? createSecureServer(tls, listener) : createServer(listener);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const scheme = mode === 'with TLS' ? 'https' : 'http';
      const session = connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false });
      await once(session, 'connect');
      onTestFinished(() => {
        session.destroy();
        server.close();
      });
      return { session, hook, outcomes };
    }

    it('accepts a delivery, and rejects a forged one', async () => {
      const handled: unknown[] = [];
      const { session, outcomes } = await serve({}, async (vast) => {
        handled.push(vast);
        return 204;
      });
      expect(await send(session, signed({}, { key: 'forged' }))).toBe(401);
      expect(handled).toEqual([]);
      expect(await send(session, signed())).toBe(204);
      expect(handled).toHaveLength(1);
      expect(outcomes.map(({ status }) => status)).toEqual([401, 204]);
    });

    it.each([
      ['a handler that fails then is called again', [500, 204]],
      ['a handler that has done its work is not', [204]],
    ])('a reset while the handler works is no answer: %s', async (_, statuses) => {
      const release: ((status: number) => void)[] = [];
      const { session, hook, outcomes } = await serve(
        {},
        () => new Promise<number>((resolve) => release.push(resolve)),
      );
      const delivery = signed();
      const stream = open(session, delivery);
      await vi.waitFor(() => expect(release).toHaveLength(1));
      await reset(stream);
      // The answer, if it took the reset for one, would be here by now: another stream was served meanwhile.
      expect(await send(session, signed({}, { key: 'forged' }))).toBe(401);
      expect(outcomes.map(({ status }) => status)).toEqual([401]);
      const retry = send(session, delivery);
      expect(await retry).toBe(503);
      release[0]?.(statuses[0] as number);
      await vi.waitFor(() => expect(outcomes).toHaveLength(3));
      const last = send(session, delivery);
      if (statuses.length > 1) {
        await vi.waitFor(() => expect(release).toHaveLength(2));
        release[1]?.(204);
      }
      expect(await last).toBe(204);
      expect(release).toHaveLength(statuses.length);
      await hook.close();
    });

    it('a reset before the middleware is called is reported as such', async () => {
      let goOn: (() => void) | undefined;
      const { session, hook, outcomes } = await serve(
        {},
        async () => 204,
        (go) => {
          goOn ??= go;
          if (goOn !== go) go();
        },
      );
      const stream = open(session, signed());
      await vi.waitFor(() => expect(goOn).toBeDefined());
      await reset(stream);
      expect(await send(session, signed())).toBe(204);
      goOn?.();
      await hook.close();
      expect(outcomes.map(({ status, error }) => [status, (error as { code?: string } | undefined)?.code])).toEqual([
        [204, undefined],
        [0, 'aborted'],
      ]);
    });

    it('a reset while the store claims is settled, and close() resolves', async () => {
      let grant: () => void = () => {};
      const inner = memoryStore();
      const store: IdempotencyStore = {
        renew: inner.renew.bind(inner),
        delivered: inner.delivered.bind(inner),
        complete: inner.complete.bind(inner),
        release: inner.release.bind(inner),
        async claim(...args) {
          await new Promise<void>((resolve) => {
            grant = resolve;
          });
          return inner.claim(...args);
        },
      };
      let calls = 0;
      const { session, hook, outcomes } = await serve({ store }, async () => {
        calls++;
        return 204;
      });
      const stream = open(session, signed());
      await vi.waitFor(() => expect(grant).not.toBe(undefined));
      await vi.waitFor(() => expect(grant.name).toBe(''));
      await reset(stream);
      expect(await send(session, signed({}, { key: 'forged' }))).toBe(401);
      grant();
      await hook.close();
      expect(calls).toBe(1);
      expect(outcomes).toHaveLength(2);
    });
  });
});

describe('HTTP/2: a target that only another parser takes for the endpoint', () => {
  it.each([
    // The protocol asks for a slash at the start of the path only with the schemes that it knows.
    ['a path without its slash', { ':scheme': 'x', ':path': 'vast/webhooks' }],
    ['a no-break space before the path', { ':scheme': 'x', ':path': '\u00a0/vast/webhooks' }],
    ['a path with a scheme and no slashes', { ':scheme': 'x', ':path': 'http:vast/webhooks' }],
    ['a host with a path', { ':scheme': 'http', ':path': '/other', host: 'h/vast/webhooks?' }],
  ])('%s', async (_, headers) => {
    let reached = 0;
    const hook = vastWebhook(secret, { path, onOutcome() {} });
    const server = createServer((req, res) => {
      hook(req as never, res as never, () => {
        const readings = [
          () => new URL(req.url, 'http://service.test'),
          () => new URL(req.url.trim(), 'http://service.test'),
          () => new URL(`${req.headers[':scheme']}://${req.headers[':authority'] ?? req.headers.host}${req.url}`),
        ];
        for (const read of readings) {
          try {
            if (read().pathname === path) reached++;
          } catch {}
        }
        res.end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => {
      session.destroy();
      server.close();
    });
    const stream = session.request({ ':method': 'POST', ...headers });
    stream.on('error', () => {});
    stream.end('{"forged":true}');
    const status = await once(stream, 'response').then(
      ([{ ':status': status }]) => status,
      () => 'refused by HTTP/2',
    );
    expect(reached).toBe(0);
    expect([401, 'refused by HTTP/2']).toContain(status);
  });
});

function open(session: ClientHttp2Session, { body, headers }: ReturnType<typeof signed>): ClientHttp2Stream {
  const stream = session.request({ ':method': 'POST', ':path': path, ...Object.fromEntries(headers) });
  stream.on('error', () => {});
  stream.end(body);
  return stream;
}

async function send(session: ClientHttp2Session, message: ReturnType<typeof signed>): Promise<number | undefined> {
  const stream = open(session, message);
  const [headers] = await once(stream, 'response');
  stream.resume();
  return headers[':status'];
}

async function reset(stream: ClientHttp2Stream): Promise<void> {
  stream.close(constants.NGHTTP2_CANCEL);
  if (!stream.closed || !stream.destroyed) await once(stream, 'close');
}
