import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { WebhookOptions } from '../../src/index.js';
import { keepRawBody, vastWebhook } from '../../src/index.js';
import { failures, startVastManagement } from '../support/management-stand-in.js';
import { workplace } from './call.js';
import { listen } from './listen.js';

interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'problem' | 'skipped';
  readonly detail: string;
  readonly cure?: string;
}

const secret = 'doctor-secret-0123456789abcdef0123456789';
const env = { VAST_WEBHOOK_SECRET: secret };
const quiet: WebhookOptions = { onOutcome() {}, onError() {} };

/** A service as it should be. */
function service(options: WebhookOptions = {}, of: Parameters<typeof vastWebhook>[0] = secret): RequestListener {
  return express().use(vastWebhook(of, { sinks: [function audit() {}], ...quiet, ...options }));
}

async function examine(args: readonly string[], variables: Record<string, string> = env) {
  const place = workplace(secret, ...Object.values(variables));
  const { status, out, err } = await place.call(['doctor', '--json', ...args], { env: variables });
  const findings = JSON.parse(out) as Finding[];
  const problems = findings.filter((finding) => finding.status === 'problem');
  expect(status).toBe(problems.length > 0 ? 1 : 0);
  for (const { cure } of problems) expect(cure).toBeTruthy();
  const of = (check: string) => findings.find((finding) => finding.check === check);
  return { findings, problems, of, err, checks: problems.map(({ check }) => check) };
}

/** Looks at an endpoint on loopback alone. */
async function examineEndpoint(handler: RequestListener, args: readonly string[] = [], variables = env) {
  const url = `${await listen(handler)}/vast/webhooks`;
  return { url, ...(await examine(['--url', url, '--local', ...args], variables)) };
}

describe('an endpoint that is as it should be', () => {
  it('passes every check, without an API key', async () => {
    const { findings, err, url } = await examineEndpoint(service());
    expect(Object.fromEntries(findings.map(({ check, status }) => [check, status]))).toEqual({
      secret: 'ok',
      'api-key': 'skipped',
      webhook: 'skipped',
      types: 'skipped',
      preferences: 'skipped',
      catalogue: 'skipped',
      url: 'ok',
      address: 'skipped',
      reach: 'ok',
      redirect: 'ok',
      proxy: 'ok',
      unsigned: 'ok',
      forged: 'ok',
      signed: 'ok',
      duplicate: 'ok',
      clock: 'ok',
    });
    expect(err).toBe(`Sending webhook_test events to ${url}.\n`);
  });

  it('is sent nothing but webhook_test, of which one is genuine', async () => {
    const types: unknown[] = [];
    const { checks } = await examineEndpoint(service({ onOutcome: ({ type, result }) => types.push([result, type]) }));
    expect(checks).toEqual([]);
    expect(types).toEqual([
      ['rejected', undefined],
      ['rejected', undefined],
      ['accepted', 'webhook_test'],
      ['duplicate', 'webhook_test'],
    ]);
  });

  it('passes with a function for the secret, too', async () => {
    const { checks } = await examineEndpoint(service({}, () => secret));
    expect(checks).toEqual([]);
  });

  it('is shown as a table to people', async () => {
    const place = workplace(secret);
    const url = `${await listen(service())}/vast/webhooks?token=query-token`;
    place.secrets.push('query-token');
    const { status, out } = await place.call(['doctor', '--url', url, '--local'], { env });
    expect(out).toMatch(/^ok {7}secret {7}it is in VAST_WEBHOOK_SECRET of the environment, and looks clean$/m);
    expect(out).toMatch(/^ok {7}signed {7}a signed delivery gets 204/m);
    expect(status).toBe(0);
  });
});

const answer =
  (status: number, body = '', headers: Record<string, string> = {}): RequestListener =>
  (_req, res) =>
    res.writeHead(status, headers).end(body);
const page = (status: number, server: string, headers: Record<string, string> = {}) =>
  answer(status, `<html><h1>${status}</h1></html>`, { 'Content-Type': 'text/html', Server: server, ...headers });

describe('what is in front of the service', () => {
  it.each<[string, RequestListener, string, RegExp, RegExp]>([
    [
      'a redirect',
      answer(308, '', { Location: 'https://www.example.com/vast/webhooks?secret=x' }),
      'redirect',
      /308 to https:\/\/www\.example\.com\/vast\/webhooks\?… *,/,
      /register the URL/,
    ],
    [
      'a login',
      answer(302, '', { Location: '/login?next=/vast' }),
      'redirect',
      /302/,
      /exempt the path from the login/,
    ],
    [
      'a firewall',
      page(403, 'cloudflare', { 'cf-mitigated': 'challenge' }),
      'proxy',
      /403 with a web page \(server: cloudflare, cf-mitigated\)/,
      /without a challenge/,
    ],
    ['a small limit for bodies', page(413, 'nginx/1.24.0'), 'proxy', /413.*server: nginx/, /client_max_body_size/],
    ['a static file', page(405, 'nginx/1.24.0'), 'proxy', /405/, /take POST/],
    ['a password', answer(401, '', { 'WWW-Authenticate': 'Basic realm="x"' }), 'proxy', /401/, /password/],
    ['no service behind', page(502, 'nginx'), 'proxy', /502/, /does not reach the service/],
    ['a web page', page(200, 'Netlify'), 'proxy', /200 with a web page/, /path/],
    ['another path', express(), 'proxy', /there is nothing at \/vast\/webhooks/, /compare the path/],
    [
      'a tunnel that has ended',
      answer(404, 'Tunnel not found', { 'ngrok-error-code': 'ERR_NGROK_3200' }),
      'proxy',
      /ngrok-error-code/,
      /path/,
    ],
    ['a connection that is cut', (req) => req.destroy(), 'reach', /ECONNRESET/, /proxy/],
  ])('%s', async (_, handler, check, detail, cure) => {
    const { checks, of } = await examineEndpoint(handler);
    expect(checks).toEqual([check]);
    expect(of(check)?.detail).toMatch(detail);
    expect(of(check)?.cure).toMatch(cure);
    expect(of('signed')?.status).toBe('skipped');
  });

  it('nothing, since the service does not run', async () => {
    const { checks, of } = await examine(['--url', 'http://127.0.0.1:1/vast/webhooks', '--local']);
    expect(checks).toEqual(['reach']);
    expect(of('reach')?.detail).toContain('ECONNREFUSED');
  });

  it('a port that does not speak TLS', async () => {
    const url = (await listen(service())).replace('http:', 'https:');
    const { of } = await examine(['--url', url, '--local']);
    expect(of('reach')?.detail).toMatch(/does not speak TLS/);
  });

  it.skipIf(!hasOpenssl())('a certificate that nobody trusts', async () => {
    const place = workplace();
    const [key, cert] = [place.path('key.pem'), place.path('cert.pem')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        key,
        '-out',
        cert,
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
      ],
      { stdio: 'ignore' },
    );
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, service());
    onTestFinished(() => void server.close());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { of } = await examine([
      '--url',
      `https://localhost:${(server.address() as AddressInfo).port}/vast/webhooks`,
      '--local',
    ]);
    expect(of('reach')?.detail).toMatch(/self-signed/);
  });
});

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Answers as a service that has been written by hand. */
const byHand = (answerTo: (req: IncomingMessage, res: ServerResponse) => unknown): RequestListener => {
  const app = express();
  app.post('/vast/webhooks', (req, res) => void answerTo(req, res));
  return app;
};

describe('what the service does', () => {
  it.each<[string, RequestListener, string[], RegExp, RegExp]>([
    [
      'has another secret',
      service({}, 'another-secret'),
      ['signed'],
      /401: the endpoint has another secret/,
      /restart/,
    ],
    [
      'takes what is not signed',
      byHand((_req, res) => res.writeHead(200).end('ok')),
      ['unsigned', 'forged'],
      /without a signature gets 200/,
      /verify the signature/,
    ],
    [
      'looks only whether there is a signature',
      byHand((req, res) => res.writeHead(req.headers['x-vast-signature-256'] ? 200 : 401).end()),
      ['forged'],
      /another secret gets 200/,
      /verify the signature/,
    ],
    [
      'parses the body first',
      express().use(express.json(), vastWebhook(secret, { sinks: [function audit() {}], ...quiet })),
      ['forged', 'signed'],
      /500 raw_body_unavailable: a body parser/,
      /keepRawBody/,
    ],
    ['has no handler', express().use(vastWebhook(secret, quiet)), ['signed'], /404/, /.+/],
    [
      'has a sink that fails',
      service({
        sinks: [
          function slack() {
            throw new Error('no');
          },
        ],
      }),
      ['signed'],
      /502 sink_failed \(slack: error\)/,
      /log/,
    ],
    [
      'takes too long',
      service({
        deadlineMs: 50,
        sinks: [() => new Promise<void>((resolve) => setTimeout(resolve, 300))].map((deliver) => ({
          name: 'slow',
          deliver,
        })),
      }),
      ['signed'],
      /504 deadline_exceeded/,
      /queue/,
    ],
    ['has a limit that is too small', service({ limit: 100 }), ['forged', 'signed'], /413 payload_too_large/, /limit/],
    ['is refused by a store', service({ store: brokenStore() }), ['signed'], /503 store_unavailable/, /store/],
    [
      'fails',
      byHand((req, res) => res.writeHead(req.headers['x-vast-signature-256'] ? 500 : 401).end()),
      ['forged', 'signed'],
      /500/,
      /log/,
    ],
  ])('%s', async (_, handler, expected, detail, cure) => {
    const { checks, problems } = await examineEndpoint(handler);
    expect(checks).toEqual(expected);
    expect(problems.some((finding) => detail.test(finding.detail) && cure.test(finding.cure ?? ''))).toBe(true);
  });

  it('keeps the bytes for a middleware behind the parser', async () => {
    const app = express().use(
      express.json({ verify: keepRawBody }),
      vastWebhook(secret, { sinks: [function audit() {}], ...quiet }),
    );
    expect((await examineEndpoint(app)).checks).toEqual([]);
  });

  it('refuses a duplicate', async () => {
    let taken = 0;
    const app = express();
    app.post('/vast/webhooks', vastWebhook(secret, quiet), (_req, res) => void res.sendStatus(204));
    const { checks, of } = await examineEndpoint((req, res) => {
      if (req.headers['x-vast-signature-256'] && ++taken === 3) res.writeHead(409).end();
      else app(req, res);
    });
    expect(checks).toEqual(['duplicate']);
    expect(of('duplicate')?.cure).toContain('2xx');
  });

  it('never answers', async () => {
    const { checks, of } = await examineEndpoint(() => {}, ['--timeout', '0.2']);
    expect(checks).toEqual(['reach']);
    expect(of('reach')?.detail).toContain('timeout');
  });

  it('never answers to what is signed', async () => {
    const app = express().use(vastWebhook(secret, quiet));
    app.post('/vast/webhooks', () => {});
    const { checks, of } = await examineEndpoint(app, ['--timeout', '0.3']);
    expect(checks).toEqual(['signed']);
    expect(of('signed')?.detail).toContain('no answer in time');
  });
});

function brokenStore(): NonNullable<WebhookOptions['store']> {
  const fail = () => {
    throw new Error('down');
  };
  return { claim: fail, renew: fail, delivered: fail, complete: fail, release: fail };
}

describe('the clocks', () => {
  it.each([
    ['ahead', 1_000],
    ['behind', -1_000],
  ])('the endpoint is %s, and so refuses what is genuine', async (word, seconds) => {
    const now = () => Date.now() + seconds * 1_000;
    const app = service({ now });
    const { checks, of } = await examineEndpoint((req, res) => {
      res.setHeader('Date', new Date(now()).toUTCString());
      app(req, res);
    });
    expect(checks).toEqual(['signed', 'clock']);
    expect(of('signed')?.detail).toMatch(new RegExp(`(999|1000|1001) s ${word}`));
    expect(of('clock')?.detail).toMatch(/this machine's clock is \d+ s .* the endpoint's/);
  });

  it("Vast.ai's differs", async () => {
    const api = await startVastManagement({ allowLoopback: true });
    onTestFinished(() => api.close());
    const app = service();
    const url = `${await listen(app)}/vast/webhooks`;
    const proxy = await listen((_req, res) => {
      res.setHeader('Date', new Date(Date.now() + 120_000).toUTCString());
      res.setHeader('Content-Type', 'application/json');
      res.end(JSON.stringify({ success: true, webhooks: [] }));
    });
    const { of } = await examine(['--url', url, '--local', '--base-url', proxy], { ...env, VAST_API_KEY: api.apiKey });
    expect(of('clock')?.detail).toMatch(/the endpoint's clock is 1[12]\d s behind Vast\.ai's/);
  });
});

describe('the URL', () => {
  it.each([
    ['http', 'http://127.0.0.1:1/', ['url', 'address', 'reach'], /not https/],
    ['loopback', 'https://127.0.0.1:1/', ['address', 'reach'], /loopback/],
    ['loopback by name', 'https://localhost:1/', ['address', 'reach'], /loopback/],
    ['loopback in IPv6', 'https://[::1]:1/', ['address', 'reach'], /loopback/],
    ['a mapped address', 'https://[::ffff:127.0.0.1]:1/', ['address', 'reach'], /loopback/],
    ['a user name', 'https://me:pw@localhost:1/', ['url', 'address', 'reach'], /user name/],
    ['a name that does not resolve', 'https://nothing.invalid/', ['address'], /does not resolve/],
  ])('%s', async (_, url, expected, detail) => {
    const { checks, problems } = await examine(['--url', url, '--timeout', '3']);
    expect(checks).toEqual(expected);
    expect(problems.some((finding) => detail.test(finding.detail))).toBe(true);
  });

  it('says where an address is that is not public', async () => {
    const { notPublic } = await import('../../src/cli/doctor/address.js');
    const where = (addresses: string[]) => addresses.map((address) => notPublic(address)?.split(/[ ,(]/)[1]);
    expect(where(['10.1.2.3', '172.31.0.1', '192.168.1.1', 'fd00::1'])).toEqual(Array(4).fill('private'));
    expect(notPublic('100.64.0.1')).toContain('CGNAT');
    expect([notPublic('169.254.1.1'), notPublic('fe80::1')]).toEqual(['link-local', 'link-local']);
    expect(notPublic('203.0.113.9')).toContain('reserved');
    expect(['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111'].map(notPublic)).toEqual(
      Array(4).fill(undefined),
    );
  });
});

describe('the secret', () => {
  it.each([
    ['missing', undefined, /there is none/],
    ['with a newline', `${secret}\n`, /white space around/],
    ['in quotes', `"${secret}"`, /quotes/],
    ["another service's", `whsec_${secret}`, /whsec_/],
    ['a URL', 'https://hooks.example.com', /URL/],
  ])('%s', async (_, value, detail) => {
    const url = `${await listen(service({}, value?.trim() || secret))}/vast/webhooks`;
    const { of } = await examine(['--url', url, '--local'], value === undefined ? {} : { VAST_WEBHOOK_SECRET: value });
    expect(of('secret')).toMatchObject({ status: 'problem', detail: expect.stringMatching(detail) });
    if (value === undefined) expect(of('signed')?.status).toBe('skipped');
  });
});

describe('the account', () => {
  async function registered(options: Parameters<typeof startVastManagement>[0] = {}) {
    const api = await startVastManagement({ allowLoopback: true, ...options });
    onTestFinished(() => api.close());
    const url = `${await listen(service())}/vast/webhooks`;
    const webhook = {
      id: 7,
      user_id: 123,
      name: 'renting' as string | null,
      webhook_url: url,
      event_types: ['client:outbid'],
      created_at: 1_788_000_000,
      updated_at: 1_788_000_000,
      webhook_secret: secret,
    };
    api.webhooks.push(webhook);
    const examineIt = (...args: string[]) =>
      examine(['--local', '--base-url', api.url, ...args], { ...env, VAST_API_KEY: api.apiKey });
    return { api, url, webhook, examineIt };
  }

  it('is in order, and its only webhook is looked at', async () => {
    const { examineIt } = await registered({ newTypes: ['client:gpu_melted'] });
    const { checks, of, findings } = await examineIt();
    expect(checks).toEqual([]);
    expect(findings.filter(({ status }) => status === 'skipped').map(({ check }) => check)).toEqual(['address']);
    expect(of('webhook')?.detail).toContain('7 "renting" is registered');
    expect(of('catalogue')?.detail).toContain('newer than this version, and delivered all the same: client:gpu_melted');
    expect(of('types')?.detail).toContain('1 of 32 types');
  });

  it.each(['--name=renting', '--name=7'])('finds the webhook by %s', async (flag) => {
    const { api, webhook, examineIt } = await registered();
    api.webhooks.push({ ...webhook, id: 8, name: 'hosting', webhook_url: 'https://example.com/' });
    expect((await examineIt(flag)).of('webhook')?.detail).toContain('7 "renting"');
  });

  it('does not guess which of two is meant', async () => {
    const { api, webhook, examineIt } = await registered();
    api.webhooks.push({ ...webhook, id: 8, name: 'hosting' });
    expect((await examineIt()).of('webhook')).toMatchObject({ status: 'problem', detail: 'there are several, 7, 8' });
  });

  it.each<
    [string, (webhook: { name: string | null; webhook_url: string; event_types: string[] }) => void, string[], RegExp]
  >([
    [
      'another URL',
      (webhook) => {
        webhook.webhook_url = 'https://example.com/other';
      },
      ['webhook'],
      /none has this URL/,
    ],
    [
      'a URL with one more slash',
      (webhook) => {
        webhook.webhook_url += '/';
      },
      ['webhook'],
      /but one has/,
    ],
    [
      'no types',
      (webhook) => {
        webhook.event_types = [];
      },
      ['types'],
      /no type/,
    ],
    [
      'a type that is gone',
      (webhook) => {
        webhook.event_types = ['client:gone'];
      },
      ['types'],
      /client:gone/,
    ],
  ])('has a webhook with %s', async (_, change, expected, detail) => {
    const { webhook, examineIt, url } = await registered();
    change(webhook);
    const { checks, problems } = await examineIt('--url', url);
    expect(checks).toEqual(expected);
    expect(problems[0]?.detail).toMatch(detail);
  });

  it('has a webhook of that name with another URL', async () => {
    const { webhook, examineIt, url } = await registered();
    webhook.webhook_url = 'https://example.com/replace-after-tunnel';
    const { of } = await examineIt('--url', url, '--name', 'renting');
    expect(of('webhook')?.cure).toBe(`vast-webhook update 7 --url ${url}`);
  });

  it('has no webhook', async () => {
    const { api, examineIt } = await registered();
    api.webhooks.length = 0;
    const { of } = await examineIt();
    expect(of('webhook')?.cure).toContain('vast-webhook create');
    expect(of('signed')).toBeUndefined();
  });

  it('holds back what its preferences switch off', async () => {
    const { api, examineIt } = await registered();
    Object.assign(api.preferences, { client: { outbid: { email: true, webhooks: false } } });
    const { checks, of } = await examineIt();
    expect(checks).toEqual(['preferences']);
    expect(of('preferences')?.detail).toContain('client:outbid');
  });

  it.each([
    [
      'a key that is wrong',
      (api: { failNext(f: unknown): void }) =>
        api.failNext(failures.json(401, { success: false, error: 'auth_error', msg: 'Invalid user key' })),
      /401.*Invalid user key/,
      /make a key/,
    ],
    ['HTML', (api: { failNext(f: unknown): void }) => api.failNext(failures.html(200)), /HTML/, /--base-url/],
  ])('answers %s', async (_, fail, detail, cure) => {
    const { api, examineIt, url } = await registered();
    fail(api as never);
    const { checks, of } = await examineIt('--url', url);
    expect(checks).toEqual(['api-key']);
    expect(of('api-key')?.detail).toMatch(detail);
    expect(of('api-key')?.cure).toMatch(cure);
    expect(of('signed')?.status).toBe('ok');
  });

  it('is asked too often', async () => {
    const { api, examineIt, url } = await registered();
    api.failNext(failures.tooFrequent, 4);
    const { checks, of } = await examineIt('--url', url);
    expect(checks).toEqual(['api-key']);
    expect(of('api-key')?.detail).toContain('429');
  });

  it('has a key without the scope', async () => {
    const { examineIt, url } = await registered({ missingScope: 'user_read' });
    const { of } = await examineIt('--url', url);
    expect(of('api-key')).toMatchObject({ status: 'problem', detail: expect.stringContaining('user_read') });
  });
});

describe('bad input', () => {
  it.each([
    [['doctor'], /give the endpoint with --url/],
    [['doctor', '--url', 'example.com'], /--url takes/],
    [['doctor', '--url', 'http://localhost', '--timeout', 'soon'], /number above 0/],
    [['doctor', '--ulr', 'http://localhost'], /--url/],
  ])('%j', async (args, message) => {
    const { status, err } = await workplace().call(args, { env });
    expect(err).toMatch(message);
    expect(status).toBe(2);
  });

  it('ends soon when it is interrupted', async () => {
    const { fakeIo } = await import('../support/io.js');
    const { run } = await import('../../src/cli/program.js');
    const url = await listen(() => {});
    const io = fakeIo({ cwd: workplace().folder, env });
    setTimeout(() => io.interrupt(), 300);
    expect(await run(['doctor', '--url', url, '--local', '--timeout', '60'], io, '0.0.0')).toBe(1);
  });
});
