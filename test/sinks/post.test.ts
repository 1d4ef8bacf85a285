import { getEventListeners, once } from 'node:events';
import { request as httpRequest, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { inspect } from 'node:util';
import express from 'express';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { SinkError, vastWebhook } from '../../src/index.js';
import {
  cloudEvents,
  discord,
  googleChat,
  type HttpSinkOptions,
  http,
  pagerDuty,
  slack,
  slackWorkflow,
  teams,
} from '../../src/sinks/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import {
  type ChatStandIn,
  discordStandIn,
  endpointStandIn,
  googleChatStandIn,
  pagerDutyStandIn,
  slackStandIn,
  slackWorkflowStandIn,
  teamsStandIn,
} from '../support/chat-stand-in.js';
import { deliverTo, failureOf } from './deliver.js';

const secret = 'a-secret-of-the-tests';

const routingKey = 'e93facc04764012d7bfb002500d5d1a6';
const signingSecret = `whsec_${Buffer.alloc(32, 'secretSigningKey').toString('base64')}`;
/** The three that take other arguments. */
const pagerDutyAt = (url: string, options?: HttpSinkOptions) => pagerDuty<object>(routingKey, { ...options, url });
const httpAt = (url: string, options?: HttpSinkOptions) => http<object>(url, { ...options, secret: signingSecret });
const cloudEventsStandIn = () => endpointStandIn('application/cloudevents+json');

/** As node-fetch 2 has it: a Node.js stream for a body, which emits an error when the request is aborted. */
const nodeStreamFetch = ((url: string, { method, headers, body, signal }: RequestInit & { body: string }) =>
  new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers: headers as Record<string, string> }, (res) => {
      const stream = res.pipe(new PassThrough());
      signal?.addEventListener('abort', () => {
        request.destroy();
        stream.emit('error', new Error('The operation was aborted.'));
      });
      const status = res.statusCode ?? 0;
      resolve({ status, ok: status < 300, headers: new Headers(), body: stream } as unknown as Response);
    });
    request.on('error', reject).end(body);
  })) as unknown as typeof fetch;

describe.each([
  ['slack', 'Slack', slack, slackStandIn],
  ['slackWorkflow', 'Slack workflow', slackWorkflow, slackWorkflowStandIn],
  ['googleChat', 'Google Chat', googleChat, googleChatStandIn],
  ['discord', 'Discord', discord, discordStandIn],
  ['teams', 'Teams', teams, teamsStandIn],
  ['pagerDuty', 'PagerDuty', pagerDutyAt, pagerDutyStandIn],
  ['http', 'HTTP endpoint', httpAt, endpointStandIn],
  ['cloudEvents', 'CloudEvents endpoint', cloudEvents, cloudEventsStandIn],
] as const)('%s', (name, service, makeSink, standIn: () => Promise<ChatStandIn<unknown>>) => {
  const isWorkflow = name === 'slackWorkflow';
  /** Its address has a default. */
  const addressesMissing: [string, unknown][] = name === 'pagerDuty' ? [] : [['no address', undefined]];
  /** The form in which a workflow returns its reason. */
  const oddReasons: [string, string][] = isWorkflow
    ? []
    : [['JSON with a word for an error', '{"ok": false, "error": "no_text"}']];
  const formats: [string, unknown][] = ['pagerDuty', 'http', 'cloudEvents'].includes(name)
    ? []
    : [
        ['format', 'a text'],
        ['format', { text: 'a text' }],
      ];
  let chat: ChatStandIn<unknown>;
  beforeAll(async () => {
    chat = await standIn();
  });
  afterAll(() => chat.close());
  afterEach(() => {
    chat.misbehave = undefined;
  });

  const sinkWith = (options?: HttpSinkOptions, url = chat.url) => makeSink<object>(url, options);
  const answering = (status: number, headers: Record<string, string> = {}, body = '') => {
    chat.misbehave = (res) => res.writeHead(status, headers).end(body);
  };

  /** The error of the sink, which must not contain the secret part of the URL. */
  async function failure(options?: HttpSinkOptions, url = chat.url, signal?: AbortSignal) {
    const error = await failureOf(deliverTo(sinkWith(options, url), undefined, signal));
    for (let at: unknown = error; at instanceof Error; at = at.cause) expectNoSecret(at);
    return error;
  }

  function expectNoSecret(error: Error) {
    const everything = [error.message, error.stack, JSON.stringify(error), String(error)];
    everything.push(inspect(error, { depth: null, showHidden: true }));
    for (const text of everything) {
      const secrets = [chat.token, new URL(chat.url).pathname, 'secretGoogleKey', routingKey, signingSecret.slice(6)];
      for (const part of secrets) expect(text).not.toContain(part);
    }
  }

  describe('delivers', () => {
    it.each([200, 201, 202, 204, 299])('when the answer is %i', async (status) => {
      answering(status);
      await expect(deliverTo(sinkWith())).resolves.toBeUndefined();
    });

    it('whatever stands in the answer', async () => {
      answering(200, { 'Content-Type': 'application/json' }, '{"ok": false');
      await expect(deliverTo(sinkWith())).resolves.toBeUndefined();
    });

    it('though the body never ends, whose connection is closed then', async () => {
      let closed: Promise<unknown> | undefined;
      chat.misbehave = (res) => {
        closed = once(res, 'close');
        res.writeHead(200).write('{"o');
      };
      await expect(deliverTo(sinkWith())).resolves.toBeUndefined();
      await closed;
    });

    it('though the body breaks off', async () => {
      chat.misbehave = (res) => {
        res.writeHead(200, { 'Content-Length': 100 }).write('{"ok"');
        setTimeout(() => res.destroy(), 20);
      };
      await expect(deliverTo(sinkWith())).resolves.toBeUndefined();
    });

    describe('by a fetch of another make', () => {
      it.each<[string, typeof fetch, ((res: ServerResponse) => void)?]>([
        ['Node.js stream, as from node-fetch and cross-fetch', nodeStreamFetch],
        ['Node.js stream that is never read to its end', nodeStreamFetch, (res: ServerResponse) => res.write('{"o')],
        ['body that cannot be cancelled', (async () => ({ ok: true, status: 200, body: {} })) as never],
        [
          'body that throws when it is looked at',
          (async () => ({
            ok: true,
            status: 200,
            get body() {
              throw new Error('no body');
            },
          })) as never,
        ],
        [
          'body whose cancel throws',
          (async () => ({
            ok: true,
            status: 200,
            body: {
              cancel() {
                throw new Error('locked');
              },
            },
          })) as never,
        ],
        ['answer without a body', (async () => ({ ok: true, status: 200 })) as never],
      ])('which gives a %s', async (_, fetch, write) => {
        const end = (res: ServerResponse) => res.end('ok');
        chat.misbehave = (res) => void (write ?? end)(res.writeHead(200));
        await expect(deliverTo(sinkWith({ fetch }))).resolves.toBeUndefined();
      });

      it('which does not heed the signal, in time', async () => {
        const fetch = () => new Promise<Response>(() => {});
        expect((await failure({ fetch, timeoutMs: 50 })).message).toContain('no answer within 50 ms');
      });
    });

    it('with one request', async () => {
      const before = chat.requests.length;
      await deliverTo(sinkWith());
      expect(chat.requests.slice(before)).toMatchObject([{ method: 'POST' }]);
    });
  });

  describe('fails', () => {
    it.each([
      [408, false],
      [425, false],
      [429, false],
      [500, false],
      [502, false],
      [503, false],
      [504, false],
      [400, true],
      [401, true],
      [403, true],
      [404, true],
      [410, true],
      [413, true],
      [422, true],
      [499, true],
    ])('on %i (for good: %s)', async (status, permanent) => {
      answering(status);
      const error = await failure();
      expect(error).toBeInstanceOf(SinkError);
      expect(error).toMatchObject({ name: 'SinkError', status, permanent, retryAfterMs: undefined });
      expect(error.message).toBe(`${service} answered ${status}`);
    });

    it.each([300, 301, 302, 303, 307, 308])('for good on a redirect by %i, which is not followed', async (status) => {
      const before = chat.requests.length;
      answering(status, { Location: chat.url });
      expect(await failure()).toMatchObject({ name: 'SinkError', status, permanent: true });
      expect(chat.requests).toHaveLength(before + 1);
    });

    it('with the reason of the chat in one word', async () => {
      answering(404, {}, 'no_service');
      expect((await failure()).message).toBe(`${service} answered 404 (no_service)`);
      if (isWorkflow) return;
      answering(400, {}, '{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}');
      expect((await failure()).message).toBe(`${service} answered 400 (INVALID_ARGUMENT)`);
    });

    it.each<[string, string]>([
      ['nothing', ''],
      ['a page', '<html>not found</html>'],
      ['a sentence', 'no such hook'],
      ['two lines', 'no_service\nat all'],
      ['broken JSON', '{"error": {"status": "NOT'],
      ['JSON without an error', '{}'],
      ...oddReasons,
      ['JSON with an error that has no status', '{"error": {"code": 404}}'],
      ['JSON with null for a status', '{"error": {"status": null}}'],
      ['JSON with an object for a status', '{"error": {"status": {}}}'],
      ['a list', '["no_service"]'],
      ['a word without end', 'x'.repeat(65)],
      ['bytes that are no text', '\u0000\u0001'],
    ])('without a reason when the answer is %s', async (_what, body) => {
      answering(404, {}, body);
      expect((await failure()).message).toBe(`${service} answered 404`);
    });

    it('without a secret when the answer repeats the address', async () => {
      answering(404, {}, `there is no ${chat.url}`);
      await failure();
      answering(404, {}, JSON.stringify({ error: { status: chat.url, message: chat.url } }));
      expect((await failure()).message).toBe(`${service} answered 404`);
    });

    it('without reading an endless answer to its end', async () => {
      let closed: Promise<unknown> | undefined;
      let written = 0;
      chat.misbehave = (res) => {
        closed = once(res, 'close');
        res.writeHead(500);
        const more = () => {
          while (!res.destroyed && res.write('x'.repeat(1_024))) written++;
        };
        res.on('drain', more);
        more();
      };
      expect(await failure({ timeoutMs: 100_000 })).toMatchObject({ status: 500 });
      await closed;
      expect(written).toBeLessThan(20_000);
    });

    it('with the status, when the rest of the answer never arrives', async () => {
      chat.misbehave = (res) => res.writeHead(404).write('no_');
      // Enough for the status to come on a machine that is busy.
      expect(await failure({ timeoutMs: 1_000 })).toMatchObject({ status: 404, permanent: true });
    });
  });

  describe('passes Retry-After on', () => {
    it.each([
      ['0', 0],
      ['1', 1_000],
      ['30', 30_000],
      [' 7 ', 7_000],
    ])('of %j seconds', async (value, retryAfterMs) => {
      answering(429, { 'Retry-After': value });
      expect(await failure()).toMatchObject({ status: 429, permanent: false, retryAfterMs });
    });

    it('as a date', async () => {
      answering(503, { 'Retry-After': new Date(Date.now() + 60_000).toUTCString() });
      const { retryAfterMs } = await failure();
      // The date has whole seconds, and the answer needs time.
      expect(retryAfterMs).toBeLessThanOrEqual(60_000);
      expect(retryAfterMs).toBeGreaterThan(45_000);
    });

    it('as a date that is past: at once', async () => {
      answering(503, { 'Retry-After': new Date(0).toUTCString() });
      expect(await failure()).toMatchObject({ retryAfterMs: 0 });
    });

    it.each(['soon', '', 'in 5 seconds', '5 s', 'garbage 5', '5, 6', 'Infinity'])('unless it is %j', async (value) => {
      answering(429, { 'Retry-After': value });
      expect(await failure()).toMatchObject({ status: 429, retryAfterMs: undefined });
    });
  });

  describe('fails, to be tried again, when the chat cannot be reached', () => {
    const unreachable = { name: 'SinkError', permanent: false, status: undefined, retryAfterMs: undefined };

    it('because it does not answer in time', async () => {
      let closed: Promise<unknown> | undefined;
      chat.misbehave = (res) => {
        closed = once(res, 'close');
      };
      const error = await failure({ timeoutMs: 50 });
      expect(error).toMatchObject({
        ...unreachable,
        message: `${service} could not be reached: no answer within 50 ms`,
      });
      await closed;
    });

    it('because the signal is aborted meanwhile', async () => {
      const abort = new AbortController();
      let closed: Promise<unknown> | undefined;
      chat.misbehave = (res) => {
        closed = once(res, 'close');
      };
      const arrived = chat.nextRequest();
      const failed = failure({ timeoutMs: 100_000 }, undefined, abort.signal);
      await arrived;
      abort.abort(new Error(`gone: ${chat.url}`));
      const error = await failed;
      expect(error).toMatchObject(unreachable);
      expect(error.message).not.toContain('no answer within');
      await closed;
    });

    it('because the signal was aborted before: nothing is sent', async () => {
      const before = chat.requests.length;
      expect(await failure(undefined, undefined, AbortSignal.abort())).toMatchObject(unreachable);
      expect(chat.requests).toHaveLength(before);
    });

    it('because it closes the connection', async () => {
      chat.misbehave = (res) => res.destroy();
      expect(await failure()).toMatchObject(unreachable);
    });

    it('because no server listens there', async () => {
      const gone = createTcpServer().listen(0, '127.0.0.1');
      await once(gone, 'listening');
      const { port } = gone.address() as AddressInfo;
      gone.close();
      await once(gone, 'close');
      const url = chat.url.replace(/:\d+\//, `:${port}/`);
      const error = await failure(undefined, url);
      expect(error).toMatchObject({ ...unreachable, message: `${service} could not be reached: ECONNREFUSED` });
    });

    it('because it speaks something other than HTTP', async () => {
      const sockets: Socket[] = [];
      const other = createTcpServer((socket) => {
        sockets.push(socket);
        socket.on('error', () => {}).end('220 mail.example ESMTP\r\n');
      }).listen(0, '127.0.0.1');
      await once(other, 'listening');
      const url = chat.url.replace(/:\d+\//, `:${(other.address() as AddressInfo).port}/`);
      expect(await failure(undefined, url)).toMatchObject(unreachable);
      for (const socket of sockets) socket.destroy();
      other.close();
    });

    it('because fetch fails, whose error stays out', async () => {
      const fetch = () => Promise.reject(new TypeError(`bad ${chat.url}`, { cause: new Error(chat.url) }));
      const error = await failure({ fetch });
      expect(error).toMatchObject({ ...unreachable, message: `${service} could not be reached: TypeError` });
      expect(error.cause).toBeUndefined();
    });

    it.each([
      ['a text', 'oops'],
      ['nothing', undefined],
      ['null', null],
    ])('because fetch throws %s', async (_what, thrown) => {
      expect(await failure({ fetch: () => Promise.reject(thrown) })).toMatchObject(unreachable);
    });
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    await deliverTo(sinkWith(), undefined, signal);
    answering(404);
    await failure(undefined, undefined, signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('leaves no timer behind', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      await deliverTo(sinkWith({ fetch: async () => new Response('ok') }));
      await failure({ fetch: async () => new Response('no_service', { status: 404 }) });
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  describe('accepts the option', () => {
    it('name', () => {
      expect(sinkWith().name).toBe(name);
      expect(sinkWith({ name: 'night shift' }).name).toBe('night shift');
      expect(() => vastWebhook(secret, { sinks: [sinkWith(), sinkWith()] })).toThrow(TypeError);
      expect(() => vastWebhook(secret, { sinks: [sinkWith(), sinkWith({ name: 'other' })] })).not.toThrow();
    });

    it('fetch, which is given the address and the request', async () => {
      const asked: [unknown, RequestInit | undefined][] = [];
      const before = chat.requests.length;
      const sink = sinkWith({
        fetch: async (input, init) => {
          asked.push([input, init]);
          return new Response('ok');
        },
      });
      await deliverTo(sink);
      expect(asked).toEqual([[chat.url, expect.objectContaining({ method: 'POST', redirect: 'manual' })]]);
      expect(asked[0]?.[1]?.signal).toBeInstanceOf(AbortSignal);
      expect(chat.requests).toHaveLength(before);
    });

    it('timeoutMs', async () => {
      chat.misbehave = () => {};
      expect((await failure({ timeoutMs: 20 })).message).toContain('within 20 ms');
      expect(() => sinkWith({ timeoutMs: 1 })).not.toThrow();
      expect(() => sinkWith({ timeoutMs: 2 ** 31 - 1 })).not.toThrow();
    });
  });

  describe('refuses, when it is made,', () => {
    it.each<[string, unknown]>([
      ...addressesMissing,
      ['null', null],
      ['an empty one', ''],
      ['a number', 8787],
      ['an object', {}],
      ['a word', 'secretToken'],
      ['a path', '/services/secretToken'],
      ['another protocol', 'ftp://chat.example/secretToken'],
      ['a script', 'javascript:secretToken'],
      ['a user name', 'https://user@chat.example/secretToken'],
      ['a password', 'https://:secretToken@chat.example/'],
    ])('%s, and does not repeat it', (_what, url) => {
      expect.assertions(3);
      try {
        makeSink(url as string);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        expect(String(error)).toContain(`${service}: the webhook's URL must be`);
        expect(inspect(error, { showHidden: true })).not.toContain('secretToken');
      }
    });

    it.each<[string, unknown]>([
      ['timeoutMs', 0],
      ['timeoutMs', -1],
      ['timeoutMs', 1.5],
      ['timeoutMs', Number.NaN],
      ['timeoutMs', Number.POSITIVE_INFINITY],
      ['timeoutMs', 2 ** 31],
      ['timeoutMs', '5000'],
      ['fetch', 'fetch'],
      ['fetch', {}],
      ...formats,
    ])('the option %s of %j, and names it', (option, value) => {
      expect(() => sinkWith({ [option]: value })).toThrow(TypeError);
      expect(() => sinkWith({ [option]: value })).toThrow(option);
    });

    it.each([[''], [7], ['x'.repeat(256)]])('at the latest in the middleware, the name %j', (given) => {
      expect(() => vastWebhook(secret, { sinks: [sinkWith({ name: given as string })] })).toThrow(TypeError);
    });
  });
});

describe('through the middleware', () => {
  it('the answer names the chat that failed and its status, and a retry delivers only to that chat', async () => {
    const [slackChat, googleChatChat] = [await slackStandIn(), await googleChatStandIn()];
    const app = express();
    const errors: unknown[] = [];
    const webhook = vastWebhook(secret, {
      sinks: [slack(slackChat.url), googleChat(googleChatChat.url)],
      onOutcome: ({ error, sinks }) => errors.push(error, sinks),
    });
    app.use(webhook);
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const event = sampleEvent('outbid');
    const send = async () => {
      const { body, headers } = signedDelivery(event, secret);
      const response = await fetch(`http://127.0.0.1:${port}/vast/webhooks`, { method: 'POST', body, headers });
      return [response.status, await response.text()];
    };

    slackChat.misbehave = (res: ServerResponse) => res.writeHead(404).end('no_service');
    expect(await send()).toEqual([502, '{"ok":false,"error":"sink_failed","sinks":{"slack":404}}']);
    slackChat.misbehave = (res: ServerResponse) => res.destroy();
    expect(await send()).toEqual([502, '{"ok":false,"error":"sink_failed","sinks":{"slack":"error"}}']);
    slackChat.misbehave = undefined;
    expect(await send()).toEqual([204, '']);
    expect(await send()).toEqual([204, '']);
    expect([slackChat.messages.length, googleChatChat.messages.length]).toEqual([1, 1]);
    for (const token of [slackChat.token, googleChatChat.token]) {
      expect(inspect(errors, { depth: null, showHidden: true })).not.toContain(token);
    }

    await webhook.close();
    server.close();
    server.closeAllConnections();
    await Promise.all([slackChat.close(), googleChatChat.close()]);
  });
});
