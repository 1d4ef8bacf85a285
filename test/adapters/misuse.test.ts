/** Mountings that cannot work or cannot be recognised are reported. */
import { createServer, type RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { vastWebhook as fetchVastWebhook } from '../../src/fetch.js';
import { type Outcome, vastWebhook } from '../../src/index.js';
import { vastWebhook as koaVastWebhook } from '../../src/koa.js';
import { shodaiWebhook } from '../../src/shodai/index.js';
import {
  bytesOf,
  Connection,
  expresses,
  koas,
  listen,
  type Message,
  nowMs,
  secret,
  signed,
} from '../support/adapters.js';

/** Sends one request to a server of its own. */
async function ask(listener: RequestListener, message: Message) {
  const server = createServer(listener);
  const port = await listen(server);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const connection = await Connection.open(port);
  onTestFinished(() => connection.destroy());
  connection.write(bytesOf(message));
  return connection.answer(message.method);
}

const path = '/vast/webhooks';
const quiet = { now: () => nowMs, onOutcome() {} };

describe('a form that is given to another framework fails with a 5xx, and names the one that is meant', () => {
  describe.each(Object.entries(expresses))('%s', (_version, express) => {
    it.each([
      ['the fetch form', () => fetchVastWebhook(secret, quiet, () => new Response())],
      ['the Koa form', () => koaVastWebhook(secret, quiet)],
    ])('%s', async (_, make) => {
      const errors: Error[] = [];
      const app = express().set('env', 'test');
      app.post(path, make() as never);
      app.use(((error, _req, res, _next) => {
        errors.push(error);
        res.status(500).end();
      }) as import('express').ErrorRequestHandler);
      expect((await ask(app, { target: path, ...signed() })).status).toBe(500);
      expect(errors[0]?.message).toContain("called by Express or a node:http server: import it from 'vast-webhook'");
    });
  });

  describe.each(Object.entries(koas))('%s', (_version, Koa) => {
    it.each([
      ['the Express form', () => vastWebhook(secret, quiet), "'vast-webhook/koa'"],
      ['the fetch form', () => fetchVastWebhook(secret, quiet, () => new Response()), "'vast-webhook/koa'"],
      ['the Express form of another provider', () => shodaiWebhook(secret, quiet), "'vast-webhook/shodai/koa'"],
    ])('%s', async (_, make, cure) => {
      const errors: Error[] = [];
      const app = new Koa();
      app.on('error', (error) => errors.push(error));
      app.use(make() as never);
      expect((await ask(app.callback(), { target: path, ...signed() })).status).toBe(500);
      expect(errors[0]?.message).toContain(`called by Koa: import it from ${cure}`);
    });
  });

  it.each([
    ['the fetch form', () => fetchVastWebhook(secret, quiet, () => new Response())],
    ['the Express form', () => vastWebhook(secret, quiet)],
  ])('Hono: %s', async (_, make) => {
    const errors: Error[] = [];
    const app = new Hono();
    app.post(path, make() as never);
    app.onError((error, c) => {
      errors.push(error);
      return c.text('', 500);
    });
    expect((await ask(getRequestListener(app.fetch), { target: path, ...signed() })).status).toBe(500);
    expect(errors[0]?.message).toContain(
      "import it from 'vast-webhook/fetch', and write app.post(path, (c) => hook(c.req.raw))",
    );
  });

  it('the fetch form, given the event of a framework that wraps a Request', async () => {
    const hook = fetchVastWebhook(secret, quiet, () => new Response());
    const event = { request: new Request('http://service.test/vast/webhooks', { method: 'POST' }) };
    await expect(hook(event as never)).rejects.toThrow('write ({ request }) => hook(request)');
  });

  it('the Express form, given a Request', () => {
    const request = new Request('http://service.test/vast/webhooks', { method: 'POST' });
    expect(() => vastWebhook(secret, quiet)(request as never, {} as never)).toThrow(
      "import it from 'vast-webhook/fetch'",
    );
  });

  it('the fetch form as the listener of a server, which can report only to onError', async () => {
    const errors: Error[] = [];
    const hook = fetchVastWebhook(secret, { ...quiet, onError: (error) => errors.push(error) }, () => new Response());
    expect((await ask(hook as never, { target: path, ...signed() })).status).toBe(500);
    expect(errors[0]?.message).toContain("import it from 'vast-webhook'");
  });
});

describe('the middleware as the listener of a server', () => {
  it.each(['/favicon.ico', '/', '/vast'])('answers 404 off the endpoint: %s', async (target) => {
    const hook = vastWebhook(secret, quiet);
    expect((await ask(hook as never, { method: 'GET', target })).status).toBe(404);
  });

  it('answers 401 to a forgery, and 500 to an event without a handler', async () => {
    const outcomes: Outcome[] = [];
    const hook = vastWebhook(secret, { ...quiet, onOutcome: (outcome) => outcomes.push(outcome) });
    expect((await ask(hook as never, { target: path, ...signed({}, { key: 'forged' }) })).status).toBe(401);
    expect((await ask(hook as never, { target: path, ...signed() })).status).toBe(500);
    expect(outcomes[1]).toMatchObject({ result: 'failed', status: 500, permanent: false });
    expect(outcomes[1]?.error?.message).toContain('there is no next() to call with the event');
  });

  it('accepts signed requests on every path, unless it has a path', async () => {
    const delivered: unknown[] = [];
    function note(event: unknown) {
      delivered.push(event);
    }
    const send = async (path: string | undefined, message: Message) => {
      const hook = vastWebhook(secret, { ...quiet, onError() {}, path, sinks: [note] });
      return (await ask(hook as never, { target: '/api/function', ...message })).status;
    };
    expect(await send(undefined, signed())).toBe(204);
    expect(await send(undefined, signed({}, { key: 'forged' }))).toBe(401);
    expect(await send(undefined, { body: 'a=b' })).toBe(404);
    expect(await send('/vast/webhooks', signed())).toBe(404);
    expect(delivered).toHaveLength(1);
  });

  it('needs no handler if it has sinks', async () => {
    const delivered: unknown[] = [];
    const hook = vastWebhook(secret, {
      ...quiet,
      sinks: [
        function note(event) {
          delivered.push(event);
        },
      ],
    });
    expect((await ask(hook as never, { target: path, ...signed() })).status).toBe(204);
    expect(delivered).toHaveLength(1);
  });
});

describe('a warning that is printed once', () => {
  it('a signed request that is passed on, with its path and the endpoint', async () => {
    const errors: Error[] = [];
    const app = (Object.values(expresses)[0] as (typeof expresses)['Express 4'])();
    app.use(vastWebhook(secret, { ...quiet, onError: (error) => errors.push(error) }) as never);
    app.use((_req, res) => void res.sendStatus(200));
    for (const target of ['/hooks/vast?token=secret', '/other']) {
      expect((await ask(app, { target, ...signed() })).status).toBe(200);
    }
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toContain(
      'came to "/hooks/vast" and was passed on, because the endpoint is /vast/webhooks',
    );
    expect(errors[0]?.message).not.toContain('token');
  });

  it('a request that was rejected because the mount is unknown, on console.warn without onError', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    onTestFinished(() => warn.mockRestore());
    const hook = vastWebhook(secret, quiet);
    const listener: RequestListener = (req, res) => hook(req, res, () => res.end());
    for (const target of ['/users', '/a']) expect((await ask(listener, { method: 'GET', target })).status).toBe(405);
    expect(warn.mock.calls).toHaveLength(1);
    expect(warn.mock.calls[0]?.[0]).toContain(
      'vast-webhook: GET "/users" was refused, because the middleware cannot see',
    );
    expect(warn.mock.calls[0]?.[0]).toContain("{ path: '/vast/webhooks' }");
  });

  it('no genuine delivery where the mount is unknown', async () => {
    const errors: Error[] = [];
    const hook = vastWebhook(secret, { ...quiet, onError: (error) => errors.push(error) });
    const listener: RequestListener = (req, res) => hook(req, res, () => res.end());
    expect((await ask(listener, { target: '/hooks/vast', ...signed() })).status).toBe(200);
    expect(errors).toEqual([]);
  });

  it.each(Object.entries(expresses))('%s: a path with which the route can never agree', async (_, express) => {
    const errors: Error[] = [];
    const app = express().set('env', 'test');
    const hook = vastWebhook(secret, { ...quiet, path: '/other', onError: (error) => errors.push(error) });
    let handled = 0;
    app.post('/hooks/vast', hook as never, (_req, res) => {
      handled++;
      res.sendStatus(204);
    });
    expect((await ask(app, { target: '/hooks/vast', ...signed({}, { key: 'forged' }) })).status).toBe(401);
    expect(handled).toBe(0);
    expect((await ask(app, { target: '/hooks/vast', ...signed() })).status).toBe(204);
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining("the middleware has path: '/other'"),
    ]);
  });
});

describe('an outcome', () => {
  it('has the status of the answer, also if other middleware answered', async () => {
    const outcomes: Outcome[] = [];
    let go = () => {};
    const hook = vastWebhook(secret, {
      ...quiet,
      onOutcome: (outcome) => outcomes.push(outcome),
      sinks: [
        function slow() {
          return new Promise<void>((resolve) => {
            go = resolve;
          });
        },
      ],
    });
    const listener: RequestListener = (req, res) => {
      hook(req, res);
      setImmediate(() => {
        res.statusCode = 503;
        res.end();
      });
    };
    expect((await ask(listener, { target: path, ...signed() })).status).toBe(503);
    await vi.waitFor(() => expect(go.name).toBe(''));
    go();
    await vi.waitFor(() => expect(outcomes).toHaveLength(1));
    expect(outcomes[0]).toMatchObject({ result: 'accepted', status: 503 });
  });
});
