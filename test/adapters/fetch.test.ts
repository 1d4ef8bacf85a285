import { getEventListeners } from 'node:events';
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { build } from 'esbuild';
import { Hono } from 'hono';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type FetchHandler, vastWebhook } from '../../src/fetch.js';
import { memoryStore, type Outcome } from '../../src/index.js';
import type { WebhookOptions } from '../../src/options.js';
import { anEvent, bytesOf, Connection, listen, nowMs, secret, signed } from '../support/adapters.js';
import { deferred } from '../support/deferred.js';

const url = 'http://service.test/vast/webhooks';
const noContent: FetchHandler = () => new Response(null, { status: 204 });

function webhook(options: WebhookOptions = {}, handler: FetchHandler | undefined = noContent) {
  const outcomes: Outcome[] = [];
  const errors: Error[] = [];
  const hook = vastWebhook(
    secret,
    {
      now: () => nowMs,
      onOutcome: (outcome) => outcomes.push(outcome),
      onError: (error) => errors.push(error),
      ...options,
    },
    options.sinks ? undefined : handler,
  );
  return { hook, outcomes, errors };
}

/** A signed request, or one with another body. */
function request(init: RequestInit & { duplex?: 'half' } = {}, target = url): Request {
  const { body, headers } = signed();
  return new Request(target, { method: 'POST', headers, body, ...init });
}

/** A body that the test writes, and that reports when it is cancelled. */
function stream(start: (controller: ReadableStreamDefaultController<unknown>) => void = () => {}) {
  const cancelled = deferred<void>();
  const body = new ReadableStream({ start, cancel: () => cancelled.resolve() });
  return { init: { body, duplex: 'half' } as RequestInit, cancelled: cancelled.promise };
}

const codeOf = (outcomes: readonly Outcome[]) => outcomes.map(({ code }) => code);

describe('vastWebhook(secret, options, handler) of vast-webhook/fetch', () => {
  it('treats every request as one for the endpoint', async () => {
    const { hook } = webhook();
    for (const path of ['/', '/anything?at=all']) {
      expect((await hook(request({}, `http://service.test${path}`))).status).toBe(204);
    }
  });

  it.each([
    ['without a signature', {}],
    ['with a forged one', { ...signed().headers, 'x-vast-signature-256': `sha256=${'0'.repeat(64)}` }],
    ['that is too large', { ...signed().headers, 'content-length': '70000' }],
  ])('refuses a request %s at no cost for a stack trace', async (_, headers) => {
    const { hook, outcomes } = webhook();
    await hook(request({ headers }));
    expect(outcomes).toMatchObject([{ result: 'rejected' }]);
    expect(outcomes[0]?.error?.stack).not.toContain('\n');
  });

  it('with a path answers 404 elsewhere, which has no outcome', async () => {
    const { hook, outcomes } = webhook({ path: '/hooks/vast' });
    expect((await hook(request({}, 'http://service.test/hooks'))).status).toBe(404);
    expect(outcomes).toEqual([]);
    expect((await hook(request({}, 'http://service.test/Hooks/vast/?a=b'))).status).toBe(204);
  });

  it('returns the response of the handler, which gets the event and the request', async () => {
    const given: unknown[] = [];
    const { hook } = webhook({}, (vast, req) => {
      given.push(vast.event.notif_type, vast.delivery.provider, req);
      return Response.json({ taken: true }, { status: 201, headers: { 'X-Own': 'yes' } });
    });
    const sent = request();
    const response = await hook(sent);
    expect([response.status, response.headers.get('x-own'), await response.json()]).toEqual([
      201,
      'yes',
      { taken: true },
    ]);
    expect(given).toEqual(['outbid', 'vast', sent]);
  });

  it.each<[string, FetchHandler]>([
    [
      'throws',
      () => {
        throw new Error('rebid failed');
      },
    ],
    ['rejects', () => Promise.reject(new Error('rebid failed'))],
    ['gives no Response', (() => undefined) as never],
    ['resolves with no Response', (async () => undefined) as never],
    ['gives Response.error()', () => Response.error()],
  ])('answers 500 for a handler that %s, so that the event is sent again', async (_, handler) => {
    const { hook, outcomes } = webhook({}, handler);
    const response = await hook(request());
    expect([response.status, await response.text()]).toEqual([500, '']);
    expect(outcomes).toMatchObject([{ result: 'failed', code: 'handler_failed', status: 500, permanent: false }]);
    expect(outcomes[0]?.error?.message).toMatch(/rebid failed|return/);
  });

  it.each([
    ['a handler is missing', undefined, undefined, /there is no handler/],
    ['a handler is missing behind sinks', { sinks: [audit], handoff: true }, undefined, /handoff: true/],
    ['a handler would never be called', { sinks: [audit] }, noContent, /handoff: true/],
    ['a handler is refused', { handoff: false }, noContent, /never be called/],
    ['it is none', {}, 'handler', /must be a function/],
  ])('says what to change when %s', (_, options, handler, message) => {
    expect(() => vastWebhook(secret, options, handler as never)).toThrow(TypeError);
    expect(() => vastWebhook(secret, options, handler as never)).toThrow(message);
  });

  it('needs no handler with handoff: false', async () => {
    const hook = vastWebhook(secret, { handoff: false, now: () => nowMs });
    expect((await hook(request())).status).toBe(204);
  });
});

function audit() {}

describe.each([{ length: 'known' }, { length: 'unknown' }])(
  'the body of a Request, its length $length,',
  ({ length }) => {
    /** As `request()`, and saying how long its body is, or not. */
    function declared(init?: RequestInit, said = Buffer.byteLength(signed().body)): Request {
      const sent = request(init);
      if (length === 'known') sent.headers.set('Content-Length', String(said));
      return sent;
    }

    it('is accepted', async () => {
      const { hook } = webhook();
      expect((await hook(declared())).status).toBe(204);
    });

    it.each<[string, (sent: Request) => unknown]>([
      ['has been read', (sent) => sent.text()],
      ['is being read', (sent) => sent.body?.getReader()],
      [
        'was read in part',
        async (sent) => {
          const reader = (sent.body as ReadableStream).getReader();
          await reader.read();
          reader.releaseLock();
        },
      ],
    ])('that %s: answers 500 at once', async (_, read) => {
      const { hook, outcomes } = webhook();
      const sent = declared();
      await read(sent);
      expect((await hook(sent)).status).toBe(500);
      expect(outcomes).toMatchObject([{ code: 'raw_body_unavailable', permanent: false }]);
    });

    it('that came with its head starts no timer, and neither does a handler that answers at once', async () => {
      const { hook } = webhook();
      const sent = declared();
      const timers = vi.spyOn(globalThis, 'setTimeout');
      onTestFinished(() => timers.mockRestore());
      expect((await hook(sent)).status).toBe(204);
      expect(timers).not.toHaveBeenCalled();
    });

    it('may be a clone, while others read the request', async () => {
      const { hook } = webhook();
      const sent = declared();
      const clone = sent.clone();
      await sent.text();
      expect((await hook(clone)).status).toBe(204);
    });

    it('that breaks off: aborted', async () => {
      const { hook, outcomes } = webhook();
      const { init } = stream((controller) => controller.error(new Error('reset')));
      expect((await hook(declared(init))).status).toBe(500);
      expect(outcomes).toMatchObject([{ code: 'aborted', status: 0, permanent: false }]);
    });

    it('that is too large, whatever length was declared: 413', async () => {
      const { hook, outcomes } = webhook({ limit: 10 });
      const { init } = stream((controller) => {
        controller.enqueue(new Uint8Array(11));
        controller.close();
      });
      expect((await hook(declared(init, 1))).status).toBe(413);
      expect(codeOf(outcomes)).toEqual(['payload_too_large']);
    });

    it('that does not arrive: 408, and later bytes change nothing', async () => {
      const { hook, outcomes } = webhook({ bodyTimeoutMs: 20 });
      const late = deferred<ReadableStreamDefaultController<unknown>>();
      const { init } = stream(late.resolve);
      expect((await hook(declared(init))).status).toBe(408);
      (await late.promise).close();
      await new Promise(setImmediate);
      expect(codeOf(outcomes)).toEqual(['body_timeout']);
    });
  },
);

describe('the body of a Request', () => {
  it('that is not made of bytes: 500', async () => {
    const { hook, outcomes } = webhook();
    const { init } = stream((controller) => controller.enqueue('text'));
    expect((await hook(request(init))).status).toBe(500);
    expect(codeOf(outcomes)).toEqual(['raw_body_unavailable']);
    expect(outcomes[0]?.error?.message).toContain('something other than bytes');
  });

  it('that is missing is an empty one', async () => {
    const { hook, outcomes } = webhook();
    const { headers } = signed('');
    expect((await hook(new Request(url, { method: 'POST', headers }))).status).toBe(204);
    expect(outcomes).toMatchObject([{ result: 'accepted' }]);
  });

  it('whose reading fails at once: 500, and one outcome', async () => {
    const { hook, outcomes } = webhook({ bodyTimeoutMs: 10 });
    const sent = request();
    sent.headers.set('Content-Length', '1');
    Object.defineProperty(sent, 'arrayBuffer', {
      value() {
        throw new Error('not here');
      },
    });
    expect((await hook(sent)).status).toBe(500);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(codeOf(outcomes)).toEqual(['internal']);
  });

  it('also happens if a Request has no signal, as on some platforms', async () => {
    const { hook } = webhook();
    const sent = Object.defineProperty(request(), 'signal', { value: undefined });
    expect((await hook(sent)).status).toBe(204);
  });

  it('leaves no listener behind on the signal, which may be there for longer', async () => {
    const { hook } = webhook();
    const sent = request();
    await hook(sent);
    expect(getEventListeners(sent.signal, 'abort')).toEqual([]);
  });

  it('of a sender that hangs up before it is there: aborted, and the stream is cancelled', async () => {
    const { hook, outcomes } = webhook();
    const { init, cancelled } = stream();
    const sender = new AbortController();
    const answer = hook(request({ ...init, signal: sender.signal }));
    sender.abort();
    await answer;
    await cancelled;
    expect(codeOf(outcomes)).toEqual(['aborted']);
  });

  it('of a sender that has hung up before anybody looked: aborted', async () => {
    const { hook, outcomes } = webhook();
    await hook(request({ signal: AbortSignal.abort() }));
    expect(codeOf(outcomes)).toEqual(['aborted']);
  });

  it('of a sender that hangs up after sending it: accepted', async () => {
    const sender = new AbortController();
    const { hook, outcomes } = webhook({}, () => {
      sender.abort();
      return new Response(null, { status: 204 });
    });
    await hook(request({ signal: sender.signal }));
    expect(outcomes).toMatchObject([{ result: 'accepted' }]);
  });

  it('that turns out too large: 413 before its end, and the stream is cancelled', async () => {
    const { hook, outcomes } = webhook({ limit: 10 });
    const { init, cancelled } = stream((controller) => controller.enqueue(new Uint8Array(11)));
    expect((await hook(request(init))).status).toBe(413);
    await cancelled;
    expect(codeOf(outcomes)).toEqual(['payload_too_large']);
  });

  it('that does not come: 408, and the stream is cancelled', async () => {
    const { hook, outcomes } = webhook({ bodyTimeoutMs: 20 });
    const { init, cancelled } = stream();
    expect((await hook(request(init))).status).toBe(408);
    await cancelled;
    expect(codeOf(outcomes)).toEqual(['body_timeout']);
  });
});

describe('a platform that may freeze the process after the answer', () => {
  /** A platform that records the promises that it must wait for, and whether all have settled. */
  function platform() {
    const waitingFor: Promise<unknown>[] = [];
    let isIdle = false;
    return {
      context: {
        waitUntil(this: unknown, promise: Promise<unknown>) {
          waitingFor.push(promise);
        },
      },
      waitingFor,
      idle: () => Promise.all(waitingFor).then(() => (isIdle = true)),
      get isIdle() {
        return isIdle;
      },
    };
  }

  it('gets the handler’s answer only when the event is settled in the store', async () => {
    const stored = deferred<void>();
    const store = memoryStore();
    const { hook } = webhook({
      store: {
        ...bound(store),
        complete: (...args) => stored.promise.then(() => store.complete(...args)),
      },
    });
    let answered = false;
    const answer = hook(request()).then(() => {
      answered = true;
    });
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    expect(answered).toBe(false);
    stored.resolve();
    await answer;
  });

  it('is passed a promise after storeTimeoutMs at the latest, which waits for the later record', async () => {
    const store = memoryStore();
    let isUp = false;
    const { hook, errors } = webhook({
      storeTimeoutMs: 20,
      store: {
        ...bound(store),
        complete: (...args) => (isUp ? store.complete(...args) : new Promise(() => {})),
      },
    });
    const { context, idle } = platform();
    expect((await hook(request(), context)).status).toBe(204);
    expect(errors).toMatchObject([{ code: 'store_unavailable' }]);
    isUp = true;
    await idle();
  });

  it('waits for sinks that still run at the deadline', async () => {
    const opened = deferred<void>();
    const { hook } = webhook({
      deadlineMs: 20,
      sinks: [
        async function slow() {
          await opened.promise;
        },
      ],
    });
    const waiting = platform();
    expect((await hook(request(), waiting.context)).status).toBe(504);
    const idle = waiting.idle();
    await new Promise(setImmediate);
    expect(waiting.isIdle).toBe(false);
    opened.resolve();
    await idle;
  });

  it('goes on when it cannot wait, and says so', async () => {
    const delivered: string[] = [];
    const { hook, outcomes, errors } = webhook({
      sinks: [
        async function chat({ event_id }) {
          delivered.push(event_id);
        },
      ],
    });
    const broken = {
      waitUntil() {
        throw new Error('the context is over');
      },
    };
    expect((await hook(request(), broken)).status).toBe(204);
    expect((await hook(request(signed(anEvent({ event_id: 'another' }))), broken)).status).toBe(204);
    expect(delivered).toHaveLength(2);
    expect(outcomes.map(({ result }) => result)).toEqual(['accepted', 'accepted']);
    expect(errors).toMatchObject([{ message: expect.stringContaining('waitUntil failed') }]);
    await hook.close();
  });

  it('waits for nothing that is not genuine', async () => {
    const { hook } = webhook();
    const { context, waitingFor } = platform();
    expect((await hook(request({ body: '{}' }), context)).status).toBe(401);
    expect(waitingFor).toEqual([]);
  });

  it.each([undefined, {}, { params: Promise.resolve({}) }])('need not be one: %o', async (context) => {
    const { hook } = webhook();
    expect((await hook(request(), context)).status).toBe(204);
  });

  it.each(['accepted', 'duplicate'])('need not wait for an event that is %s at once', async (result) => {
    const { hook, outcomes } = webhook();
    const sent = request();
    const again = sent.clone();
    const { context, waitingFor } = platform();
    await hook(sent, context);
    if (result === 'duplicate') await hook(again, context);
    expect(outcomes.at(-1)?.result).toBe(result);
    expect(waitingFor).toEqual([]);
  });
});

function bound(store: ReturnType<typeof memoryStore>) {
  return {
    claim: store.claim.bind(store),
    renew: store.renew.bind(store),
    delivered: store.delivered.bind(store),
    complete: store.complete.bind(store),
    release: store.release.bind(store),
  };
}

describe('in Hono', () => {
  it('stands on a route, behind middleware, with its context', async () => {
    const { hook, outcomes } = webhook();
    const app = new Hono();
    app.use(async (c, next) => {
      await next();
      c.header('X-Seen', 'yes');
    });
    app.post('/vast/webhooks', (c) => hook(c.req.raw));
    const server = createServer(getRequestListener(app.fetch));
    const port = await listen(server);
    onTestFinished(() => void server.close());
    const connection = await Connection.open(port);
    connection.write(bytesOf({ target: '/vast/webhooks', ...signed() }));
    expect(await connection.answer()).toMatchObject({ status: 204, headers: { 'x-seen': 'yes' } });
    connection.destroy();
    expect(outcomes).toMatchObject([{ result: 'accepted' }]);
  });
});

describe('the entry vast-webhook/fetch', () => {
  it('loads neither raw-body nor node:http, which workers do not have', async () => {
    const { metafile } = await build({
      entryPoints: ['src/fetch.ts'],
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      metafile: true,
      write: false,
    });
    const imported = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
    // All of which workers have, with Node.js's compatibility turned on.
    const expected = ['node:async_hooks', 'node:buffer', 'node:crypto', 'node:diagnostics_channel', 'node:util'];
    expect(new Set(imported)).toEqual(new Set(expected));
  });
});
