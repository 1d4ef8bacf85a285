import { readFileSync } from 'node:fs';
import { readFile, stat, symlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { openTunnel } from '../../src/cli/dev/tunnel.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { failures, startVastManagement } from '../support/management-stand-in.js';
import { unmarked } from './call.js';
import { connectTunnel, type DevSession, send, shownDeliveries, startDev } from './dev-session.js';

const secret = 'a-secret-of-the-environment';
const tunnelOrigin = 'https://made-up-words.trycloudflare.com';
const node = JSON.stringify(process.execPath);
/** A tunnel which goes on until it is ended. */
const tunnelPrinting = (text: string, stream = 'stdout') =>
  `${node} -e 'process.${stream}.write(${JSON.stringify(text)}); setInterval(() => {}, 1e6)'`;

describe('dev with an API key and a tunnel', () => {
  it('makes the webhook, keeps its secret, and has a test sent that arrives', async () => {
    const { session, api } = await register();
    await session.printed(/accepted 204 webhook_test/);
    await session.printed(/the test has arrived/);
    const [webhook] = api.webhooks;
    expect(webhook).toMatchObject({ name: 'vast-webhook dev', webhook_url: `${tunnelOrigin}/vast/webhooks` });
    expect(webhook?.event_types).toContain('client:outbid');
    expect(webhook?.event_types.length).toBeGreaterThan(30);
    expect(unmarked(await envOf(session))).toBe(`VAST_WEBHOOK_SECRET=${webhook?.webhook_secret}\n`);
    expect((await stat(join(session.cwd, '.env'))).mode & 0o777).toBe(0o600);
    expect(api.violations).toEqual([]);
  });

  it('prints neither the secret nor the key', async () => {
    const { session, api } = await register();
    await session.printed(/the test has arrived/);
    const page = await send(await session.pageUrl());
    const shown = JSON.stringify(await shownDeliveries(session, 1));
    for (const text of [session.io.out, session.io.err, page.body, shown]) {
      expect(text).not.toContain(api.webhooks[0]?.webhook_secret);
      expect(text).not.toContain(api.apiKey);
    }
  });

  it('points the webhook of that name here when there is one, and leaves its types alone', async () => {
    const { session, api } = await register({
      webhook: { name: 'mine', event_types: ['client:outbid'], webhook_secret: secret },
      args: ['--name', 'mine'],
      env: { VAST_WEBHOOK_SECRET: secret },
    });
    await session.printed(/the test has arrived/);
    expect(api.webhooks).toHaveLength(1);
    expect(api.webhooks[0]).toMatchObject({
      webhook_url: `${tunnelOrigin}/vast/webhooks`,
      event_types: ['client:outbid'],
      webhook_secret: secret,
    });
  });

  it('says how many types a new one has', async () => {
    const { session } = await register({ args: ['--types', 'outbid'] });
    await session.printed(/leads to \S+, with 1 type\n/);
  });

  it('subscribes to the types that are asked for', async () => {
    const { session, api } = await register({ args: ['--types', 'instance_*,client:outbid'] });
    await session.printed(/the test has arrived/);
    expect(api.webhooks[0]?.event_types).toContain('client:instance_started');
    expect(api.webhooks[0]?.event_types).toContain('client:outbid');
    expect(api.webhooks[0]?.event_types).not.toContain('client:low_credit');
  });

  it('gets the webhook another secret when nobody has it', async () => {
    const { session, api } = await register({ webhook: { webhook_secret: 'forgotten' } });
    await session.printed(/the test has arrived/);
    expect(api.webhooks[0]?.webhook_secret).not.toBe('forgotten');
    expect(await envOf(session)).toContain(`VAST_WEBHOOK_SECRET=${api.webhooks[0]?.webhook_secret}\n`);
  });

  it('gets it another one when the one here is not the right one, which it does not overwrite', async () => {
    const { session, api } = await register({
      webhook: { webhook_secret: 'the-right-one' },
      file: `VAST_WEBHOOK_SECRET=${secret}\n`,
    });
    await session.printed(/rejected 401 .*signature_mismatch/);
    await session.printed(/the test has arrived/);
    const renewed = api.webhooks[0]?.webhook_secret;
    expect(renewed).not.toBe('the-right-one');
    expect(unmarked(await envOf(session))).toBe(`VAST_WEBHOOK_SECRET=${secret}\nVAST_WEBHOOK_DEV_SECRET=${renewed}\n`);
  });

  it('leaves the secret of another webhook that it has made before', async () => {
    const before = `VAST_WEBHOOK_SECRET=${secret}\nVAST_WEBHOOK_DEV_SECRET=of-another-webhook\n`;
    const { session, api } = await register({ webhook: { webhook_secret: 'the-right-one' }, file: before });
    await session.printed(/the test has arrived/);
    const renewed = api.webhooks[0]?.webhook_secret;
    expect(unmarked(await envOf(session))).toBe(`${before}VAST_WEBHOOK_DEV_SECRET_2=${renewed}\n`);
  });

  it('writes no secret beside labelled ones, with which serve would not start', async () => {
    const before = 'VAST_WEBHOOK_SECRETS=client=one,host=two\n';
    const { session, api } = await register({ file: before });
    await session.printed(/the test has arrived/);
    const made = api.webhooks[0]?.webhook_secret;
    expect(unmarked(await envOf(session))).toBe(`${before}VAST_WEBHOOK_DEV_SECRET=${made}\n`);
  });

  it('finds that one the next time', async () => {
    const { session, api } = await register({
      webhook: { webhook_secret: 'own' },
      file: `VAST_WEBHOOK_SECRET=${secret}\nVAST_WEBHOOK_DEV_SECRET=own\n`,
    });
    await session.printed(/the test has arrived/);
    expect(api.webhooks[0]?.webhook_secret).toBe('own');
  });

  it('takes the address that a running tunnel has, with the path it is given', async () => {
    const { session, api } = await register({ args: ['--tunnel-url', `${tunnelOrigin}/vast/webhooks`] });
    await session.printed(/the test has arrived/);
    expect(api.webhooks[0]?.webhook_url).toBe(`${tunnelOrigin}/vast/webhooks`);
  });

  it('goes on when the test never arrives, and says why', async () => {
    const { session } = await register({ resolve: () => 'http://127.0.0.1:9/' });
    await session.printed(/the test failed: .*not deliverable/);
    session.io.interrupt();
    expect(await session.ended).toBe(0);
  });

  it('ends with one sentence when the API refuses the key', async () => {
    const { session } = await register({ apiKey: 'wrong' });
    expect(await session.ended).toBe(1);
    expect(session.io.err).toMatch(/^vast-webhook: .*401.*\n$|^vast-webhook: .*\n$/);
  });

  it('ends with one sentence when the API answers with a page', async () => {
    const { session } = await register({ before: (api) => api.failNext(failures.html(200), 9) });
    expect(await session.ended).toBe(1);
    expect(session.io.err).toMatch(/^vast-webhook: .+\n$/);
    expect(session.io.err).not.toContain('<');
  });

  it('ends with one sentence when there are two webhooks of the name', async () => {
    const { session } = await register({ webhook: {}, another: true });
    expect(await session.ended).toBe(1);
    expect(session.io.err).toMatch(/several webhooks named "vast-webhook dev"/);
  });

  it('ends before it asks for a secret that it could not keep', async () => {
    const { session, api } = await register({ brokenEnvLink: true });
    expect(await session.ended).toBe(1);
    expect(api.webhooks).toHaveLength(0);
  });
});

describe('dev without an API key', () => {
  it('receives and shows all the same', async () => {
    const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
    expect(await deliver(session, secret)).toBe(204);
    await session.printed(/accepted 204 outbid [0-9a-f]{32}/);
    expect(await shownDeliveries(session, 1)).toMatchObject([{ result: 'accepted' }]);
  });

  it('makes a secret for the run, says where it is, and takes it away at the end', async () => {
    const session = await startDev([]);
    const [, file = ''] = await session.printed(/a secret for this run only is in (\S+)\n/);
    const made = await readFile(file, 'utf8');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(session.io.out).not.toContain(made);
    expect(await deliver(session, made)).toBe(204);
    session.io.interrupt();
    expect(await session.ended).toBe(0);
    await expect(stat(file)).rejects.toThrow('ENOENT');
  });

  it('prints the address to register', async () => {
    const session = await startDev(['--tunnel-url', 'https://hooks.example.com']);
    await session.printed(/nothing was registered.* https:\/\/hooks\.example\.com\/vast\/webhooks\n/);
  });

  it('says at once why the address does not lead here, and again when the reason changes', async () => {
    let status: number | undefined;
    vi.stubGlobal('fetch', async () => {
      if (status !== undefined) return new Response('', { status });
      throw new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ENOTFOUND' }) });
    });
    onTestFinished(() => void vi.unstubAllGlobals());
    const session = await startDev(['--tunnel-url', 'https://hooks.example.com'], { VAST_WEBHOOK_SECRET: secret });
    await session.printed(/hooks\.example\.com does not lead to port \d+ here yet \(ENOTFOUND\): trying again\n/);
    status = 502;
    await session.printed(/yet \(it answered 502\): trying again\n/);
    expect(session.io.out.match(/trying again/g)).toHaveLength(2);
  });

  it('prints the sinks, and shows what each did without its address', async () => {
    const chat = await slackStandIn();
    onTestFinished(() => chat.close());
    const session = await startDev([], { VAST_WEBHOOK_SECRET: secret, SLACK_WEBHOOK_URL: chat.url });
    expect(await deliver(session, secret)).toBe(204);
    expect(chat.messages).toHaveLength(1);
    const shown = JSON.stringify(await shownDeliveries(session, 1));
    expect(shown).toMatch(/"sinks":\{"slack-[0-9a-f]{8}":"delivered"\}/);
    expect(shown + session.io.out).not.toContain(chat.token);
  });

  it('answers /health, and says so when a delivery goes past the endpoint', async () => {
    const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
    const origin = new URL(await session.receiverUrl()).origin;
    expect((await send(`${origin}/health`)).status).toBe(200);
    expect((await send(`${origin}/`, { method: 'POST' })).status).toBe(404);
    await session.printed(/the webhook's address must end in \/vast\/webhooks/);
  });
});

describe('what dev logs of a delivery', () => {
  const cases: [what: string, request: Parameters<typeof send>[1], status: number, logged: object][] = [
    [
      'without a signature',
      { method: 'POST', body: '{"subject":"x"}' },
      401,
      { reason: 'missing_signature', bytes: 15 },
    ],
    ['of another method', {}, 405, { code: 'method_not_allowed', method: 'GET', cannotResend: expect.any(String) }],
    [
      'that is compressed',
      { ...signed('{}'), headers: { ...signed('{ }').headers, 'Content-Encoding': 'gzip' } },
      415,
      { code: 'unsupported_encoding', body: '{}' },
    ],
    ['that is no JSON', signed('nonsense'), 400, { code: 'invalid_json', body: 'nonsense' }],
    [
      'that is too large',
      signed(`{"x":"${'y'.repeat(70_000)}"}`),
      413,
      { code: 'payload_too_large', cannotResend: expect.any(String) },
    ],
    ['with a stale signature', signed('{}', 1_700_000_000), 401, { reason: 'stale_timestamp', body: '{}' }],
  ];
  for (const [what, request, status, logged] of cases) {
    it(`also of one ${what}`, async () => {
      const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
      const answer = await send(await session.receiverUrl(), request);
      expect(answer.status).toBe(status);
      await expect.poll(async () => (await shownDeliveries(session, 1)).at(-1)).toMatchObject(logged);
    });
  }

  it('distinguishes a delivery from others in progress', async () => {
    const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
    const url = await session.receiverUrl();
    const events = Array.from({ length: 20 }, (_, index) => ({ ...sampleEvent('outbid'), subject: `number ${index}` }));
    await Promise.all(
      events.map((event, index) => send(url, signed(event, undefined, index % 3 === 0 ? 'wrong' : secret))),
    );
    const logged = await shownDeliveries(session, 20);
    expect(logged).toHaveLength(20);
    for (const { subject, result, id, body } of logged) {
      const index = Number(subject?.slice('number '.length));
      expect(result).toBe(index % 3 === 0 ? 'rejected' : 'accepted');
      expect(id).toBe(index % 3 === 0 ? undefined : events[index]?.event_id);
      expect(body).toBe(JSON.stringify(events[index]));
    }
  });
});

describe("dev's tunnel command", () => {
  const printed: [what: string, text: string, origin: string][] = [
    [
      'cloudflared',
      `2026-01-01T00:00:00Z INF Thank you for trying Cloudflare Tunnel. See https://developers.cloudflare.com/cloudflare-one/connections/connect-apps and https://www.cloudflare.com/website-terms/.\n2026-01-01T00:00:01Z INF Requesting new quick Tunnel on trycloudflare.com... (https://api.trycloudflare.com/tunnel)\nINF |  https://a-b-c.trycloudflare.com                       |\n`,
      'https://a-b-c.trycloudflare.com',
    ],
    [
      'ngrok',
      't=1 lvl=info msg="open config file" see=https://ngrok.com/docs/errors\nt=2 lvl=info msg="started tunnel" addr=http://localhost:8787 url=https://1a2b.ngrok-free.app\n',
      'https://1a2b.ngrok-free.app',
    ],
    ['localtunnel', 'your url is: https://odd-cats-sing.loca.lt\n', 'https://odd-cats-sing.loca.lt'],
    [
      'localhost.run',
      'To set up and manage custom domains go to https://admin.localhost.run/\nMore details: https://localhost.run/docs/custom-domains\nabc.lhr.life tunneled with tls termination, https://abc.lhr.life\n',
      'https://abc.lhr.life',
    ],
    [
      'one with a domain of its own, in colours',
      'docs: https://www.example.net/manual\n\u001b[32mReady at https://hooks.example.net/\u001b[0m\n',
      'https://hooks.example.net',
    ],
    ['one that ends no line', 'https://a-b-c.trycloudflare.com', 'https://a-b-c.trycloudflare.com'],
  ];
  for (const [what, text, origin] of printed) {
    it(`gives its address: ${what}`, async () => {
      const session = await startDev(['--tunnel', tunnelPrinting(text, what === 'cloudflared' ? 'stderr' : 'stdout')]);
      expect((await session.printed(/tunnel's address is (\S+)/))[1]).toBe(origin);
    });
  }

  it('knows the port from PORT', async () => {
    const session = await startDev(['--tunnel', `echo https://port-$PORT.trycloudflare.com; exec sleep 1000`]);
    const { port } = new URL(await session.receiverUrl());
    await session.printed(new RegExp(`https://port-${port}\\.trycloudflare\\.com`));
  });

  it('ends with dev, and with it what it has started', async () => {
    const command = `${node} -e 'console.log(process.pid); setInterval(() => {}, 1e6)' > pid & echo ${tunnelOrigin}; wait`;
    const session = await startDev(['--tunnel', command]);
    await session.printed(/tunnel's address/);
    await expect.poll(() => readFile(join(session.cwd, 'pid'), 'utf8')).toMatch(/\d+\n/);
    const pid = Number(await readFile(join(session.cwd, 'pid'), 'utf8'));
    expect(isAlive(pid)).toBe(true);
    session.io.interrupt();
    expect(await session.ended).toBe(0);
    await expect.poll(() => isAlive(pid)).toBe(false);
  });

  it('ends also when it does not listen to the signal', async () => {
    const command = `${node} -e 'process.on("SIGTERM", () => {}); console.log("${tunnelOrigin}"); setInterval(() => {}, 1e6)'`;
    const session = await startDev(['--tunnel', command]);
    await session.printed(/tunnel's address/);
    session.io.interrupt();
    expect(await session.ended).toBe(0);
  });

  it('is an error when it ends without an address, with its last words', async () => {
    const session = await startDev(['--tunnel', 'echo no such tunnel >&2; exit 3']);
    expect(await session.ended).toBe(1);
    expect(session.io.err).toBe(
      'vast-webhook: the tunnel command ended (status 3) before it printed an https URL, and last said: no such tunnel\n',
    );
  });

  it('is an error when there is no such command', async () => {
    const session = await startDev(['--tunnel', 'no-such-command-anywhere']);
    expect(await session.ended).toBe(1);
    expect(session.io.err).toMatch(/the tunnel command ended \(status 127\)/);
  });

  it('is an error when it prints none in time, and then it is ended', async () => {
    const { cwd } = await startDev([]);
    const opening = openTunnel({
      command: 'echo see https://developers.cloudflare.com/; echo $$ > pid; exec sleep 1000',
      env: process.env,
      cwd,
      timeoutMs: 1_000,
      signal: new AbortController().signal,
    });
    await expect(opening).rejects.toThrow(/printed no https URL within 1 s: run it by itself to see why$/);
    expect(isAlive(Number(await readFile(join(cwd, 'pid'), 'utf8')))).toBe(false);
  });

  it('is an error when it breaks later', async () => {
    let origin = '';
    connectTunnel(tunnelOrigin, () => origin);
    const session = await startDev(['--tunnel', `echo ${tunnelOrigin}; sleep 1; exit 7`], {
      VAST_WEBHOOK_SECRET: secret,
    });
    origin = new URL(await session.receiverUrl()).origin;
    expect(await session.ended).toBe(1);
    expect(session.io.err).toMatch(/the tunnel has ended \(status 7\)/);
  });

  it('may be interrupted while it is waited for', async () => {
    const session = await startDev(['--tunnel', 'exec sleep 1000']);
    await session.printed(/waiting for the tunnel's address, 30 s at most/);
    session.io.interrupt();
    expect(await session.ended).toBe(0);
    expect(session.io.err).toBe('');
  });
});

describe("dev's page, to those who are not the page", () => {
  const order = JSON.stringify({ type: 'outbid' });

  async function open() {
    const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
    const url = await session.pageUrl();
    await session.printed(/only what is sent on this machine/);
    const { origin, host, port } = new URL(url);
    const [, token = ''] = /name="token" content="(\w+)"/.exec((await send(url)).body) ?? [];
    const headers = { Host: host, Origin: origin, 'Content-Type': 'application/json', 'X-Dev-Token': token };
    return { session, url, origin, port, token, headers };
  }

  it('takes what the page sends', async () => {
    const { url, headers, session } = await open();
    const answer = await send(`${url}trigger`, { method: 'POST', headers, body: order });
    expect(answer).toMatchObject({ status: 200, body: '{"message":"Sent, and the answer was 204."}' });
    await session.printed(/accepted 204 outbid/);
    const again = await send(`${url}resend`, { method: 'POST', headers, body: '{"number":1}' });
    expect(again.status).toBe(200);
    await session.printed(/duplicate 204 outbid/);
  });

  const attacks: [what: string, headers: Record<string, string | undefined>][] = [
    ['another host, as after DNS rebinding', { Host: 'attacker.example:8788', Origin: 'http://attacker.example:8788' }],
    ['a host that begins like loopback', { Host: '127.0.0.1.attacker.example' }],
    ['a host that ends like loopback', { Host: 'attacker.localhost' }],
    ['an address of the network', { Host: '192.168.0.10:8788', Origin: 'http://192.168.0.10:8788' }],
    ['another origin', { Origin: 'https://attacker.example' }],
    ['another port of loopback', { Origin: 'http://127.0.0.1:1' }],
    ['loopback by another name', { Origin: 'http://localhost' }],
    ['an opaque origin', { Origin: 'null' }],
    ['no origin', { Origin: undefined }],
    ['a page of the same site', { 'Sec-Fetch-Site': 'same-site' }],
    ['a page of another site', { 'Sec-Fetch-Site': 'cross-site' }],
    ['no token', { 'X-Dev-Token': undefined }],
    ['another token', { 'X-Dev-Token': 'f'.repeat(64) }],
    ['the beginning of the token', { 'X-Dev-Token': '0' }],
  ];
  for (const [what, changes] of attacks) {
    it(`refuses ${what}`, async () => {
      const { session, url, headers } = await open();
      const sent = Object.fromEntries(
        Object.entries({ ...headers, ...changes }).filter((entry): entry is [string, string] => entry[1] !== undefined),
      );
      for (const [path, body] of [
        ['trigger', order],
        ['resend', '{"number":1}'],
        ['detail', '{"number":1}'],
        ['messages', '{"number":1}'],
      ] as const) {
        expect((await send(`${url}${path}`, { method: 'POST', headers: sent, body })).status).toBe(403);
      }
      expect(session.io.out).not.toContain('accepted');
    });
  }

  it('shows itself and its events to loopback names only', async () => {
    const { url, port } = await open();
    for (const path of ['', 'events']) {
      for (const Host of [
        'attacker.example',
        `attacker.example:${port}`,
        '127.0.0.1.nip.io',
        '[::2]',
        'localhost.',
        '0.0.0.0',
      ]) {
        expect((await send(url + path, { headers: { Host } })).status).toBe(403);
      }
    }
    for (const Host of ['localhost', `localhost:${port}`, '127.0.0.1:9', `[::1]:${port}`, 'LOCALHOST']) {
      expect((await send(url, { headers: { Host } })).status).toBe(200);
    }
    for (const site of ['same-site', 'cross-site', 'none']) {
      expect((await send(`${url}events`, { headers: { 'Sec-Fetch-Site': site } })).status).toBe(403);
    }
  });

  it('allows no origin anything, nor a preflight', async () => {
    const { url } = await open();
    const answer = await send(`${url}trigger`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://attacker.example', 'Access-Control-Request-Method': 'POST' },
    });
    expect(answer.status).toBe(405);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('takes orders as JSON only, and short ones', async () => {
    const { url, headers } = await open();
    const post = (body: string, more = {}) =>
      send(`${url}trigger`, { method: 'POST', headers: { ...headers, ...more }, body });
    expect((await post(order, { 'Content-Type': 'text/plain' })).status).toBe(400);
    expect((await post('nonsense')).status).toBe(400);
    expect((await post('null')).status).toBe(400);
    expect((await post('{"type":"__proto__"}')).status).toBe(400);
    expect((await post(`{"type":"outbid","x":"${'y'.repeat(2_000)}"}`)).status).toBe(400);
    expect((await send(`${url}resend`, { method: 'POST', headers, body: '{"number":7}' })).status).toBe(400);
  });

  it('forbids everything that the page does not need', async () => {
    const { url } = await open();
    const { headers } = await send(url);
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; script-src 'sha256-\S{44}'; style-src 'sha256-\S{44}'; connect-src 'self'; /,
    );
    expect(headers).toMatchObject({
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
    });
  });

  it('has another token in another run', async () => {
    const [one, another] = [await open(), await open()];
    expect(one.token).toMatch(/^[0-9a-f]{64}$/);
    expect(another.token).not.toBe(one.token);
  });

  it('has a method for each path', async () => {
    const { url } = await open();
    expect((await send(`${url}trigger`)).status).toBe(405);
    expect((await send(url, { method: 'POST' })).status).toBe(405);
    expect((await send(`${url}constructor`)).status).toBe(404);
    expect((await send(`${url}favicon.ico`)).status).toBe(404);
  });
});

describe('the end of dev', () => {
  it('is clean while a page is watching and a connection is kept alive', async () => {
    const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
    const stream = await fetch(`${await session.pageUrl()}events`);
    expect(await deliver(session, secret)).toBe(204);
    session.io.interrupt();
    expect(await session.ended).toBe(0);
    expect(await stream.text()).toContain('"result":"accepted"');
    await expect(fetch(await session.pageUrl())).rejects.toThrow();
    await expect(fetch(await session.receiverUrl())).rejects.toThrow();
  });

  it('is one sentence when a port is in use', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    for (const flag of ['--port', '--page-port']) {
      const session = await startDev([flag, String(port)]);
      expect(await session.ended).toBe(1);
      expect(session.io.err).toBe(
        `vast-webhook: port ${port} is in use: stop what uses it, or give another one with ${flag}\n`,
      );
    }
  });

  const wrong: string[][] = [
    ['--port', 'none'],
    ['--page-port', '65536'],
    ['--tunnel-url', 'http://hooks.example.com'],
    ['--tunnel-url', 'hooks'],
    ['--tunnel-url', 'https://hooks.example.com', '--tunnel', 'x'],
    ['--no-such-flag'],
  ];
  for (const args of wrong) {
    it(`is status 2 with ${args.join(' ')}`, async () => {
      const session = await startDev(args);
      expect(await session.ended).toBe(2);
    });
  }
});

type Api = Awaited<ReturnType<typeof startVastManagement>>;

interface Registering {
  /** There is one at Vast.ai already. */
  readonly webhook?: Partial<Api['webhooks'][number]>;
  readonly another?: boolean;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** What `.env` holds. */
  readonly file?: string;
  /** Or it is a link that leads nowhere. */
  readonly brokenEnvLink?: boolean;
  readonly apiKey?: string;
  readonly before?: (api: Api) => void;
  readonly resolve?: (url: string) => string;
}

/** Starts dev with a stand-in for Vast.ai, and a tunnel that it delivers through. */
async function register({ webhook, another, args = [], env, file, brokenEnvLink, ...rest }: Registering = {}) {
  const { apiKey, before, resolve } = rest;
  const session: { origin: string } = { origin: '' };
  const through = (url: string) => url.replace(tunnelOrigin, session.origin);
  const api = await startVastManagement({ resolve: resolve ?? through });
  onTestFinished(() => api.close());
  const made = {
    id: 7,
    user_id: 123,
    name: 'vast-webhook dev',
    webhook_url: 'https://old.example.com/',
    event_types: ['client:low_credit'],
    created_at: 1,
    updated_at: 1,
    webhook_secret: secret,
    ...webhook,
  };
  if (webhook) api.webhooks.push(made);
  if (another) api.webhooks.push({ ...made, id: 8 });
  before?.(api);
  connectTunnel(tunnelOrigin, () => session.origin);
  const tunnel = args.includes('--tunnel-url') ? [] : ['--tunnel', tunnelPrinting(`your url is ${tunnelOrigin}\n`)];
  const started = await startDev(
    [...tunnel, '--base-url', api.url, ...args],
    { VAST_API_KEY: apiKey ?? api.apiKey, ...env },
    brokenEnvLink ? (path) => symlink('nowhere/.env', path) : file,
  );
  session.origin = new URL(await started.receiverUrl()).origin;
  return { session: started, api };
}

const envOf = ({ cwd }: DevSession) => readFile(join(cwd, '.env'), 'utf8');

async function deliver(session: DevSession, key: string): Promise<number> {
  return (await send(await session.receiverUrl(), signed(sampleEvent('outbid'), undefined, key))).status;
}

function signed(event: object | string, timestamp?: number, key = secret) {
  return { method: 'POST', ...signedDelivery(event, key, { timestamp }) };
}

function isAlive(pid: number): boolean {
  try {
    // What is dead and waits to be collected, as by a container's first process, is a zombie.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
