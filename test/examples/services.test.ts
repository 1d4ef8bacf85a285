import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import middie from '@fastify/middie';
import Fastify, { type FastifyInstance } from 'fastify';
import { Hono } from 'hono';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { vastWebhook as fetchWebhook } from '../../src/fetch.js';
import { type Outcome, type VastWebhook, vastWebhook } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { commandOf, documentedExamples, readmeOf, type Started, secret, send } from './documented.js';
import { httpApiEvent, restApiEvent } from './gateway-events.js';
import { nestService } from './nest-service.js';

const { project, run, start } = documentedExamples();
const json = { 'Content-Type': 'application/json' };

/** A delivery of Vast.ai's that was changed on its way. */
function sendTampered(url: string): Promise<Response> {
  const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
  return fetch(url, { method: 'POST', body: body.replace('outbid', 'topped'), headers });
}

/** Sends one event twice and a forgery, and expects the answers that every service must give. */
async function expectDeliveries({ url }: Pick<Started, 'url'>, event: object): Promise<void> {
  expect((await sendTampered(url)).status).toBe(401);
  expect((await fetch(url, { method: 'POST', headers: json, body: '{}' })).status).toBe(401);
  expect((await send(url, event)).status).toBe(204);
  expect((await send(url, event, { attempt: 2 })).status).toBe(204);
}

/** The parsers of the other routes: a body of the service's own comes back as it was parsed. */
async function expectOrders({ url }: Pick<Started, 'url'>, path = '/orders'): Promise<void> {
  const order = { gpu: 'H100', note: 'x'.repeat(70_000) };
  const answer = await fetch(new URL(path, url), { method: 'POST', headers: json, body: JSON.stringify(order) });
  expect(await answer.json()).toEqual({ ordered: order });
}

type SampleEvent = ReturnType<typeof sampleEvent>;
const bySink = ({ subject }: SampleEvent) => [`outbid: ${subject}`];
const byHandler = ({ subject, event_id }: SampleEvent) => [`would raise the bid: ${subject}`, `done with ${event_id}`];

interface Service {
  /** The line that it prints for an event. */
  readonly says: (event: SampleEvent) => string[];
  /** How it ends on SIGTERM: 0. */
  readonly stopped?: NodeJS.Signals;
  /** Where its framework says the address. */
  readonly listening?: RegExp;
  /** Whether port 0 means a free port. */
  readonly picksPort?: boolean;
}

const services: Record<string, Service> = {
  'fastify/server.mjs': { says: bySink },
  'fastify/handler.mjs': { says: byHandler },
  'hono/server.mjs': { says: byHandler },
  'nestjs/main.ts': { says: byHandler, stopped: 'SIGTERM' },
  'nestjs/main-raw-body.ts': { says: byHandler, stopped: 'SIGTERM' },
  'functions-framework': { says: bySink, listening: /^URL: (http:\S+)$/m, picksPort: false },
};

describe.each(Object.entries(services))('examples/%s', (path, { says, stopped = 0, listening, picksPort = true }) => {
  const [example = '', file] = path.split('/');

  it('accepts an event once, rejects forgeries, lets other routes pass and stops cleanly', async () => {
    const env: Record<string, string> = picksPort ? {} : { PORT: String(await freePort()) };
    const started = await start(example, env, file, listening);
    const outbid = sampleEvent('outbid');
    await expectDeliveries(started, outbid);
    await expectOrders(started);
    expect((await fetch(new URL('/nowhere', started.url))).status).toBe(404);

    const { program } = started;
    program.kill('SIGTERM');
    expect(await program.exited).toBe(stopped);
    expect(program.stdout.slice(program.stdout.indexOf('http:')).split('\n').slice(1)).toEqual([...says(outbid), '']);
    expect(program.stderr).toMatch(/^(vast-webhook: rejected 401 invalid_signature .*\n)+$/);
  });
});

describe.each([
  'fastify/server.mjs',
  'fastify/handler.mjs',
  'hono/server.mjs',
  'nestjs/main.ts',
  'functions-framework',
  'lambda/gateway.mjs',
])('examples/%s', (path) => {
  const [example = '', file] = path.split('/');

  it('says in one sentence that VAST_WEBHOOK_SECRET is missing', async () => {
    const program = await run(example, {}, file);
    expect(await program.exited).toBe(1);
    expect(program.stdout).toBe('');
    expect(program.stderr).toBe('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.\n');
    for (const name of ['VAST_WEBHOOK_SECRET', 'PORT']) expect(await readmeOf(example)).toContain(`\`${name}\``);
  });
});

/** For frameworks that do not say which port they were given. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('Fastify through middie', () => {
  type Routes = (app: FastifyInstance, webhook: VastWebhook) => unknown;
  // As many spellings of a path as its router can be made to take. Its types do not know the second one here.
  const routerOptions = { ignoreDuplicateSlashes: true, useSemicolonDelimiter: true };

  async function serve(hook: 'onRequest' | 'preValidation', sinks: boolean, routes: Routes) {
    const outcomes: Outcome[] = [];
    const webhook = vastWebhook(secret, {
      sinks: sinks ? [async function take() {}] : [],
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    const app = Fastify({ forceCloseConnections: true, routerOptions });
    await app.register(middie, { hook });
    await routes(app, webhook);
    onTestFinished(() => app.close());
    const origin = await app.listen({ port: 0, host: '127.0.0.1' });
    return { origin, url: `${origin}/vast/webhooks`, outcomes };
  }

  it('never answers when a route waits behind it with the parsers that Fastify has', async () => {
    const { url, outcomes } = await serve('onRequest', false, (app, webhook) => {
      app.use('/vast/webhooks', webhook);
      app.post('/vast/webhooks', async () => ({}));
    });
    const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
    const answers = [1, 2].map(() => fetch(url, { method: 'POST', body, headers }));
    for (const answer of answers) answer.catch(() => {});
    // Whichever came second: the first has no answer while the second has one.
    expect((await Promise.race(answers)).status).toBe(503);
    expect(outcomes).toMatchObject([{ code: 'in_flight' }]);
  });

  it('answers 500 behind the parsers, so that nothing is lost', async () => {
    const { url, outcomes } = await serve('preValidation', true, (app, webhook) => {
      app.use('/vast/webhooks', webhook);
      app.post('/vast/webhooks', async () => ({}));
    });
    expect((await send(url, sampleEvent('outbid'))).status).toBe(500);
    expect(outcomes).toMatchObject([{ code: 'raw_body_unavailable', permanent: false }]);
  });

  it.each([
    '/vast/webhooks?a=b',
    '/vast/webhooks;a=b',
    '//vast//webhooks',
    '/vast/web%68ooks',
    '/vast/web%2568ooks',
    '/vast/webhooks/',
    '/VAST/webhooks',
  ])('lets nothing unsigned to the route behind its mount: %s', async (path) => {
    let handled = 0;
    const { origin } = await serve('onRequest', false, (app, webhook) => {
      app.use('/vast/webhooks', webhook);
      app.post('/vast/webhooks', async () => {
        handled++;
      });
    });
    const { status } = await fetch(origin + path, { method: 'POST', headers: json, body: '{}' });
    expect([401, 404]).toContain(status);
    expect(handled).toBe(0);
  });
});

describe('NestJS', () => {
  it('answers 500 behind its parser when that keeps no bytes, so that nothing is lost', async () => {
    const nest = await nestService({ middleware: 'module' });
    expect((await send(nest.url, sampleEvent('outbid'))).status).toBe(500);
    expect(nest.outcomes).toMatchObject([{ code: 'raw_body_unavailable', permanent: false }]);
    expect(nest.handled).toEqual([]);
  });

  it("follows a controller under the app's prefix with the module's middleware", async () => {
    const nest = await nestService({ middleware: 'module', rawBody: true, prefix: 'api' });
    await expectDeliveries(nest, sampleEvent('outbid'));
    expect(nest.handled).toHaveLength(1);
  });

  it('wants the prefix in its path when it stands ahead of the parser', async () => {
    const nest = await nestService({ middleware: 'app', prefix: 'api', path: '/api/vast/webhooks' });
    await expectDeliveries(nest, sampleEvent('outbid'));
    expect(nest.handled).toHaveLength(1);
  });

  it('is in front of the controller also under a prefix that it does not know', async () => {
    const nest = await nestService({ middleware: 'app', prefix: 'api' });
    await expectDeliveries(nest, sampleEvent('outbid'));
    expect(nest.handled).toHaveLength(1);
  });

  it("asks for an event again after a handler's exception", async () => {
    const nest = await nestService({ middleware: 'app' });
    nest.fail = new Error('not now');
    const outbid = sampleEvent('outbid');
    expect((await send(nest.url, outbid)).status).toBe(500);
    nest.fail = undefined;
    expect((await send(nest.url, outbid)).status).toBe(204);
    expect(nest.handled).toHaveLength(2);
  });

  it('says that an event is lost when a guard for the whole app refuses it', async () => {
    const nest = await nestService({ middleware: 'app', guard: () => false });
    expect((await send(nest.url, sampleEvent('outbid'))).status).toBe(403);
    expect(nest.outcomes).toMatchObject([{ code: 'handler_failed', permanent: true }]);
  });
});

describe('Hono', () => {
  it('answers 500 behind something that has read the body, so that nothing is lost', async () => {
    const outcomes: Outcome[] = [];
    const webhook = fetchWebhook(secret, { handoff: false, onOutcome: (outcome) => outcomes.push(outcome) });
    const app = new Hono();
    app.use(async (c, next) => {
      await c.req.text();
      await next();
    });
    app.post('/vast/webhooks', (c) => webhook(c.req.raw));
    const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
    expect((await app.request('/vast/webhooks', { method: 'POST', body, headers })).status).toBe(500);
    expect(outcomes).toMatchObject([{ code: 'raw_body_unavailable', permanent: false }]);
  });
});

describe('examples/lambda', () => {
  const logged = vi.spyOn(console, 'log');
  let handler: (event: object) => Promise<{ statusCode: number; headers: Record<string, string>; body: string }>;
  beforeAll(async () => {
    vi.stubEnv('VAST_WEBHOOK_SECRET', secret);
    ({ handler } = await import(`${project().folder}/examples/lambda/handler.mjs`));
  });
  beforeEach(() => {
    logged.mockReset().mockImplementation(() => {});
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    logged.mockRestore();
  });

  const gateways = { 'an HTTP API (2.0)': httpApiEvent, 'a REST API (1.0)': restApiEvent };
  describe.each(Object.entries(gateways))('behind %s', (_, eventOf) => {
    it.each<[string, Parameters<typeof eventOf>[1]]>([
      ['with its body as text', {}],
      ['with its body in base64', { base64: true }],
      ['below a stage', { path: '/prod/vast/webhooks' }],
      ['with its headers in lower case', { nameOf: (name) => name.toLowerCase() }],
      ['with its headers in upper case', { nameOf: (name) => name.toUpperCase() }],
    ])('takes a delivery %s once', async (_case, options) => {
      const outbid = { ...sampleEvent('outbid'), subject: 'Überboten: 入札' };
      const delivery = signedDelivery(outbid, secret);
      for (let attempt = 1; attempt <= 2; attempt++) {
        expect(await handler(eventOf(delivery, options))).toEqual({ statusCode: 204, headers: {}, body: '' });
      }
      expect(logged.mock.calls).toEqual([[`outbid: ${outbid.subject}`]]);
    });

    it.each(['X-Vast-Signature-256', 'X-Vast-Timestamp'])('refuses a delivery with two of %s', async (name) => {
      const delivery = signedDelivery(sampleEvent('outbid'), secret);
      const value = delivery.headers[name] as string;
      for (const values of [
        ['0', value],
        [value, '0'],
        [value, value],
      ]) {
        const answer = await handler(eventOf(delivery, { repeated: { [name]: values } }));
        expect(answer).toMatchObject({ statusCode: 401, body: '{"ok":false,"error":"invalid_signature"}' });
      }
      expect(logged).not.toHaveBeenCalled();
    });

    it('refuses a forgery, a delivery without a body, and another method', async () => {
      const delivery = signedDelivery(sampleEvent('outbid'), secret);
      const changed = { ...delivery, body: delivery.body.replace('outbid', 'topped') };
      expect(await handler(eventOf(changed, {}))).toMatchObject({ statusCode: 401 });
      expect(await handler({ ...eventOf(delivery, {}), body: undefined })).toMatchObject({ statusCode: 401 });
      expect(await handler(eventOf(delivery, { method: 'GET' }))).toMatchObject({
        statusCode: 405,
        headers: { allow: 'POST' },
      });
      expect(logged).not.toHaveBeenCalled();
    });
  });

  it('is tried out behind a stand-in for API Gateway', async () => {
    const started = await start('lambda', {});
    const outbid = sampleEvent('outbid');
    await expectDeliveries(started, outbid);
    started.program.kill('SIGTERM');
    expect(await started.program.exited).toBe(0);
    expect(started.program.stdout.split('\n').slice(1)).toEqual([...bySink(outbid), '']);
  });
});

describe('examples/nextjs', () => {
  /** Routes that are set up to fail, beside those of the example. */
  const traps = {
    'pages/api/parsed.js': `
      import { vastWebhook } from 'vast-webhook';
      const webhook = vastWebhook(() => process.env.VAST_WEBHOOK_SECRET, { handoff: false });
      export default (req, res) => webhook(req, res);`,
    'app/read/route.js': `
      import { vastWebhook } from 'vast-webhook/fetch';
      const webhook = vastWebhook(() => process.env.VAST_WEBHOOK_SECRET, { handoff: false });
      export const POST = async (request) => {
        await request.text();
        return webhook(request);
      };`,
    'app/slow/route.js': `
      import { setTimeout } from 'node:timers/promises';
      import { after } from 'next/server';
      import { vastWebhook } from 'vast-webhook/fetch';
      const deliver = async () => {
        await setTimeout(300);
        console.log('delivered after the answer');
      };
      const sinks = [{ name: 'slow', deliver }];
      const webhook = vastWebhook(() => process.env.VAST_WEBHOOK_SECRET, { sinks, deadlineMs: 100 });
      export const POST = (request) => webhook(request, { waitUntil: after });`,
  };
  // The packages of the checkout are elsewhere, and Next.js wants them below its root. The rest makes it quicker.
  const config = `export default {
    turbopack: { root: '/' },
    experimental: { turbopackFileSystemCacheForBuild: false, turbopackSourceMaps: false },
  };`;
  const env = { NEXT_TELEMETRY_DISABLED: '1' };
  let service: Started;

  beforeAll(async () => {
    const { folder } = project();
    for (const [file, text] of Object.entries(traps)) await write(join(folder, 'examples/nextjs', file), text);
    await write(join(folder, 'examples/nextjs/next.config.mjs'), config);
    const { steps, start: last } = await commandOf('nextjs');
    for (const step of steps) {
      const build = project().start(step, env);
      expect(await build.exited, build.stderr).toBe(0);
    }
    const program = project().start(last, { ...env, PORT: '0', VAST_WEBHOOK_SECRET: secret });
    const [, url = ''] = await program.printed(/Local: +(http:\S+)/);
    service = { program, url };
  });

  it.each(['/vast/webhooks', '/api/vast/webhooks'])(
    'takes an event once at %s, and refuses forgeries',
    async (path) => {
      const outbid = { ...sampleEvent('outbid'), subject: `Outbid, sent to ${path}` };
      await expectDeliveries({ url: service.url + path }, outbid);
      await service.program.printed(new RegExp(bySink(outbid).join()));
      expect(service.program.stdout.split(outbid.subject)).toHaveLength(2);
      expect((await fetch(service.url + path)).status).toBe(405);
    },
  );

  it('leaves other routes and their parsers alone', () => expectOrders(service, '/api/orders'));

  it.each(['/api/parsed', '/read'])('answers 500 where somebody has read the body: %s', async (path) => {
    const answer = await send(service.url + path, sampleEvent('outbid'));
    expect([answer.status, await answer.json()]).toEqual([500, { ok: false, error: 'raw_body_unavailable' }]);
  });

  it('redirects another spelling of the address, after which Vast.ai gives an event up', async () => {
    const { status } = await fetch(`${service.url}/vast/webhooks/`, { method: 'POST', redirect: 'manual' });
    expect(status).toBe(308);
  });

  it('waits in `after` for sinks that outlive the answer', async () => {
    expect((await send(`${service.url}/slow`, sampleEvent('outbid'))).status).toBe(504);
    await service.program.printed(/delivered after the answer/);
  });
});

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}
