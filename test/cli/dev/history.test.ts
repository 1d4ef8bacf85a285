import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { LoggedDelivery } from '../../../src/cli/dev/delivery-log.js';
import { summaryOf } from '../../../src/cli/dev/delivery-log.js';
import { explain } from '../../../src/cli/dev/explain.js';
import type { ForwardAnswer } from '../../../src/cli/dev/forward.js';
import { History } from '../../../src/cli/dev/history.js';
import { asCurl, asTest } from '../../../src/cli/dev/page/copies.js';
import { sampleEvent, signedDelivery } from '../../../src/testing/index.js';
import { temporaryFile } from '../../support/temporary-file.js';
import { type DevSession, send, shownDeliveries, startDev } from '../dev-session.js';
import { deliveryOf } from './logged.js';

const numbered = (number: number, changes: Partial<LoggedDelivery> = {}) =>
  deliveryOf(`{"number":${number}}`, { number, ...changes });
const numbersOf = (deliveries: readonly LoggedDelivery[]) => deliveries.map(({ number }) => number);

function historyAt(path: string, options: Partial<ConstructorParameters<typeof History>[0]> = {}) {
  const onError = vi.fn();
  const history = new History({ path, kept: 100, keptBytes: 1_000_000, secrets: [], onError, ...options });
  return { history, onError };
}

async function write(path: string, deliveries: readonly LoggedDelivery[], options = {}): Promise<void> {
  const { history, onError } = historyAt(path, options);
  history.open();
  for (const delivery of deliveries) history.put(delivery);
  await history.flush();
  expect(onError).not.toHaveBeenCalled();
}

const read = (path: string, options = {}) => historyAt(path, options).history.open();

describe('the history of dev', () => {
  it('keeps deliveries as they were, of each number the last state, for its owner only', async () => {
    const path = temporaryFile('dev.jsonl');
    const first = numbered(1, { forwarded: 'pending' });
    const last = numbered(1, { sinks: { slack: 'delivered' } });
    await write(path, [first, numbered(2), last]);
    expect(read(path)).toEqual([
      { ...last, isEarlier: true },
      { ...numbered(2), isEarlier: true },
    ]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('survives a write that was torn anywhere, and writes on behind it', async () => {
    const path = temporaryFile('dev.jsonl');
    await write(path, [numbered(1), numbered(2)]);
    const whole = readFileSync(path);
    const firstLine = whole.indexOf('\n') + 1;
    for (let end = firstLine; end < whole.length; end += 7) {
      writeFileSync(path, whole);
      truncateSync(path, end);
      await write(path, [numbered(3)]);
      // The last line is whole without its newline.
      expect([
        [1, 3],
        [1, 2, 3],
      ]).toContainEqual(numbersOf(read(path)));
    }
  });

  it('leaves out what is none of its lines', async () => {
    const path = temporaryFile('dev.jsonl');
    await write(path, [numbered(6)]);
    for (const line of ['nonsense', '{}', 'null', '[]', '{"number":1}', JSON.stringify(numbered(7)), '\u0000\u0000'])
      appendFileSync(path, `${line}\n`);
    expect(numbersOf(read(path))).toEqual([6, 7]);
  });

  it('leaves out or mends lines of which the page could show nothing', () => {
    const path = temporaryFile('dev.jsonl');
    const odd: unknown[] = [7, -1, 1.5, 1e308, 'x', '', {}, [], null, true, { status: 'x' }, { length: 1 }];
    const fields = Object.keys({ ...numbered(1), forwarded: 0 });
    let number = 0;
    const lines = [JSON.stringify(numbered(++number))];
    for (const field of fields) {
      for (const value of odd) {
        lines.push(JSON.stringify({ ...numbered(++number), id: 'i', type: 't', subject: 's', [field]: value }));
      }
      lines.push(JSON.stringify({ ...numbered(++number), [field]: undefined }));
    }
    writeFileSync(path, `${lines.join('\n')}\n`);
    const deliveries = read(path, { kept: 1_000 });
    expect(deliveries.length).toBeGreaterThan(fields.length);
    for (const delivery of deliveries) {
      // What the server and the page do with them.
      summaryOf(delivery);
      explain(delivery, { secrets: [{ from: 'x', value: 'x', isGiven: true }], apiKey: undefined });
      new Date(delivery.at).toISOString();
      asCurl(delivery, 'http://127.0.0.1/');
      asTest(delivery, 'http://127.0.0.1/');
      const { forwarded, result, sinks, ...rest } = delivery;
      expect(['accepted', 'duplicate', 'rejected', 'failed']).toContain(result);
      expect(Number.isSafeInteger(delivery.number + 1)).toBe(true);
      if (forwarded !== undefined) expect((forwarded as ForwardAnswer).ms.toFixed()).toBeTypeOf('string');
      for (const text of Object.values(sinks)) expect(text).toBeTypeOf('string');
      for (const [name, value] of Object.entries(rest)) {
        if (name !== 'headers') expect(typeof value, name).not.toBe('object');
      }
      for (const value of [rest.id, rest.type, rest.subject, rest.code, rest.reason, rest.message, rest.cannotResend])
        expect(['string', 'undefined']).toContain(typeof value);
    }
  });

  it('leaves a file alone that is none of its own', () => {
    for (const text of ['A=1\n', '{"name":"mine"}\n', '\n', '[{"number":1}]', 'x'.repeat(20)]) {
      const path = temporaryFile('dev.jsonl');
      writeFileSync(path, text);
      expect(() => read(path)).toThrow(expect.objectContaining({ code: 'no history of dev' }));
      expect(readFileSync(path, 'utf8')).toBe(text);
    }
  });

  it('is bounded, by number and by bytes, also while it runs', async () => {
    const path = temporaryFile('dev.jsonl');
    const many = Array.from({ length: 30 }, (_, index) => numbered(index + 1));
    await write(path, many, { kept: 5 });
    expect(numbersOf(read(path, { kept: 5 }))).toEqual([26, 27, 28, 29, 30]);

    const large = (number: number) => deliveryOf('x'.repeat(10_000), { number });
    const keptBytes = 35_000;
    const { history } = historyAt(path, { keptBytes });
    history.open();
    for (let number = 31; number < 60; number++) {
      history.put(large(number));
      await history.flush();
      expect(statSync(path).size).toBeLessThanOrEqual(3 * keptBytes);
    }
    await history.flush();
    expect(numbersOf(read(path, { keptBytes }))).toEqual([57, 58, 59]);
    expect(await readdir(dirname(path))).toEqual(['dev.jsonl']);
  });

  it('holds no secret: neither one that is known, nor headers that authorise', async () => {
    const path = temporaryFile('dev.jsonl');
    const secret = 'the "secret"\\';
    const short = 'body';
    const headers: [string, string][] = [
      ['Authorization', 'Bearer of-a-proxy'],
      ['cookie', 'of-a-proxy'],
      ['Cf-Access-Jwt-Assertion', 'of-a-proxy'],
      ['X-Api-Key', 'of-a-proxy'],
      ['X-Auth-Key', 'of-a-proxy'],
      ['Ocp-Apim-Subscription-Key', 'of-a-proxy'],
      ['X-Odd', secret],
      ['Content-Type', 'application/json'],
    ];
    const body = JSON.stringify({ subject: secret });
    const fields = ['path', 'message', 'id', 'type', 'subject'].map((field) => [field, `no ${secret}`]);
    const forwarded = { status: 500, error: undefined, body: secret, ms: 1, headers: { 'content-type': secret } };
    const changes = { headers, forwarded, sinks: { own: `no ${secret}` }, ...Object.fromEntries(fields) };
    await write(path, [deliveryOf(body, changes)], { secrets: [secret, short] });
    const text = readFileSync(path, 'utf8');
    expect(text).not.toMatch(/of-a-proxy|the \\+"secret/);
    const [kept] = read(path);
    expect(kept?.headers.at(-1)).toEqual(['Content-Type', 'application/json']);
    expect(kept?.cannotResend).toMatch(/a secret was taken out of it/);
  });

  it('reports once that the file cannot be written, and goes on', async () => {
    const path = temporaryFile('dev.jsonl');
    const { history, onError } = historyAt(path);
    history.open();
    // Even for root.
    await rm(path);
    await mkdir(path);
    history.put(numbered(1));
    await history.flush();
    history.put(numbered(2));
    await history.flush();
    expect(onError).toHaveBeenCalledOnce();
  });
});

describe('dev over restarts', () => {
  const secret = 'a-secret-of-the-environment';
  const deliver = async (session: DevSession, subject: string) => {
    const request = signedDelivery({ ...sampleEvent('outbid'), subject }, secret);
    await send(await session.receiverUrl(), { method: 'POST', ...request });
  };

  it('shows what an earlier run of the same folder has received, and counts on', async () => {
    const history = temporaryFile('dev.jsonl');
    const env = { VAST_WEBHOOK_SECRET: secret };
    const first = await startDev(['--history', history], env);
    await deliver(first, 'before');
    first.io.interrupt();
    expect(await first.ended).toBe(0);
    expect(readFileSync(history, 'utf8')).not.toContain(secret);

    const second = await startDev(['--history', history], env);
    await deliver(second, 'after');
    expect(await shownDeliveries(second, 2)).toMatchObject([
      { number: 1, subject: 'before', isEarlier: true },
      { number: 2, subject: 'after', isEarlier: false },
    ]);
  });

  it('keeps it in the home of the user by default, and nowhere with --no-history', async () => {
    const home = dirname(temporaryFile('x'));
    const env = { VAST_WEBHOOK_SECRET: secret, HOME: home };
    for (const args of [['--no-history'], []]) {
      const session = await startDev(args, env);
      await send(await session.receiverUrl());
      session.io.interrupt();
      await session.ended;
      const files = await readdir(join(home, '.local/state/vast-webhook')).catch(() => []);
      expect(files).toEqual(args.length === 0 ? [expect.stringMatching(/^dev-[0-9a-f]{16}\.jsonl$/)] : []);
    }
  });

  it('is kept by one run at a time, which loses nothing to another', async () => {
    const home = dirname(temporaryFile('x'));
    const env = { VAST_WEBHOOK_SECRET: secret, HOME: home };
    const history = join(home, 'a', 'b', 'dev.jsonl');
    const first = await startDev(['--history', history], env);
    await first.pageUrl();
    const second = await startDev(['--history', history], env);
    expect(await second.ended).toBe(1);
    expect(second.io.err).toMatch(
      /another vast-webhook is writing it; if there is none, remove \S+\.lock\): give another/,
    );
    await deliver(first, 'of the first');
    first.io.interrupt();
    await first.ended;
    expect(await readdir(dirname(history))).toEqual(['dev.jsonl']);
    expect(statSync(dirname(history)).mode & 0o777).toBe(0o700);
    const third = await startDev(['--history', history], env);
    expect(await shownDeliveries(third, 1)).toMatchObject([{ subject: 'of the first' }]);
  });

  it('is not kept by the second of two runs in one folder, which receives all the same', async () => {
    const env = { VAST_WEBHOOK_SECRET: secret, HOME: dirname(temporaryFile('x')) };
    const first = await startDev([], env);
    await first.pageUrl();
    const second = await startDev([], env, undefined, first.cwd);
    await second.printed(/deliveries are not kept for the next time: \S+ cannot be used \(another vast-webhook/);
    await deliver(second, 'of the second');
    await deliver(first, 'of the first');
    expect(await shownDeliveries(first, 1)).toMatchObject([{ subject: 'of the first' }]);
    for (const session of [first, second]) {
      session.io.interrupt();
      await session.ended;
    }
    const next = await startDev([], env, undefined, first.cwd);
    expect(await shownDeliveries(next, 1)).toMatchObject([{ subject: 'of the first' }]);
  });

  it('is an error with a file that cannot be used', async () => {
    const session = await startDev(['--history', '/dev/null/x']);
    expect(await session.ended).toBe(1);
    expect(session.io.err).toMatch(/^vast-webhook: --history: .*\(E\w+\): give another file\n$/);
  });
});
