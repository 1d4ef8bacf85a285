import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type ApiOptions, vastApi } from '../../src/api/index.js';
import { type Failure, failures, startVastManagement } from '../support/management-stand-in.js';
import { errorOf, started } from './set-up.js';

const doubt = /The call may have taken effect/;

async function setUp(options?: Partial<ApiOptions>) {
  const standIn = await started(startVastManagement());
  return { standIn, api: vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url, ...options }) };
}

describe('a service that hangs', () => {
  it.each<[string, Failure]>([
    ['before its answer', failures.hang],
    ['within it', failures.stall],
  ])('%s is given up after timeoutMs', async (_, failure) => {
    const { standIn, api } = await setUp({ timeoutMs: 50 });
    standIn.failNext(failure);
    const error = await errorOf(api.testWebhook(42));
    expect(error).toMatchObject({ status: 0, code: 'timeout' });
    expect(error.message).toMatch(/^Vast.ai gave no answer within 50 ms\. /);
    expect(error.message).toMatch(doubt);
  });

  it('gets a repeatable call again after a while', async () => {
    const { standIn, api } = await setUp({ timeoutMs: 1_000 });
    standIn.failNext(failures.hang);
    const start = performance.now();
    expect(await api.listWebhooks()).toEqual([]);
    expect(performance.now() - start).toBeGreaterThan(1_400);
    expect(standIn.requests.length).toBeGreaterThanOrEqual(2);
  });
});

describe('a service that', () => {
  it.each<[string, Failure]>([
    ['closes the connection', failures.disconnect],
    ['breaks its answer off', failures.breakOff],
  ])('%s is unreachable, and may have done it', async (_, failure) => {
    const { standIn, api } = await setUp();
    standIn.failNext(failure);
    const error = await errorOf(api.testWebhook(42));
    expect(error).toMatchObject({ status: 0, code: 'unreachable' });
    expect(error.message).toMatch(/^Vast.ai could not be reached: \w+\. /);
    expect(error.message).toMatch(doubt);
  });

  it('is not there cannot have done it', async () => {
    const { standIn, api } = await setUp();
    await standIn.close();
    const error = await errorOf(api.testWebhook(42));
    expect(error).toMatchObject({ status: 0, code: 'unreachable' });
    expect(error.message).toBe('Vast.ai could not be reached: ECONNREFUSED.');
  });

  it('answers without an end is cut off', async () => {
    const { standIn, api } = await setUp({ timeoutMs: 2 ** 31 - 1 });
    let hasEnded = false;
    standIn.failNext((res, req) => {
      res.on('close', () => {
        hasEnded = true;
      });
      failures.endless(res, req);
    });
    const error = await errorOf(api.listWebhooks());
    expect(error).toMatchObject({ status: 200, code: 'invalid_answer' });
    expect(error.message).toMatch(/with more than 1048576 bytes/);
    while (!hasEnded) await sleep(5);
  });

  it('sends an endless error answer is also cut off', async () => {
    const { standIn, api } = await setUp({ timeoutMs: 2 ** 31 - 1 });
    standIn.failNext((res, req) => {
      const writeHead = res.writeHead.bind(res);
      res.writeHead = (() => writeHead(400)) as typeof res.writeHead;
      failures.endless(res, req);
    });
    expect(await errorOf(api.listWebhooks())).toMatchObject({ status: 400, message: 'Vast.ai answered 400.' });
  });

  it('sends a list of a million bytes is read to the end', async () => {
    const { standIn, api } = await setUp();
    const webhook = { id: 1, name: 'x'.repeat(1_000_000) };
    standIn.failNext(failures.json(200, { success: true, webhooks: [webhook] }));
    expect(await api.listWebhooks()).toEqual([webhook]);
  });

  it('redirects is not followed', async () => {
    const { standIn, api } = await setUp();
    standIn.failNext(failures.redirect(`${standIn.url}/webhooks/`));
    expect(await errorOf(api.listWebhooks())).toMatchObject({ status: 302 });
    expect(standIn.requests).toHaveLength(1);
  });
});

describe('a signal', () => {
  it('that is aborted already lets nothing out', async () => {
    const { standIn, api } = await setUp();
    const reason = new Error('not any more');
    const signal = AbortSignal.abort(reason);
    await expect(api.listTypes({ signal })).rejects.toBe(reason);
    await expect(api.testWebhook(1, { signal })).rejects.toBe(reason);
    expect(standIn.requests).toEqual([]);
  });

  it('ends a running call, with its reason', async () => {
    const { standIn, api } = await setUp();
    const abort = new AbortController();
    const reason = new Error('no longer wanted');
    standIn.failNext(() => abort.abort(reason));
    await expect(api.listWebhooks({ signal: abort.signal })).rejects.toBe(reason);
    expect(standIn.requests).toHaveLength(1);
  });

  it('ends the wait between attempts', async () => {
    const { standIn, api } = await setUp();
    const abort = new AbortController();
    standIn.failNext((res, req) => {
      failures.text(429, 'slow down', { 'Retry-After': '10' })(res, req);
      setTimeout(() => abort.abort(), 50);
    });
    await expect(api.listWebhooks({ signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' });
    expect(standIn.requests).toHaveLength(1);
  });

  it('is left alone afterwards', async () => {
    const { api } = await setUp();
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: unknown[]) => {
      if (args[0] === 'abort') listeners++;
      return addEventListener.apply(signal, args as never);
    };
    signal.removeEventListener = (...args: unknown[]) => {
      if (args[0] === 'abort') listeners--;
      return removeEventListener.apply(signal, args as never);
    };
    await api.listWebhooks({ signal });
    expect(listeners).toBe(0);
  });
});

it('a fetch of one’s own is used, the base URL with or without its slash', async () => {
  const urls: unknown[] = [];
  for (const baseUrl of ['https://proxy.example.com/v0', 'https://proxy.example.com/v0/']) {
    const api = vastApi({
      apiKey: 'key',
      baseUrl,
      async fetch(url) {
        urls.push(url);
        return Response.json({ success: true, webhooks: [] });
      },
    });
    await api.listWebhooks();
  }
  expect(urls).toEqual(Array(2).fill('https://proxy.example.com/v0/webhooks/'));
});
