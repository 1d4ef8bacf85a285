import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';
import { outbound } from '../../src/cli/shared/proxied-fetch.js';
import { vastWebhook } from '../../src/index.js';
import { googleChatStandIn, slackStandIn } from '../support/chat-stand-in.js';
import { startShodaiManagement, startV0Management, startVastManagement } from '../support/management-stand-in.js';
import { certificateFor, type ProxiedHosts, proxiedHosts } from '../support/proxied-hosts.js';
import { workplace } from './call.js';
import { listen } from './listen.js';
import { runCommand, temporaryFolder } from './running.js';
import { anEvent, deliver, during, secret, serving } from './serving.js';

async function behind(hosts: Parameters<typeof proxiedHosts>[0]): Promise<ProxiedHosts> {
  const proxy = await proxiedHosts(hosts);
  onTestFinished(() => proxy.close());
  return proxy;
}

/** What stands for the password in an output: itself, or as a URL or a header has it. */
function expectNoPassword({ user, password }: ProxiedHosts, output: string): void {
  for (const form of [password, encodeURIComponent(password), Buffer.from(`${user}:${password}`).toString('base64')]) {
    expect(output).not.toContain(form);
  }
}

describe('serve behind a proxy', () => {
  it('goes through it to each chat, and shows its password to nobody else', async () => {
    const slack = await during(slackStandIn());
    const google = await during(googleChatStandIn());
    const proxy = await behind({
      'chat.example': new URL(slack.url).origin,
      'plain.example': new URL(google.url).origin,
    });
    const { pathname } = new URL(slack.url);
    const plain = new URL(google.url);
    const env = { HTTPS_PROXY: proxy.url, http_proxy: proxy.url, SSL_CERT_FILE: proxy.certificate };
    const { url, io } = await serving(
      [
        '--slack',
        `https://chat.example${pathname}`,
        '--google-chat',
        `http://plain.example${plain.pathname}${plain.search}`,
      ],
      { env },
    );
    expect((await deliver(url)).status).toBe(204);
    expect([slack, google].map(({ messages }) => messages.length)).toEqual([1, 1]);
    expect([...proxy.asked].sort()).toEqual(['CONNECT chat.example:443', 'POST plain.example']);
    expect(proxy.arrived).toHaveLength(2);
    for (const { headers } of proxy.arrived) {
      expect(headers).not.toHaveProperty('proxy-authorization');
      expect(headers).not.toHaveProperty('authorization');
      expectNoPassword(proxy, JSON.stringify(headers));
    }
    expectNoPassword(proxy, io.out + io.err);
  });

  it.each([
    ['refuses the connection', 403, 'PROXY_ANSWERED_403'],
    ['wants another password', 407, 'PROXY_ANSWERED_407'],
  ])('says that the proxy %s, and not its password', async (_, status, code) => {
    const proxy = await behind({ 'chat.example': 'http://127.0.0.1:9' });
    proxy.refuseWith = status;
    const env = { HTTPS_PROXY: proxy.url, SLACK_WEBHOOK_URL: 'https://chat.example/services/secrettoken' };
    for (const log of ['text', 'json']) {
      const { url, io, stop } = await serving(['--log', log], { env });
      expect((await deliver(url)).status).toBe(502);
      await io.printed(new RegExp(`could not be reached: ${code}`));
      await stop();
      expectNoPassword(proxy, io.out + io.err);
      expect(io.out + io.err).not.toContain('secrettoken');
    }
  });

  it('prints no password of a proxy that is not there, or that is none', async () => {
    const proxy = await behind({});
    await proxy.close();
    const { url, io } = await serving([], {
      env: { HTTPS_PROXY: proxy.url, SLACK_WEBHOOK_URL: 'https://chat.example/services/x' },
    });
    expect((await deliver(url)).status).toBe(502);
    await io.printed(/could not be reached: ECONNREFUSED/);
    expectNoPassword(proxy, io.out + io.err);
    for (const HTTPS_PROXY of [proxy.url.replace('http:', 'socks5:'), proxy.url.replace('127.0.0.1', '127.0.0.1:x')]) {
      const { status, err } = await runCommand(['serve', '--log-events'], {
        env: { VAST_WEBHOOK_SECRET: secret, HTTPS_PROXY },
      });
      expect([status, err]).toEqual([1, expect.stringContaining('HTTPS_PROXY must be')]);
      expectNoPassword(proxy, err);
    }
  });
});

describe('NO_PROXY', () => {
  const isProxied = (url: string, NO_PROXY: string, more: Record<string, string> = {}) => {
    const env: Record<string, string> = { HTTPS_PROXY: 'http://p:1', HTTP_PROXY: 'p:1', NO_PROXY, ...more };
    return outbound((name) => env[name])?.isProxied(new URL(url));
  };

  it.each([
    ['chat.example', 'https://chat.example/', 'https://example/'],
    ['chat.example', 'https://eu.chat.example/', 'https://mychat.example/'],
    ['.chat.example', 'https://eu.chat.example/', 'https://mychat.example/'],
    ['*.chat.example', 'https://eu.chat.example/', 'https://chat.example.org/'],
    ['CHAT.example', 'https://chat.EXAMPLE/', 'https://chat.other/'],
    ['chat.example:443', 'https://chat.example/', 'https://chat.example:8443/'],
    ['chat.example:8443', 'https://chat.example:8443/', 'http://chat.example/'],
    ['127.0.0.1', 'http://127.0.0.1:8787/', 'http://127.0.0.2/'],
    ['127.0.0.1:80', 'http://127.0.0.1/', 'http://127.0.0.1:81/'],
    ['10.1.0.0/16', 'http://10.1.255.7/', 'http://10.2.0.1/'],
    ['10.1.2.3/32', 'http://10.1.2.3/', 'http://10.1.2.4/'],
    ['::1', 'http://[::1]:8787/', 'http://[::2]/'],
    ['[::1]', 'http://[::1]/', 'http://[::2]/'],
    ['[::1]:81', 'http://[::1]:81/', 'http://[::1]/'],
    ['one.example,two.example', 'https://two.example/', 'https://three.example/'],
    [' one.example , two.example ', 'https://one.example/', 'https://three.example/'],
    ['one.example two.example', 'https://two.example/', 'https://three.example/'],
  ])('%j exempts %s and not %s', (exceptions, exempt, proxied) => {
    expect([isProxied(exempt, exceptions), isProxied(proxied, exceptions)]).toEqual([false, true]);
  });

  it('exempts all with *, and nothing when it is empty or malformed', () => {
    for (const url of ['https://chat.example/', 'http://10.0.0.1/', 'http://[::1]/']) {
      expect(isProxied(url, '*')).toBe(false);
      expect(isProxied(url, 'other.example, *')).toBe(false);
      for (const nothing of ['', ' , ', '.', '*.', '/8', '10.0.0.0/x', 'fd00::/8'])
        expect(isProxied(url, nothing)).toBe(true);
    }
  });

  it('counts in lower case first, as the other variables do', () => {
    expect(isProxied('https://chat.example/', 'chat.example', { no_proxy: 'other.example' })).toBe(true);
    const env: Record<string, string> = { all_proxy: 'http://p:1' };
    expect(outbound((name) => env[name])?.isProxied(new URL('https://chat.example/'))).toBe(true);
  });
});

describe('a bundle of certificates', () => {
  async function securely(names: readonly string[]) {
    const folder = temporaryFolder();
    const { key, cert } = certificateFor(folder, names);
    const bodies: string[] = [];
    const chat = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, async (req, res) => {
      bodies.push((await req.toArray()).join(''));
      res.end('ok');
    });
    onTestFinished(() => {
      chat.close();
      chat.closeAllConnections();
    });
    await new Promise<void>((resolve) => chat.listen(0, '127.0.0.1', resolve));
    return { folder, cert, bodies, port: (chat.address() as AddressInfo).port };
  }

  it.each(['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE'])(
    'in %s is trusted beside the usual ones',
    async (name) => {
      const { cert, bodies, port } = await securely(['localhost', '127.0.0.1']);
      for (const host of ['localhost', '127.0.0.1']) {
        const { url } = await serving(['--slack', `https://${host}:${port}/services/x`], { env: { [name]: cert } });
        expect((await deliver(url)).status).toBe(204);
      }
      expect(bodies).toHaveLength(2);
    },
  );

  it('is needed, may be a folder, and does not stand for another host', async () => {
    const { folder, cert, bodies, port } = await securely(['localhost']);
    const reasonFor = async (host: string, env: Record<string, string>) => {
      const { url, io } = await serving(['--slack', `https://${host}:${port}/services/x`], { env });
      if ((await deliver(url)).status === 204) return 'taken';
      const [, reason] = await io.printed(/could not be reached: (\w+)/);
      return reason;
    };
    expect(await reasonFor('localhost', {})).toMatch(/SELF_SIGNED/);
    expect(await reasonFor('localhost', { REQUESTS_CA_BUNDLE: folder })).toBe('taken');
    expect(await reasonFor('127.0.0.1', { REQUESTS_CA_BUNDLE: cert })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(bodies).toHaveLength(1);
  });

  it('that is not there is refused by its name', async () => {
    const { status, err } = await runCommand(['serve', '--log-events'], {
      env: { VAST_WEBHOOK_SECRET: secret, SSL_CERT_FILE: '/nowhere.pem' },
    });
    expect([status, err]).toEqual([1, expect.stringContaining('SSL_CERT_FILE: /nowhere.pem cannot be read (ENOENT)')]);
  });

  it('holds behind a proxy for an address, too', async () => {
    const slack = await during(slackStandIn());
    const proxy = await behind({ '192.0.2.7': new URL(slack.url).origin });
    const env = { HTTPS_PROXY: proxy.url, SSL_CERT_FILE: proxy.certificate };
    const { url } = await serving(['--slack', `https://192.0.2.7${new URL(slack.url).pathname}`], { env });
    expect((await deliver(url)).status).toBe(204);
    expect(slack.messages).toHaveLength(1);
  });
});

describe('the management commands behind a proxy', () => {
  it.each([
    ['vast', 'console.vast.ai', startVastManagement, ['--type', 'outbid']],
    ['shodai', 'api.shodai.network', startShodaiManagement, []],
    ['v0', 'api.v0.dev', startV0Management, ['--type', 'chat.created', '--name', 'mine']],
  ] as const)('reach %s through it', async (provider, host, start, args) => {
    const service = await start();
    onTestFinished(() => service.close());
    const proxy = await behind({ [host]: new URL(service.url).origin });
    const place = workplace(service.apiKey);
    const env = {
      [`${provider.toUpperCase()}_API_KEY`]: service.apiKey,
      HTTPS_PROXY: proxy.url,
      SSL_CERT_FILE: proxy.certificate,
    };
    const call = (...words: string[]) => place.call([...words, '--provider', provider], { env });
    expect(await call('create', '--url', 'https://hooks.example.com/x?token=t', ...args)).toMatchObject({ status: 0 });
    expect(await call('list')).toMatchObject({ status: 0, out: expect.stringContaining('hooks.example.com') });
    const id = String(service.webhooks[0]?.id);
    if (provider === 'vast') expect(await call('rotate-secret', id)).toMatchObject({ status: 0 });
    expect(await call('update', id, '--url', 'https://other.example.com/x?token=t')).toMatchObject({ status: 0 });
    expect(await call('delete', id, '--yes')).toMatchObject({ status: 0 });
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT ${host}:443`]));
    expect(service.violations).toEqual([]);

    // Which is tried again several times.
    if (provider !== 'vast') return;
    proxy.refuseWith = 407;
    const { status, err } = await call('list');
    expect([status, err]).toEqual([1, expect.stringContaining('PROXY_ANSWERED_407')]);
    expectNoPassword(proxy, err);
  });
});

describe('doctor behind a proxy', () => {
  async function examined(change: (proxy: ProxiedHosts) => unknown = () => {}) {
    const service = await startVastManagement();
    onTestFinished(() => service.close());
    const endpoint = await listen(
      express().use(vastWebhook(secret, { sinks: [function delivered() {}], onOutcome() {} })),
    );
    const proxy = await behind({ 'console.vast.ai': new URL(service.url).origin, 'hooks.invalid': endpoint });
    const place = workplace(service.apiKey, secret);
    const env = {
      VAST_API_KEY: service.apiKey,
      VAST_WEBHOOK_SECRET: secret,
      HTTPS_PROXY: proxy.url,
      SSL_CERT_FILE: proxy.certificate,
    };
    await place.call(
      ['create', '--url', 'https://hooks.invalid/vast/webhooks', '--type', 'outbid', '--env-name', 'X'],
      {
        env,
      },
    );
    change(proxy);
    const { out, err } = await place.call(['doctor', '--json'], { env });
    expectNoPassword(proxy, out + err);
    const findings = JSON.parse(out) as { check: string; status: string; detail: string; cure?: string }[];
    return { proxy, of: (check: string) => findings.find((finding) => finding.check === check), findings };
  }

  it('asks the API and the endpoint through it, whose name cannot be looked up here', async () => {
    const { findings, of, proxy } = await examined();
    expect(findings.filter(({ status }) => status === 'problem')).toEqual([]);
    expect(of('address')).toMatchObject({
      status: 'skipped',
      detail: expect.stringContaining('the proxy looks it up'),
    });
    expect([of('api-key'), of('signed'), of('duplicate')]).toMatchObject(Array(3).fill({ status: 'ok' }));
    expect(new Set(proxy.asked)).toEqual(new Set(['CONNECT console.vast.ai:443', 'CONNECT hooks.invalid:443']));
  });

  it('says that the proxy makes no connection', async () => {
    const { of } = await examined((proxy) => Object.assign(proxy, { refuseWith: 403 }));
    expect(of('api-key')).toMatchObject({ status: 'problem' });
    expect(of('webhook')).toMatchObject({ status: 'skipped' });
  });

  it('names the proxy when it does not lead to the endpoint', async () => {
    const proxy = await behind({});
    const place = workplace(secret);
    const env = { VAST_WEBHOOK_SECRET: secret, HTTPS_PROXY: proxy.url };
    const { status, out } = await place.call(['doctor', '--url', 'https://hooks.invalid/vast/webhooks'], { env });
    expect(status).toBe(1);
    expect(out).toMatch(/reach .*this machine's proxy made no connection \(PROXY_ANSWERED_502\)/);
    expectNoPassword(proxy, out);
  });
});

it('a chat that NO_PROXY names is reached without the proxy', async () => {
  const slack = await during(slackStandIn());
  const proxy = await behind({});
  const env = { HTTP_PROXY: proxy.url, NO_PROXY: 'example.org, 127.0.0.1' };
  const { url } = await serving(['--slack', slack.url], { env });
  expect((await deliver(url, anEvent())).status).toBe(204);
  expect([slack.messages.length, proxy.asked]).toEqual([1, []]);
});
