import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { checkWritable, readiness } from '../../src/cli/serve/readiness.js';
import { statusPages } from '../../src/cli/serve/status-pages.js';
import { describeWithPrivateRedis } from '../support/backends.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { parseExposition } from '../support/exposition.js';
import { startRedis } from '../support/servers.mjs';
import { openHere } from '../support/sqlite.js';
import { listen } from './listen.js';
import { runCommand, temporaryFolder } from './running.js';
import { anEvent, deliver, during, logLines, secret, serving } from './serving.js';

const at = (url: string, path: string) => fetch(new URL(path, url), { headers: { connection: 'close' } });

async function statusOf(url: string, path = '/ready'): Promise<unknown> {
  const response = await at(url, path);
  return [response.status, await response.json()];
}

const isReady = [200, { ok: true }];

describe('GET /ready', () => {
  it.each([
    ['memory', []],
    ['a store in a file', ['--store', 'sqlite:store.db']],
    ['an outbox', ['--outbox', 'outbox.db']],
  ])('is 200 with %s that works', async (_what, args) => {
    const { url } = await serving(['--log-events', ...args]);
    expect(await statusOf(url)).toEqual(isReady);
    expect(await statusOf(url, '/health')).toEqual(isReady);
  });

  it.each([
    ['--outbox', 'x.db', 'outbox_unavailable'],
    ['--store', 'sqlite:x.db', 'store_unavailable'],
  ])('is 503 while the file of %s is locked, and 200 afterwards', async (option, value, error) => {
    const cwd = temporaryFolder();
    const { url, io } = await serving(['--log-events', option, value, '--log', 'json'], { cwd });
    const other = openHere(join(cwd, 'x.db'));
    onTestFinished(() => void other.close());
    other.exec('BEGIN IMMEDIATE');
    await vi.waitFor(async () => expect(await statusOf(url)).toEqual([503, { ok: false, error }]), 10_000);
    expect(await statusOf(url, '/health')).toEqual(isReady);
    other.exec('ROLLBACK');
    await vi.waitFor(async () => expect(await statusOf(url)).toEqual(isReady), 10_000);
    const notes = logLines(io.out).map(({ message }) => message);
    expect(notes).toContain('not ready: database is locked');
    expect(notes).toContain('ready again');
  });

  it('is 503 when the file of the outbox was deleted, because what is written to it is lost', async () => {
    const cwd = temporaryFolder();
    const { url } = await serving(['--log-events', '--outbox', 'x.db'], { cwd });
    expect(await statusOf(url)).toEqual(isReady);
    for (const file of readdirSync(cwd)) rmSync(join(cwd, file));
    await vi.waitFor(async () => {
      expect(await statusOf(url)).toEqual([503, { ok: false, error: 'outbox_unavailable' }]);
    }, 10_000);
  });

  it('is 503 while the outbox may only be read', async () => {
    const cwd = temporaryFolder();
    const db = openHere(join(cwd, 'x.db'));
    onTestFinished(() => void db.close());
    db.exec('PRAGMA user_version = 7');
    checkWritable(db);
    expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: 7 });
    db.exec('PRAGMA query_only = 1');
    expect(() => checkWritable(db)).toThrow(/readonly/);
    db.exec('PRAGMA query_only = 0');
    checkWritable(db);
  });

  it('is 503 as soon as it is closing, for connections that are open still', async () => {
    const closing = new AbortController();
    const changes: unknown[] = [];
    const pages = statusPages({
      unready: async () => undefined,
      closing: closing.signal,
      metrics: undefined,
      onChange: (unready) => changes.push(unready),
    });
    const origin = await listen(pages);
    expect(await statusOf(origin)).toEqual(isReady);
    closing.abort();
    expect(await statusOf(origin)).toEqual([503, { ok: false, error: 'closing' }]);
    expect(await statusOf(origin, '/health')).toEqual(isReady);
    expect(changes).toEqual([]);
  });

  it('asks at most once a second, and waits for an answer no longer than it may take', async () => {
    let asked = 0;
    const unready = readiness({ store_unavailable: () => asked++ }, 1_000);
    await Promise.all(Array.from({ length: 20 }, unready));
    await unready();
    expect(asked).toBe(1);
    const hanging = readiness({ store_unavailable: () => new Promise(() => {}) }, 20);
    expect(await hanging()).toEqual({ code: 'store_unavailable', reason: 'no answer within 20 ms' });
  });
});

describeWithPrivateRedis('GET /ready with a Redis that goes away', () => {
  it('is 503 meanwhile, and 200 when it is back', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.close());
    const { url } = await serving(['--log-events', '--store', redis.url]);
    expect(await statusOf(url)).toEqual(isReady);
    await redis.stop();
    await vi.waitFor(
      async () => expect(await statusOf(url)).toEqual([503, { ok: false, error: 'store_unavailable' }]),
      20_000,
    );
    await redis.start();
    await vi.waitFor(async () => expect(await statusOf(url)).toEqual(isReady), 20_000);
  });
});

describe('GET /metrics', () => {
  it('is not there unless it is asked for', async () => {
    const { url } = await serving(['--log-events']);
    expect((await at(url, '/metrics')).status).toBe(404);
  });

  it('has the deliveries, the outbox by sink, and the process', async () => {
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => res.writeHead(404).end('no_service');
    const { url, io } = await serving(['--slack', slack.url, '--outbox', 'outbox.db', '--metrics']);
    expect((await deliver(url)).status).toBe(204);
    await io.printed(/given up/);
    const response = await at(url, '/metrics');
    expect([response.status, response.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ]);
    const text = await response.text();
    const { samples } = parseExposition(text);
    const valueIn = (name: string) => Object.entries(samples).find(([key]) => key.startsWith(`${name}{`))?.[1];
    expect(valueIn('vast_webhook_deliveries_total')).toBe(1);
    await vi.waitFor(async () => {
      const now = parseExposition(await (await at(url, '/metrics')).text()).samples;
      expect(Object.entries(now).find(([key]) => key.startsWith('vast_webhook_outbox_dead_letters{'))?.[1]).toBe(1);
    });
    expect(valueIn('vast_webhook_outbox_waiting')).toBeDefined();
    expect(text).toContain('process_resident_memory_bytes');
    expect(text).not.toContain(new URL(slack.url).pathname);
  });
});

describe('a JSON log has no other lines', () => {
  it.each([
    ['a wrong option', ['--nonsense'], 2],
    ['a wrong value', ['--port', 'none'], 2],
    ['no chat', [], 1],
    ['a store that cannot be opened', ['--log-events', '--store', 'sqlite:/nowhere/at/all'], 1],
    ['a store that is none', ['--log-events', '--store', 'mysql://x'], 1],
  ])('when the start fails of %s', async (_what, args, expected) => {
    const env = { VAST_WEBHOOK_SECRET: secret };
    const text = await runCommand(['serve', ...args], { env });
    for (const format of [['--log', 'json'], ['--log=json']]) {
      const { status, out, err } = await runCommand(['serve', ...args, ...format], { env });
      expect([status, text.status]).toEqual([expected, expected]);
      expect(err).toBe('');
      const [line, ...others] = logLines(out);
      expect(others).toEqual([]);
      expect(line).toMatchObject({ level: 'error', message: expect.any(String), time: expect.any(String) });
      expect(text.err).toContain(line?.message);
    }
  });
});

describe('a flood of forgeries', () => {
  it.each(['json', 'text'])('makes one line in a %s log, and the next one has the count', async (format) => {
    const { url, io, stop } = await serving(['--log-events', '--log', format]);
    const before = io.out.split('\n').length;
    for (let i = 0; i < 40; i++) {
      expect((await deliver(url, anEvent(), 'another-secret')).status).toBe(401);
    }
    expect((await deliver(url)).status).toBe(204);
    await stop();
    // One of the forgeries, the event, its outcome, and "closing"; a second line after 10 s on a slow machine.
    const rejections = io.out
      .split('\n')
      .slice(before - 1)
      .filter((line) => line.includes('rejected'));
    expect(rejections.length).toBeLessThan(5);
    expect(io.out).toContain('accepted');
  });
});
