import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  databaseUrl,
  describeWithPostgres,
  describeWithPrivateRedis,
  describeWithRedis,
  redisUrl,
  uniqueName,
} from '../support/backends.js';
import { googleChatStandIn, slackStandIn } from '../support/chat-stand-in.js';

import { startRedis } from '../support/servers.mjs';
import { runCommand, temporaryFolder } from './running.js';
import { anEvent, deliver, during, logLines, secret, serving, types } from './serving.js';

/** By which `serve` calls a sink. */
function nameOf(kind: string, url: string): string {
  return `${kind}-${createHash('sha256').update(url).digest('hex').slice(0, 8)}`;
}

describe("serve takes the place of the guides' adapters", () => {
  it('reads their environment variables and delivers to both chats what they delivered', async () => {
    const slack = await during(slackStandIn());
    const googleChat = await during(googleChatStandIn());
    const { url } = await serving([], { env: { SLACK_WEBHOOK_URL: slack.url, GOOGLE_CHAT_URL: googleChat.url } });
    const event = anEvent({ subject: 'Outbid', message: 'Your bid was too low' });
    const response = await deliver(url, event);
    expect(response.status).toBe(204);
    const link = 'https://cloud.vast.ai/instances/';
    const details = `type=outbid event_id=${event.event_id} severity=error`;
    expect(slack.messages.map(({ text }) => text)).toEqual([`Outbid\nYour bid was too low\n${link}\n${details}`]);
    expect(googleChat.messages).toEqual([{ text: `Outbid\n\nYour bid was too low\n\n${link}\n${details}` }]);
  });

  it('listens on 127.0.0.1, at the port of PORT and the endpoint of the guides', async () => {
    const { url, io } = await serving(['--log-events'], { env: { PORT: '1' } });
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/vast\/webhooks$/);
    expect(io.out).toContain('delivering to log; store: memory');
    const { port } = new URL(url);
    const busy = await runCommand(['serve', '--log-events'], { env: { VAST_WEBHOOK_SECRET: secret, PORT: port } });
    expect(busy.err).toContain(`port ${port} is in use`);
  });

  it('links to another console when VAST_CONSOLE says so', async () => {
    const slack = await during(slackStandIn());
    const googleChat = await during(googleChatStandIn());
    const { url } = await serving(['--slack', slack.url, '--google-chat', googleChat.url], {
      env: { VAST_CONSOLE: 'https://console.example/' },
    });
    const event = anEvent({ subject: 'Outbid <!channel>', message: 'Now' });
    expect((await deliver(url, event)).status).toBe(204);
    const details = `https://console.example/instances/\ntype=outbid event_id=${event.event_id} severity=error`;
    expect(slack.messages[0]?.text).toMatch(/^Outbid &lt;\u200B?!channel&gt;\nNow\n/);
    expect(slack.messages[0]?.text).toContain(`Now\n${details}`);
    expect(JSON.stringify(slack.messages[0]?.blocks)).toContain(
      '<https://console.example/instances/|Open the console>',
    );
    expect(googleChat.messages[0]?.text).toContain(`\n\nNow\n\n${details}`);
    expect(googleChat.messages[0]?.text).not.toContain('<!channel>');
  });

  it('takes deliveries at every path, as the adapters of the guides do', async () => {
    const { url } = await serving(['--log-events']);
    expect(url).toMatch(/\/vast\/webhooks$/);
    for (const path of ['/', '/vast/webhooks', '/vast/webhooks/more', '/health?a=b']) {
      expect((await deliver(new URL(path, url).href)).status).toBe(204);
      expect((await deliver(new URL(path, url).href, anEvent(), 'another-secret')).status).toBe(401);
    }
  });

  it('refuses what strangers post to any path, without a word about how it is mounted', async () => {
    const { url, io } = await serving(['--log-events']);
    for (const path of ['/', '/wp-login.php', '/hooks/vast', '/vast/webhooks/']) {
      expect((await fetch(new URL(path, url), { method: 'POST', body: '{}' })).status).toBe(401);
    }
    expect(io.out + io.err).not.toContain('mounted');
  });

  it('answers GET /health, and 404 to everything else', async () => {
    const { url } = await serving(['--log-events']);
    const at = (path: string, init?: RequestInit) => fetch(new URL(path, url), init);
    const health = await at('/health?probe=1');
    expect([health.status, await health.json()]).toEqual([200, { ok: true }]);
    const head = await at('/health', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    for (const [path, init] of [
      ['/', {}],
      ['/vast/webhooks', {}],
      ['/health', { method: 'PUT', body: 'x' }],
      ['/vast/webhooks/more', { method: 'PUT', body: 'x'.repeat(100_000) }],
    ] as const) {
      const response = await at(path, init);
      expect([response.status, await response.json()]).toEqual([404, { ok: false, error: 'not_found' }]);
    }
  });

  it('takes deliveries at another --path', async () => {
    const { url } = await serving(['--log-events', '--path', '/hooks/vast']);
    expect(url).toMatch(/\/hooks\/vast$/);
    expect((await deliver(url)).status).toBe(204);
    expect((await deliver(new URL('/vast/webhooks', url).href)).status).toBe(404);
  });

  it('refuses what is not genuine', async () => {
    const slack = await during(slackStandIn());
    const { url } = await serving(['--slack', slack.url]);
    expect((await deliver(url, anEvent(), 'another-secret')).status).toBe(401);
    expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(401);
    expect(slack.requests).toEqual([]);
  });

  it('delivers every type of the catalogue, and one that it does not know', async () => {
    const slack = await during(slackStandIn());
    const { url } = await serving(['--slack', slack.url]);
    for (const type of [...types, 'brand_new']) {
      expect((await deliver(url, anEvent({ notif_type: type }))).status).toBe(204);
    }
    expect(slack.messages).toHaveLength(types.length + 1);
  });
});

describe('serve delivers an event once', () => {
  it('however often it is delivered', async () => {
    const slack = await during(slackStandIn());
    const { url } = await serving(['--slack', slack.url]);
    const event = anEvent();
    for (let i = 0; i < 3; i++) expect((await deliver(url, event)).status).toBe(204);
    expect(slack.messages).toHaveLength(1);
  });

  it('each of several chats, and on a retry only those that have not had it', async () => {
    const first = await during(slackStandIn());
    const second = await during(slackStandIn());
    const googleChat = await during(googleChatStandIn());
    const { url, io } = await serving([
      '--slack',
      first.url,
      '--slack',
      second.url,
      '--google-chat',
      googleChat.url,
      '--log',
      'json',
    ]);
    second.misbehave = (res) => res.writeHead(503).end();
    const event = anEvent();
    const failed = await deliver(url, event);
    expect(failed.status).toBe(502);
    expect(await failed.json()).toEqual({
      ok: false,
      error: 'sink_failed',
      sinks: { [nameOf('slack', second.url)]: 503 },
    });
    second.misbehave = undefined;
    expect((await deliver(url, event)).status).toBe(204);
    expect([first.messages, second.messages, googleChat.messages].map(({ length }) => length)).toEqual([1, 1, 1]);
    await vi.waitUntil(() => logLines(io.out).length === 3);
    expect(logLines(io.out)[2]?.sinks).toEqual({
      [nameOf('slack', first.url)]: 'already',
      [nameOf('slack', second.url)]: 'delivered',
      [nameOf('googleChat', googleChat.url)]: 'already',
    });
  });
});

describe('serve knows an event after a restart', () => {
  async function tellTwice(store: string, cwd: string): Promise<number> {
    const slack = await during(slackStandIn());
    const event = anEvent({ event_id: uniqueName() });
    for (let i = 0; i < 2; i++) {
      const { url, stop } = await serving(['--slack', slack.url, '--store', store], { cwd });
      expect((await deliver(url, event)).status).toBe(204);
      expect(await stop()).toBe(0);
    }
    return slack.messages.length;
  }

  it('not with --store memory', async () => {
    expect(await tellTwice('memory', temporaryFolder())).toBe(2);
  });

  it('with --store sqlite:FILE, in the folder it was started in', async () => {
    const folder = temporaryFolder();
    expect(await tellTwice('sqlite:events.db', folder)).toBe(1);
    expect(readFileSync(join(folder, 'events.db')).subarray(0, 15).toString()).toBe('SQLite format 3');
  });

  it('also when VAST_WEBHOOK_STORE names it in .env', async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, '.env'), 'VAST_WEBHOOK_STORE=sqlite:events.db\n');
    const { io } = await serving(['--log-events'], { cwd });
    expect(io.out).toContain('store: sqlite:events.db');
  });

  describeWithRedis('with Redis', () => {
    it('as --store redis://...', async () => {
      expect(await tellTwice(redisUrl(), temporaryFolder())).toBe(1);
    });
  });

  describeWithPostgres('with Postgres', () => {
    it('as --store postgres://...', async () => {
      expect(await tellTwice(databaseUrl(), temporaryFolder())).toBe(1);
    });
  });
});

describeWithPrivateRedis('serve with a Redis that goes away', () => {
  it('answers 503 meanwhile, says so without the password, and goes on afterwards', async () => {
    const password = 'redis-password-of-the-tests';
    const redis = await startRedis({ password });
    onTestFinished(() => redis.close());
    const { url, io, stop } = await serving(['--log-events', '--store', redis.url]);
    expect((await deliver(url)).status).toBe(204);
    await redis.stop();
    expect((await deliver(url)).status).toBe(503);
    await redis.start();
    const event = anEvent();
    await vi.waitUntil(async () => (await deliver(url, event)).status === 204, { interval: 200 });
    expect(await stop()).toBe(0);
    expect(io.out).toContain('the store: ');
    expect(io.out + io.err).not.toContain(password);
  });
});

describe('serve with an outbox', () => {
  it('answers although the chat is down, and delivers to it later', async () => {
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => res.writeHead(503).end();
    const { url, io } = await serving(['--slack', slack.url, '--outbox', 'outbox.db']);
    expect(io.out).toContain(`delivering to ${nameOf('slack', slack.url)} through the outbox`);
    expect((await deliver(url)).status).toBe(204);
    await vi.waitUntil(() => slack.requests.length > 0);
    expect(slack.messages).toEqual([]);
    slack.misbehave = undefined;
    await vi.waitUntil(() => slack.messages.length === 1);
  });

  it('says what is given up, counts it at the start, and delivers it again when asked to', async () => {
    const cwd = temporaryFolder();
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => res.writeHead(404).end('no_service');
    const args = ['--slack', slack.url, '--outbox', 'outbox.db'];
    const first = await serving(args, { cwd });
    expect((await deliver(first.url)).status).toBe(204);
    await first.io.printed(/slack-[0-9a-f]{8}: given up after one attempt.*404 \(no_service\)/);
    await first.stop();
    slack.misbehave = undefined;
    const second = await serving(args, { cwd });
    expect(second.io.out).toContain('dead letters in outbox.db: 1; --redeliver delivers them again');
    await second.stop();
    expect(slack.messages).toEqual([]);
    const third = await serving([...args, '--redeliver'], { cwd });
    await vi.waitUntil(() => slack.messages.length === 1);
    await third.stop();
  });
});

describe("serve's log", () => {
  it('as JSON has a line for each thing that happens', async () => {
    const slack = await during(slackStandIn());
    const { url, io, stop } = await serving(['--slack', slack.url, '--log', 'json', '--log-events'], {
      env: { VAST_WEBHOOK_SECRET: '', VAST_WEBHOOK_SECRETS: `renter=${secret}, host=another-secret` },
    });
    const event = anEvent();
    await deliver(url, event);
    await deliver(url, event, 'another-secret');
    await deliver(url, event, 'a-forgery');
    await stop();
    const lines = logLines(io.out);
    for (const line of lines) {
      expect(line).toMatchObject({
        time: expect.stringMatching(/Z$/),
        level: expect.any(String),
        message: expect.any(String),
      });
    }
    expect(lines).toMatchObject([
      {
        message: `listening on ${url} and every other path, delivering to ${nameOf('slack', slack.url)}, log; store: memory`,
        url,
        sinks: [nameOf('slack', slack.url), 'log'],
      },
      { message: 'event', event, delivery: { id: event.event_id, webhook: 'renter' } },
      {
        level: 'info',
        result: 'accepted',
        status: 204,
        event_id: event.event_id,
        type: 'outbid',
        webhook: 'renter',
        attempt: 1,
        sinks: { [nameOf('slack', slack.url)]: 'delivered', log: 'delivered' },
      },
      { level: 'info', result: 'duplicate', webhook: 'host' },
      { level: 'warn', result: 'rejected', status: 401, code: 'invalid_signature', reason: 'signature_mismatch' },
      { message: 'closing' },
    ]);
  });

  it('as text can be read, and no event can break or colour a line', async () => {
    const { url, io, stop } = await serving(['--log-events']);
    const event = anEvent({ subject: 'two\nlines \u001b[31mred' });
    await deliver(url, event);
    await deliver(url, event);
    await deliver(url, event, 'a-forgery');
    await stop();
    const lines = io.out.trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\S+Z \P{Cc}+$/u);
    expect(lines[1]).toContain(`event outbid ${event.event_id}: two lines  [31mred - `);
    expect(lines[2]).toMatch(new RegExp(`accepted 204 outbid ${event.event_id} in \\d+ ms: log delivered$`));
    expect(lines[3]).toMatch(/duplicate 204 outbid/);
    expect(lines[4]).toMatch(/rejected 401 in \d+ ms: invalid_signature \(signature_mismatch\): /);
  });

  it('has colours on a terminal only, and not with NO_COLOR', async () => {
    const coloured = await serving(['--log-events'], { isTTY: true });
    await deliver(coloured.url);
    await coloured.io.printed(/ .{5}accepted/);
    expect(coloured.io.out).toContain('\u001b[32maccepted');
    const plain = await serving(['--log-events'], { isTTY: true, env: { NO_COLOR: '1' } });
    await deliver(plain.url);
    await plain.io.printed(/ accepted/);
    expect(plain.io.out).not.toContain('\u001b');
  });

  it('never holds a secret or the URL of a chat, whatever fails', async () => {
    const slack = await during(slackStandIn());
    const googleChat = await during(googleChatStandIn());
    for (const format of ['text', 'json']) {
      const args = ['--slack', slack.url, '--google-chat', googleChat.url, '--log', format, '--secret', secret];
      const { url, io, stop } = await serving(args);
      slack.misbehave = (res, req) => res.writeHead(500).end(`cannot ${req.url}`);
      googleChat.misbehave = (res) => res.destroy();
      expect((await deliver(url)).status).toBe(502);
      await deliver(url, anEvent(), 'a-forgery');
      await stop();
      for (const text of [secret, slack.token, googleChat.token, 'secretGoogleKey', '/services/']) {
        expect(io.out + io.err).not.toContain(text);
      }
    }
  });
});

describe('serve gets its secret', () => {
  it('from a file, which it reads again when a secret has been rotated', async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'secret'), `${secret}\n`);
    const { url } = await serving(['--log-events', '--secret-file', 'secret'], {
      cwd,
      env: { VAST_WEBHOOK_SECRET: '' },
    });
    expect((await deliver(url)).status).toBe(204);
    writeFileSync(join(cwd, 'secret'), `${secret}\nthe-next-secret\n`);
    const event = anEvent();
    // It asks again once in ten seconds, and has the sender wait until then.
    await vi.waitUntil(async () => (await deliver(url, event, 'the-next-secret')).status === 204, {
      interval: 500,
    });
    expect((await deliver(url)).status).toBe(204);
  });

  it('from a file that was changed before the first delivery came', async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'secret'), `${secret}\n`);
    const { url } = await serving(['--log-events', '--secret-file', 'secret'], {
      cwd,
      env: { VAST_WEBHOOK_SECRET: '' },
    });
    writeFileSync(join(cwd, 'secret'), 'the-next-secret\n');
    expect((await deliver(url, anEvent(), 'the-next-secret')).status).toBe(204);
  });

  it('from another variable, or .env', async () => {
    const other = await serving(['--log-events', '--secret-env', 'OTHER'], { env: { OTHER: 'another-secret' } });
    expect((await deliver(other.url, anEvent(), 'another-secret')).status).toBe(204);
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, '.env'), 'VAST_WEBHOOK_SECRET="from-the-file"\n');
    const file = await serving(['--log-events'], { cwd, env: { VAST_WEBHOOK_SECRET: '' } });
    expect((await deliver(file.url, anEvent(), 'from-the-file')).status).toBe(204);
  });
});

describe('serve ends at once, with 1 and a sentence that says what to do,', () => {
  const chat = 'https://hooks.slack.com/services/T0/B0/secretslacktoken';

  async function refusal(args: readonly string[], env: Record<string, string> = {}, cwd?: string): Promise<string> {
    const { status, out, err } = await runCommand(['serve', '--port', '0', ...args], {
      cwd,
      env: { VAST_WEBHOOK_SECRET: secret, ...env },
    });
    expect(status).toBe(1);
    expect(out).toBe('');
    expect(err).toMatch(/^vast-webhook: [^\n]+\n$/);
    expect(err).not.toContain('secretslacktoken');
    expect(err).not.toContain('the-password');
    return err;
  }

  it('without a secret', async () => {
    expect(await refusal(['--log-events'], { VAST_WEBHOOK_SECRET: '' })).toContain('set VAST_WEBHOOK_SECRET');
    expect(await refusal(['--log-events', '--secret-env', 'MINE'])).toContain('set MINE');
  });

  it('with an empty secret, or one with white space', async () => {
    expect(await refusal(['--log-events', '--secret', ''])).toContain('is empty');
    expect(await refusal(['--log-events'], { VAST_WEBHOOK_SECRET: 'secret\n' })).toContain('white space');
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'secret'), '\n\n');
    expect(await refusal(['--log-events', '--secret-file', 'secret'], {}, cwd)).toContain('is empty');
    expect(await refusal(['--log-events', '--secret-file', 'none'], {}, cwd)).toContain('cannot be read (ENOENT)');
    const unlabelled = await refusal(['--log-events'], { VAST_WEBHOOK_SECRETS: 'secretslacktoken' });
    expect(unlabelled).toContain('a label before each secret');
  });

  it('with a secret beside the labelled ones, whose deliveries it would refuse', async () => {
    const list = { VAST_WEBHOOK_SECRETS: 'renter=one,host=two' };
    const err = await refusal(['--log-events'], { ...list, VAST_WEBHOOK_SECRET: 'secretslacktoken' });
    expect(err).toContain('VAST_WEBHOOK_SECRET and VAST_WEBHOOK_SECRETS are both set');
    expect(err).toContain('--secret-env');
    const twice = await refusal(['--log-events'], { VAST_WEBHOOK_SECRETS: 'host=secretslacktoken,host=another' });
    expect(twice).toContain('the label host is in VAST_WEBHOOK_SECRETS twice');
    // The next thing that is wrong.
    expect(await refusal([], { ...list, VAST_WEBHOOK_SECRET: 'two' })).toContain('set SLACK_WEBHOOK_URL');
  });

  it('without a chat', async () => {
    expect(await refusal([])).toContain('set SLACK_WEBHOOK_URL or GOOGLE_CHAT_URL');
  });

  it('with a sink that is none', async () => {
    expect(await refusal(['--sink', 'https://discord.example/secretslacktoken'])).toContain(
      'discord.example is not known',
    );
    expect(await refusal(['--sink', 'secretslacktoken'])).toContain('this is no address');
    expect(await refusal(['--sink', 'https://hooks.slack.com/secretslacktoken'])).toContain('is not known');
    expect(await refusal(['--sink', 'http://discord.com/api/webhooks/1/secretslacktoken'])).toContain('is not known');
    expect(await refusal(['--slack', 'secretslacktoken'])).toContain('must be an https:// address');
    expect(await refusal(['--sink', chat], { VAST_CONSOLE: 'nowhere' })).toContain('VAST_CONSOLE must be');
  });

  it('with a port that is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    expect(await refusal(['--log-events', '--port', String(port)])).toBe(
      `vast-webhook: port ${port} is in use: stop what uses it, or give another one with --port\n`,
    );
    const withOutbox = ['--log-events', '--port', String(port), '--store', 'sqlite:events.db', '--outbox', 'outbox.db'];
    expect(await refusal(withOutbox)).toContain('is in use');
    expect(await refusal(['--log-events', '--host', '192.0.2.1'])).toContain('is no address of this machine');
    const { status, err } = await runCommand(['serve', '--log-events'], {
      env: { VAST_WEBHOOK_SECRET: secret, PORT: 'x' },
    });
    expect([status, err]).toEqual([1, 'vast-webhook: PORT must be a number from 0 to 65535\n']);
  });

  it('with a file that cannot be used', async () => {
    const cwd = temporaryFolder();
    writeFileSync(
      join(cwd, 'text.db'),
      'this is no database, but a text that is long enough to be read as one'.repeat(20),
    );
    mkdirSync(join(cwd, 'folder'));
    for (const file of ['text.db', 'folder', 'none/events.db']) {
      expect(await refusal(['--log-events', '--store', `sqlite:${file}`], {}, cwd)).toContain('cannot be used');
      expect(await refusal(['--log-events', '--outbox', file], {}, cwd)).toContain('cannot be used');
    }
  });

  it('with a server that is not there', async () => {
    for (const [url, server] of [
      ['redis://:the-password@127.0.0.1:1/0', 'redis://127.0.0.1:1/0'],
      ['postgres://me:the-password@127.0.0.1:1/db', 'postgres://127.0.0.1:1/db'],
    ] as const) {
      const err = await refusal(['--log-events', '--store', url]);
      expect(err).toContain(`${server} cannot be used`);
      expect(err).toContain('ECONNREFUSED');
    }
    const unencoded = await refusal(['--log-events', '--store', 'redis://:the-password%zz@127.0.0.1:1']);
    expect(unencoded).toContain('written as %25');
    for (const url of [
      'postgres://app:2024/the-password@127.0.0.1:5432/app',
      'postgres://app:2024?the-password@127.0.0.1:5432/app',
      'postgres://app:2024#the-password@127.0.0.1:5432/app',
      'postgres://app:x/the-password@127.0.0.1:5432/app',
      'postgres://app:x@1/the-password@127.0.0.1:5432/app',
      'redis://:2024/the-password@127.0.0.1:6379',
    ]) {
      expect(await refusal(['--log-events', '--store', url])).toContain('must be written as %2F, %3F, %23 or %40');
    }
    for (const store of ['mysql://x', 'sqlite:', 'redis']) {
      expect(await refusal(['--log-events', '--store', store])).toContain('--store must be memory');
    }
  });
});

describe('serve --help', () => {
  it('has a form of address for each sink that has one', async () => {
    const { out } = await runCommand(['serve', '--help']);
    const { err } = await runCommand(['serve', '--sink', 'nothing'], { env: { VAST_WEBHOOK_SECRET: secret } });
    const forms = err.match(/[a-z+]+:\/\/[^\s,]+/g) ?? [];
    expect(forms.length).toBeGreaterThan(12);
    for (const form of forms) expect(out).toContain(form);
  });
});

describe('serve called wrongly ends with 2', () => {
  it.each([
    [['--prot', '1'], /Did you mean --port/],
    [['--port', '70000'], /from 0 to 65535/],
    [['--log', 'xml'], /Allowed choices are text, json/],
    [['--redeliver', '--log-events'], /--outbox/],
  ])('%j', async (args, message) => {
    const { status, err } = await runCommand(['serve', ...args], { env: { VAST_WEBHOOK_SECRET: secret } });
    expect(status).toBe(2);
    expect(err).toMatch(message);
  });

  it.each([
    [['--sinks=tgram://1:secretslacktoken/2'], "unknown option '--sinks'"],
    [['--secret-fil=secretslacktoken'], "unknown option '--secret-fil'"],
    [['-s=tgram://secretslacktoken'], "unknown option '...'"],
    [['--port', "tgram://it's/secretslacktoken"], "argument '...' is invalid"],
    [['--port=tgram://secretslacktoken'], "argument '...' is invalid"],
    [['--log-events', 'tgram://secretslacktoken'], 'too many arguments'],
  ])('%j, without the value in the error', async (args, message) => {
    for (const log of [[], ['--log', 'json']]) {
      const { status, out, err } = await runCommand(['serve', ...log, ...args], {
        env: { VAST_WEBHOOK_SECRET: secret },
      });
      expect(status).toBe(2);
      expect(out + err).toContain(message);
      expect(out + err).not.toContain('secretslacktoken');
    }
  });

  it('an address in the place of the subcommand, without it in the error', async () => {
    const { status, err } = await runCommand(['tgram://secretslacktoken']);
    expect([status, err]).toEqual([2, expect.stringContaining("unknown command '...'")]);
    expect(err).not.toContain('secretslacktoken');
  });
});

describe('serve ends when it is interrupted', () => {
  it('after what is under way, with 0', async () => {
    const slack = await during(slackStandIn());
    const answers: (() => void)[] = [];
    slack.misbehave = (res) => answers.push(() => res.end('ok'));
    const { url, io, stop } = await serving(['--slack', slack.url]);
    const arrival = slack.nextRequest();
    const response = deliver(url);
    await arrival;
    const stopped = stop();
    await io.printed(/closing/);
    await expect(fetch(new URL('/health', url), { headers: { Connection: 'close' } })).rejects.toThrow();
    for (const answer of answers) answer();
    expect((await response).status).toBe(204);
    expect(await stopped).toBe(0);
  });
});
