import { spawn, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { LoggedDelivery } from '../../../src/cli/dev/delivery-log.js';
import { asCurl, asJson, asTest } from '../../../src/cli/dev/page/copies.js';
import { readCapture } from '../../../src/cli/shared/capture.js';
import { verifyDelivery } from '../../../src/index.js';
import { signedDelivery } from '../../../src/testing/index.js';
import { receiving } from '../receiving.js';
import { deliveryOf } from './logged.js';

const secret = 'a-secret-of-the-environment';
const nasty = `{"event_id":"a","notif_type":"outbid","subject":"it's $HOME \`id\` \\"q\\" \\\\ é 👩‍💻 \u009b201~\u202e' 1"}`;
const hasTools = ['bash', 'curl', 'openssl'].every((tool) => spawnSync(tool, ['--version']).error === undefined);

async function run(copy: (url: string) => string) {
  const app = await receiving();
  const child = spawn('bash', ['-c', copy(app.url)], { env: { PATH: process.env.PATH, VAST_WEBHOOK_SECRET: secret } });
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect(status).toBe(0);
  const [received] = app.received;
  if (received === undefined) throw new Error('nothing came');
  return received;
}

describe.skipIf(!hasTools)('a copy as curl, run by bash', () => {
  for (const [what, body] of [
    ['plain', '{"event_id":"a","notif_type":"outbid","subject":"x"}'],
    ['nasty', nasty],
  ] as const) {
    it(`signs a genuine delivery afresh, with the same bytes: ${what}`, async () => {
      const received = await run((url) => asCurl(deliveryOf(body, { id: 'a' }), url));
      expect(received.body.toString()).toBe(body);
      expect(verifyDelivery({ ...received, secret }).delivery.id).toBe('a');
    });
  }

  it('sends another one as it came', async () => {
    const received = await run((url) => asCurl(deliveryOf(nasty), url));
    expect(received.body.toString()).toBe(nasty);
    expect(received.headers).toMatchObject({ 'x-vast-timestamp': '1795262400' });
  });

  it('sends what is no text, too', async () => {
    const bytes = Buffer.from([0, 0xff, 10, 39]);
    const received = await run((url) => asCurl(deliveryOf(bytes.toString('base64'), { isBase64: true }), url));
    expect(received.body).toEqual(bytes);
  });

  it('has no control character, which could end a paste and begin a command', () => {
    const headers: LoggedDelivery['headers'] = [['X-Odd', '\u001b[201~\u009b']];
    for (const id of ['a', undefined]) {
      const copy = asCurl(deliveryOf(nasty, { id, headers }), 'http://127.0.0.1/');
      expect(copy).toMatch(/^[\n -~]*$/);
    }
  });
});

describe('a copy as JSON', () => {
  it('is a capture that verify reads, with the same bytes', () => {
    for (const delivery of [deliveryOf(nasty), deliveryOf('AP8=', { isBase64: true })]) {
      const copy = asJson(delivery);
      expect(copy).not.toMatch(/[\u007f-\u009f\u202e]/);
      const capture = readCapture(Buffer.from(copy), false);
      expect(capture?.body).toEqual(Buffer.from(delivery.body, delivery.isBase64 ? 'base64' : 'utf8'));
      expect(capture?.headers.get('x-vast-timestamp')).toBe('1795262400');
      expect(capture?.receivedAt).toBe(delivery.at);
    }
  });
});

describe('a copy as a test', () => {
  /** Runs the test, with what it imports at hand. */
  async function pass(delivery: LoggedDelivery, status: number) {
    const app = await receiving((res) => res.writeHead(status).end());
    const source = asTest(delivery, app.url).replace(/^import .*\n/gm, '');
    const tests: (() => Promise<void>)[] = [];
    const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
    const process = { env: { VAST_WEBHOOK_SECRET: secret } };
    await AsyncFunction(
      'it',
      'expect',
      'signedDelivery',
      'process',
      source,
    )((_title: string, test: () => Promise<void>) => tests.push(test), expect, signedDelivery, process);
    await tests[0]?.();
    return app.received[0];
  }

  it('sends a genuine delivery signed afresh, byte by byte', async () => {
    const received = await pass(deliveryOf(nasty, { id: 'a', type: "it's" }), 204);
    expect(received?.body.toString()).toBe(nasty);
    expect(received && verifyDelivery({ ...received, secret }).delivery.id).toBe('a');
    await expect(pass(deliveryOf(nasty, { id: 'a' }), 500)).rejects.toThrow();
  });

  it('expects of another one what it was answered', async () => {
    const received = await pass(deliveryOf('AP8=', { isBase64: true, status: 401 }), 401);
    expect(received?.body).toEqual(Buffer.from([0, 0xff]));
  });
});
