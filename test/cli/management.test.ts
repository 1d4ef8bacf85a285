import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { parse } from 'dotenv';
import express from 'express';
import stringWidth from 'string-width';
import { describe, expect, it, onTestFinished } from 'vitest';
import { vastWebhook } from '../../src/index.js';
import type { FakeIo } from '../support/io.js';
import {
  failures,
  startShodaiManagement,
  startV0Management,
  startVastManagement,
} from '../support/management-stand-in.js';
import { type Called, unmarked, type Workplace, type World, workplace } from './call.js';
import { listen } from './listen.js';

type Options = Parameters<typeof startVastManagement>[0];

const url = 'https://example.com/vast/webhooks';

async function vastPlace(options?: Options) {
  const service = await startVastManagement(options);
  onTestFinished(() => service.close());
  const place = workplace(service.apiKey);
  return { service, place, call: caller(place, service.url, { VAST_API_KEY: service.apiKey }) };
}

function caller(place: Workplace, baseUrl: string, env: Record<string, string>) {
  return (args: readonly string[], world: World = {}): Promise<Called> =>
    place.call([...args, '--base-url', baseUrl], { ...world, env: { ...env, ...world.env } });
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('types', () => {
  it('lists the live catalogue, and what is newer than this version', async () => {
    const { call } = await vastPlace({ newTypes: ['client:gpu_melted'] });
    const { status, out } = await call(['types']);
    expect(status).toBe(0);
    expect(out).toMatch(/^client:outbid +instances/m);
    expect(out).toMatch(/client:gpu_melted.*newer than this version/);
    const { out: json } = await call(['types', '--json']);
    expect(JSON.parse(json)).toHaveLength(32);
    expect(JSON.parse(json)).toContainEqual(expect.objectContaining({ key: 'client:gpu_melted', isKnown: false }));
  });

  it('lists what this version knows without an API key', async () => {
    const { status, out } = await workplace().call(['types', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toHaveLength(31);
    expect((await workplace().call(['types'])).err).toContain('VAST_API_KEY');
  });

  it.each(['shodai', 'v0'])('lists those of %s', async (provider) => {
    const { status, out } = await workplace().call(['types', '--provider', provider]);
    expect(status).toBe(0);
    expect(out).toMatch(provider === 'v0' ? /message\.finished/ : /agreement\.transitioned/);
  });
});

describe('create', () => {
  it('keeps the secret in .env, and does not print it', async () => {
    const { call, place, service } = await vastPlace();
    const { status, out, err } = await call([
      'create',
      '--url',
      url,
      '--name',
      'renting',
      '--type',
      'outbid,client:low_credit',
    ]);
    expect(err).toContain('.env as VAST_WEBHOOK_SECRET');
    expect(status).toBe(0);
    expect(out).toContain('renting');
    const [webhook] = service.webhooks;
    expect(webhook?.event_types).toEqual(['client:outbid', 'client:low_credit']);
    expect(parse(place.read('.env'))).toEqual({ VAST_WEBHOOK_SECRET: webhook?.webhook_secret });
    expect(out + err).not.toContain(webhook?.webhook_secret);
    expect(modeOf(place.path('.env'))).toBe(0o600);
    expect(readdirSync(place.folder)).toEqual(['.env']);
  });

  it('keeps it in a file of its own, without a newline, or under another name', async () => {
    const { call, place, service } = await vastPlace();
    await call(['create', '--url', url, '--type', 'all', '--secret-file', 'secret']);
    expect(place.read('secret')).toBe(service.webhooks[0]?.webhook_secret);
    expect(modeOf(place.path('secret'))).toBe(0o600);
    await call(['create', '--url', url, '--type', 'host:*', '--env-file', 'host.env', '--env-name', 'HOST_SECRET']);
    expect(parse(place.read('host.env'))).toEqual({ HOST_SECRET: service.webhooks[1]?.webhook_secret });
    expect(service.webhooks[1]?.event_types).toHaveLength(7);
  });

  it('shows it when asked to', async () => {
    const { call, service } = await vastPlace();
    const { out } = await call(['create', '--url', url, '--type', 'outbid', '--show-secret']);
    expect(out).toContain(service.webhooks[0]?.webhook_secret);
  });

  it('says when the environment hides what .env has', async () => {
    const { call } = await vastPlace();
    const { err } = await call(['create', '--url', url, '--type', 'outbid'], { env: { VAST_WEBHOOK_SECRET: 'old' } });
    expect(err).toContain('The environment has a VAST_WEBHOOK_SECRET, too');
  });

  it('prints the webhook as JSON', async () => {
    const { call } = await vastPlace();
    const { out } = await call(['create', '--url', url, '--type', 'outbid', '--json']);
    expect(JSON.parse(out)).toMatchObject({ id: '42', url, types: ['client:outbid'] });
  });

  it.each([
    ['a type that is not there', ['--type', 'client:outbit'], /do you mean "client:outbid"/],
    ['a slug that is not there', ['--type', 'low_credits'], /do you mean "low_credit"/],
    [
      'a slug of both contexts',
      ['--type', 'low_disk_space'],
      /host:low_disk_space or client:low_disk_space|client:low_disk_space or host:low_disk_space/,
    ],
    ['a pattern that fits nothing', ['--type', 'gpu_*'], /no type begins with "gpu_"/],
    ['no type', [], /--type is needed/],
    ['a URL that is not https', ['--type', 'outbid', '--url', 'http://example.com/'], /https/],
    ['a name that is too long', ['--type', 'outbid', '--name', 'x'.repeat(121)], /120/],
    ['two places for the secret', ['--type', 'outbid', '--secret-file', 'a', '--env-file', 'b'], /cannot be used with/],
    ['a name that no variable can have', ['--type', 'outbid', '--env-name', 'a b'], /--env-name/],
  ])('refuses %s', async (_, args, message) => {
    const { call, service, place } = await vastPlace();
    const { status, err } = await call(['create', '--url', url, ...args]);
    expect(err).toMatch(message);
    expect(status).toBe(2);
    expect(service.calls.filter((each) => each.startsWith('POST'))).toEqual([]);
    expect(readdirSync(place.folder)).toEqual([]);
  });

  it('takes the types that it knows when the key may not list them', async () => {
    const { call, service } = await vastPlace({ missingScope: 'user_read' });
    const { status } = await call(['create', '--url', url, '--type', 'outbid']);
    expect(status).toBe(0);
    expect(service.webhooks).toHaveLength(1);
  });

  it.each([
    ['a folder', ['--secret-file', 'folder'], 'not a file'],
    ['a place that is not there', ['--secret-file', 'nowhere/secret'], 'ENOENT'],
    ['a place below a file', ['--env-file', 'file/.env'], 'ENOTDIR'],
    ['a link that leads nowhere', ['--env-file', 'link'], 'leads nowhere'],
  ])('asks for no secret that it could not write to %s', async (_, args, message) => {
    const { call, service, place } = await vastPlace();
    mkdirSync(place.path('folder'));
    place.write('file', '');
    symlinkSync('gone', place.path('link'));
    const { status, err } = await call(['create', '--url', url, '--type', 'outbid', ...args]);
    expect(err).toContain(message);
    expect(status).toBe(1);
    expect(service.webhooks).toEqual([]);
    expect(readdirSync(place.folder)).toEqual(['file', 'folder', 'link']);
  });

  // Nothing is unwritable for root.
  it.skipIf(process.getuid?.() === 0)('asks for no secret in a folder or .env that is read-only', async () => {
    const { call, service, place } = await vastPlace();
    place.write('.env', 'A=1\n');
    chmodSync(place.path('.env'), 0o400);
    expect(await call(['create', '--url', url, '--type', 'outbid'])).toMatchObject({ status: 1 });
    chmodSync(place.folder, 0o500);
    expect(await call(['create', '--url', url, '--type', 'outbid', '--secret-file', 's'])).toMatchObject({ status: 1 });
    chmodSync(place.folder, 0o700);
    expect(service.webhooks).toEqual([]);
  });

  it('says so when there are four webhooks, and leaves no file behind', async () => {
    const { call, place } = await vastPlace();
    for (let i = 0; i < 4; i++) await call(['create', '--url', url, '--type', 'outbid', '--env-name', `S${i}`]);
    const { status, err } = await call(['create', '--url', url, '--type', 'outbid', '--secret-file', 'fifth']);
    expect(err).toContain('4 webhooks');
    expect(status).toBe(1);
    expect(readdirSync(place.folder)).toEqual(['.env']);
  });
});

describe('the .env entry', () => {
  it('changes nothing else: comments, order, quotes, line endings, mode', async () => {
    const { call, place, service } = await vastPlace();
    const before = [
      '# about this',
      'A="1 # 2"',
      "TEXT='first",
      'VAST_WEBHOOK_SECRET=within a text',
      "last'",
      'export VAST_WEBHOOK_SECRET = "old one" # keep me',
      '',
      'B=2',
    ];
    place.write('.env', before.join('\r\n'));
    chmodSync(place.path('.env'), 0o640);
    await call(['create', '--url', url, '--type', 'outbid', '--replace']);
    const secret = service.webhooks[0]?.webhook_secret;
    const after = before.with(5, `export VAST_WEBHOOK_SECRET = ${secret} # keep me`);
    expect(unmarked(place.read('.env'))).toBe(after.join('\r\n'));
    expect(place.read('.env')).toMatch(/^# Signing secret of .*\r\nexport /m);
    expect(modeOf(place.path('.env'))).toBe(0o640);
  });

  it.each([
    ['an empty entry', 'VAST_WEBHOOK_SECRET=\nB=2\n', 'VAST_WEBHOOK_SECRET=SECRET\nB=2\n'],
    ['a file that ends without a newline', 'B=2', 'B=2\nVAST_WEBHOOK_SECRET=SECRET\n'],
    [
      'an entry that is commented out',
      '#VAST_WEBHOOK_SECRET=x\n',
      '#VAST_WEBHOOK_SECRET=x\nVAST_WEBHOOK_SECRET=SECRET\n',
    ],
    [
      'two entries, of which the last counts',
      'VAST_WEBHOOK_SECRET=a\nVAST_WEBHOOK_SECRET=b\n',
      'VAST_WEBHOOK_SECRET=a\nVAST_WEBHOOK_SECRET=SECRET\n',
    ],
    ['a name that begins alike', 'VAST_WEBHOOK_SECRET2=a\n', 'VAST_WEBHOOK_SECRET2=a\nVAST_WEBHOOK_SECRET=SECRET\n'],
  ])('goes into %s', async (_, before, after) => {
    const { call, place, service } = await vastPlace();
    place.write('.env', before);
    expect(await call(['create', '--url', url, '--type', 'outbid', '--replace'])).toMatchObject({ status: 0 });
    expect(unmarked(place.read('.env'))).toBe(
      after.replaceAll('SECRET\n', (match) => match).replace('=SECRET', `=${service.webhooks[0]?.webhook_secret}`),
    );
  });

  it('goes to where a link leads, which stays a link', async () => {
    const { call, place, service } = await vastPlace();
    mkdirSync(place.path('real'));
    place.write('real/settings', 'A=1\n');
    symlinkSync('real/settings', place.path('.env'));
    await call(['create', '--url', url, '--type', 'outbid']);
    expect(lstatSync(place.path('.env')).isSymbolicLink()).toBe(true);
    expect(unmarked(place.read('real/settings'))).toBe(
      `A=1\nVAST_WEBHOOK_SECRET=${service.webhooks[0]?.webhook_secret}\n`,
    );
    expect(readdirSync(place.path('real'))).toEqual(['settings']);
  });
});

describe('rotate-secret', () => {
  async function withWebhook() {
    const all = await vastPlace();
    await all.call(['create', '--url', url, '--name', 'renting', '--type', 'outbid']);
    return all;
  }

  it('puts the new secret in the place of the old one', async () => {
    const { call, place, service } = await withWebhook();
    const old = place.read('.env');
    const { status, err } = await call(['rotate-secret', 'renting']);
    expect(status).toBe(0);
    expect(err).toContain('Restart');
    expect(place.read('.env')).not.toBe(old);
    expect(unmarked(place.read('.env'))).toBe(`VAST_WEBHOOK_SECRET=${service.webhooks[0]?.webhook_secret}\n`);
  });

  it('rotates nothing when the new one could not be written', async () => {
    const { call, service } = await withWebhook();
    const { status, err } = await call(['rotate-secret', 'renting', '--secret-file', 'nowhere/secret']);
    expect(status).toBe(1);
    expect(err).toContain('nothing was asked for yet');
    expect(service.calls.some((each) => each.includes('rotate'))).toBe(false);
  });

  it('shows it once when it cannot be written after all', async () => {
    const { call, place, service } = await withWebhook();
    mkdirSync(place.path('gone'));
    const secret = 'the-new-secret-of-the-service';
    service.failNext(failures.json(200, { success: true, webhooks: service.webhooks }));
    service.failNext((res) => {
      rmSync(place.path('gone'), { recursive: true });
      const webhook = { ...service.webhooks[0], webhook_secret: secret };
      res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ success: true, webhook }));
    });
    const { status, out, err } = await call(['rotate-secret', 'renting', '--secret-file', 'gone/secret']);
    expect(status).toBe(1);
    // Standard output may be a program's input, which would lose it.
    expect(out).toBe('');
    expect(err).toContain(`${secret}\n`);
    expect(err).toMatch(/could not be written to gone\/secret \(ENOENT\).*this once only/);
  });

  it('keeps the old entry when the service fails', async () => {
    const { call, place, service } = await withWebhook();
    const old = place.read('.env');
    service.failNext(
      failures.json(200, { success: true, webhooks: service.webhooks.map(({ webhook_secret, ...each }) => each) }),
    );
    service.failNext(failures.html(500));
    const { status, err } = await call(['rotate-secret', 'renting']);
    expect(status).toBe(1);
    expect(err).toContain('500');
    expect(place.read('.env')).toBe(old);
    expect(readdirSync(place.folder)).toEqual(['.env']);
  });
});

describe('list, update, delete', () => {
  async function withTwo() {
    const all = await vastPlace();
    for (const name of ['renting', 'hosting']) {
      await all.call(['create', '--url', url, '--name', name, '--type', 'outbid', '--env-name', name]);
    }
    all.place.secrets.push(...all.service.webhooks.map((webhook) => webhook.webhook_secret));
    return all;
  }

  it('lists webhooks, also as JSON, without what stands in the query of their URLs', async () => {
    const { call, service } = await withTwo();
    (service.webhooks[0] as { webhook_url: string }).webhook_url = `${url}?token=very-secret`;
    const { out } = await call(['list']);
    expect(out).toMatch(/^42 +renting +https:\/\/example\.com\/vast\/webhooks\?token=… +client:outbid/m);
    expect(out).not.toContain('very-secret');
    const { out: json } = await call(['list', '--json']);
    expect(JSON.parse(json)).toMatchObject([
      { id: '42', name: 'renting' },
      { id: '43', name: 'hosting' },
    ]);
    expect(json).not.toContain('very-secret');
    expect((await call(['list', '--show-secret'])).out).toContain('very-secret');
  });

  it('says `all`, or the context, in place of many types', async () => {
    const { call } = await vastPlace({ newTypes: ['client:gpu_melted'] });
    const typesOf = async (types: string, name: string) => {
      const { out } = await call(['create', '--url', url, '--name', name, '--type', types, '--env-name', name]);
      return /webhooks {2}(.*?) {2}\d{4}-/.exec(out)?.[1];
    };
    expect(await typesOf('all', 'a')).toBe('all (32)');
    expect(await typesOf('client:*', 'b')).toBe('client:* (25)');
    expect(await typesOf('host:*,outbid', 'c')).toBe('host:* (7) client:outbid');
    // As far as this version knows, these are all.
    const known = (await workplace().call(['types', '--json'])).out;
    const keys = (JSON.parse(known) as { key: string }[]).map(({ key }) => key).filter((key) => /^client:/.test(key));
    expect(await typesOf(keys.join(), 'd')).toBe(keys.join(' '));
    const { out } = await call(['list']);
    expect(out).toMatch(/^43 +b .* client:\* \(25\) /m);
  });

  it.each([80, 0])(
    'fits a terminal that says it has %i columns, and stays a line each for scripts',
    async (columns) => {
      const { call, service } = await withTwo();
      const names = ['東京のサーバー', '👩‍👩‍👧 rentals'];
      for (const [i, webhook] of service.webhooks.entries()) {
        Object.assign(webhook, { name: names[i], webhook_url: `${url}/${i}/${'x'.repeat(90)}` });
      }
      const onTerminal = {
        onStart: (io: FakeIo) => Object.assign(io.stdout, { isTTY: true, columns }),
        env: { NO_COLOR: '1' },
      };
      const lines = (await call(['list'], onTerminal)).out.trimEnd().split('\n');
      for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(80);
      // Columns begin at the same place, however wide the characters before are.
      const before = lines.flatMap((line) => /^(.*?)(https:|URL)/.exec(line)?.[1] ?? []);
      expect(before.map((text) => stringWidth(text))).toEqual([20, 20, 20]);
      const [, first = '', second = ''] = (await call(['list'])).out.split('\n');
      for (const line of [first, second]) expect(line).toContain('x'.repeat(90));
    },
  );

  it('says that there is none', async () => {
    const { call } = await vastPlace();
    expect(await call(['list'])).toMatchObject({ status: 0, out: '' });
    expect(await call(['list', '--json'])).toMatchObject({ status: 0, out: '[]\n' });
  });

  it('lets no name steer the terminal', async () => {
    const { call, service } = await withTwo();
    (service.webhooks[0] as { name: string }).name = 'a\u001b[2Jb';
    expect((await call(['list'])).out).not.toContain('\u001b[2J');
  });

  it('changes what is given, by id or by name', async () => {
    const { call, service } = await withTwo();
    expect(await call(['update', 'hosting', '--type', 'host:*'])).toMatchObject({ status: 0 });
    expect(service.webhooks[1]?.event_types).toHaveLength(7);
    expect(await call(['update', '42', '--name', 'new', '--json'])).toMatchObject({ status: 0 });
    expect(service.webhooks[0]).toMatchObject({ name: 'new', webhook_url: url, event_types: ['client:outbid'] });
  });

  it.each([
    [['update', 'renting'], 2, /say what to change/],
    [['update', 'rentin', '--name', 'x'], 1, /do you mean "renting"/],
    [['update', 'renting', '--url', 'ftp://x'], 2, /https/],
    [['update', '--name', 'x'], 2, /missing required argument/],
    [['delete', 'rentin', '--yes'], 1, /do you mean "renting"/],
    [['delete', 'renting'], 2, /--yes/],
    [['test', 'rentin'], 1, /do you mean "renting"/],
    [['list', '--provider', 'vasst'], 2, /vast/],
    [['list', '--jason'], 2, /--json/],
    [['lst'], 2, /list/],
  ])('%j ends with %i', async (args, expected, message) => {
    const { call } = await withTwo();
    const { status, err } = await call(args);
    expect(err).toMatch(message);
    expect(status).toBe(expected);
  });

  it('does not guess which of two is meant', async () => {
    const { call, service } = await withTwo();
    (service.webhooks[1] as { name: string }).name = 'renting';
    const { status, err } = await call(['delete', 'renting', '--yes']);
    expect(err).toContain('42 or 43');
    expect(status).toBe(1);
    expect(service.webhooks).toHaveLength(2);
  });

  it('asks on a terminal before it deletes', async () => {
    const { call, service } = await withTwo();
    expect(await call(['delete', 'renting'], { typed: 'n\n' })).toMatchObject({ status: 1 });
    expect(service.webhooks).toHaveLength(2);
    const { status, err } = await call(['delete', 'renting'], { typed: 'y\n' });
    expect(err).toContain('Delete webhook 42 "renting" to https://example.com/vast/webhooks?');
    expect(status).toBe(0);
    expect(service.webhooks.map(({ name }) => name)).toEqual(['hosting']);
    expect(await call(['delete', '43', '--yes'])).toMatchObject({ status: 0 });
    expect(service.webhooks).toEqual([]);
  });
});

describe('test', () => {
  it.each([
    ['the endpoint takes it', (secret: string) => secret, 0, /was delivered/],
    ['the endpoint has another secret', () => 'another', 1, /also says when the URL is right.*401.*another secret/],
  ])('says how it went when %s', async (_, secretOf, expected, message) => {
    let endpoint = '';
    const { call, service } = await vastPlace({ resolve: () => endpoint });
    await call(['create', '--url', url, '--name', 'renting', '--type', 'outbid']);
    const secret = secretOf(service.webhooks[0]?.webhook_secret ?? '');
    const app = express().use(vastWebhook(secret, { handoff: false, onOutcome() {} }));
    endpoint = `${await listen(app)}/vast/webhooks`;
    const { status, out, err } = await call(['test', 'renting']);
    expect(out + err).toMatch(message);
    expect(status).toBe(expected);
  });
});

describe('the API key', () => {
  it.each([
    ['--api-key', (key: string) => [['--api-key', key], {}] as const],
    ['--api-key-env', (key: string) => [['--api-key-env', 'OTHER'], { OTHER: key }] as const],
    ['the environment', (key: string) => [[], { VAST_API_KEY: key }] as const],
  ])('comes from %s', async (_, make) => {
    const { place, service } = await vastPlace();
    const [args, env] = make(service.apiKey);
    expect(await place.call(['list', '--base-url', service.url, ...args], { env })).toMatchObject({ status: 0 });
  });

  it('comes from .env, behind the environment and the flags', async () => {
    const { place, service } = await vastPlace();
    place.write('.env', `VAST_API_KEY=${service.apiKey}\n`);
    expect(await place.call(['list', '--base-url', service.url])).toMatchObject({ status: 0 });
    const env = { VAST_API_KEY: 'wrong-key-of-the-environment' };
    expect(await place.call(['list', '--base-url', service.url], { env })).toMatchObject({ status: 1 });
  });

  it('is asked for when there is none', async () => {
    const { status, err } = await workplace().call(['list']);
    expect(err).toBe('vast-webhook: there is no API key for Vast.ai: set VAST_API_KEY in the environment or in .env\n');
    expect(status).toBe(1);
  });

  it('may be wrong, or lack a scope', async () => {
    const { place, service } = await vastPlace();
    const key = 'a-key-that-is-wrong-and-must-not-be-shown';
    place.secrets.push(key);
    const { status, err } = await place.call(['list', '--base-url', service.url, '--api-key', key]);
    expect(err).toMatch(/401.*scope/);
    expect(status).toBe(1);
  });
});

describe('a service in trouble', () => {
  it('answers HTML', async () => {
    const { call, service } = await vastPlace();
    service.failNext(failures.html(200));
    const { status, err } = await call(['list']);
    expect(err).toMatch(/HTML page/);
    expect(err).not.toContain('<');
    expect(status).toBe(1);
  });

  it('answers 429 for a while', async () => {
    const { call, service } = await vastPlace();
    service.failNext(failures.tooFrequent);
    expect(await call(['list'])).toMatchObject({ status: 0 });
  });

  it('is not there', async () => {
    const { place } = await vastPlace();
    const { status, err } = await place.call(['test', '1', '--base-url', 'http://127.0.0.1:1', '--api-key', 'k']);
    expect(err).toMatch(/could not be reached/);
    expect(status).toBe(1);
  });
});

describe('other providers', () => {
  it('manages Shodai webhooks, and writes their secret', async () => {
    const service = await startShodaiManagement();
    onTestFinished(() => service.close());
    const place = workplace(service.apiKey);
    const call = caller(place, service.url, { SHODAI_API_KEY: service.apiKey });
    const shodai = ['--provider', 'shodai'];
    expect(await call(['create', '--url', url, ...shodai])).toMatchObject({ status: 0 });
    expect(parse(place.read('.env')).SHODAI_WEBHOOK_SECRET).toMatch(/^whsec_/);
    const { out } = await call(['list', '--json', ...shodai]);
    const [{ id }] = JSON.parse(out);
    expect(await call(['update', id, '--type', 'agreement.*', ...shodai])).toMatchObject({ status: 0 });
    expect(await call(['delete', id, '--yes', ...shodai])).toMatchObject({ status: 0 });
    expect((await call(['list', ...shodai])).out).toContain('disabled');
  });

  it('manages v0 hooks, which have no secret but the token in the URL', async () => {
    const service = await startV0Management();
    onTestFinished(() => service.close());
    const place = workplace(service.apiKey, 'the-token-of-v0');
    const call = caller(place, service.url, { V0_API_KEY: service.apiKey });
    const v0 = ['--provider', 'v0'];
    const tokenUrl = 'https://example.com/v0/webhooks?token=the-token-of-v0';
    expect(await call(['create', '--url', tokenUrl, '--name', 'chats', '--type', 'chat.*', ...v0])).toMatchObject({
      status: 0,
    });
    expect(readdirSync(place.folder)).toEqual([]);
    expect((await call(['list', ...v0])).out).toContain('chats');
    const { err } = await call(['create', '--url', url, '--name', 'bare', '--type', 'all', ...v0]);
    expect(err).toContain('anybody can send');
    expect(await call(['delete', 'chats', '--yes', ...v0])).toMatchObject({ status: 0 });
  });

  it.each([
    [['rotate-secret', 'x', '--provider', 'shodai'], /delete the webhook, and create it anew/],
    [['rotate-secret', 'x', '--provider', 'v0'], /does not sign/],
    [['test', 'x', '--provider', 'v0'], /has no call for it/],
    [
      ['create', '--url', url, '--type', 'all', '--name', 'x', '--secret-file', 'f', '--provider', 'v0'],
      /does not sign/,
    ],
  ])('%j is not possible', async (args, message) => {
    const { status, err } = await workplace().call(args);
    expect(err).toMatch(message);
    expect(status).toBe(2);
  });
});

describe('--help', () => {
  it.each(['types', 'list', 'create', 'update', 'delete', 'rotate-secret', 'test', 'verify', 'doctor'])(
    'of %s',
    async (name) => {
      const { status, out } = await workplace().call([name, '--help']);
      expect(status).toBe(0);
      expect(out).toContain(`Usage: vast-webhook ${name}`);
      if (name !== 'verify') expect(out.replace(/\s+/g, ' ')).toMatch(/--api-key <key>.*\(ps\)/);
    },
  );
});
