import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import middie from '@fastify/middie';
import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Outcome, type VastWebhook, vastWebhook } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { documentedExamples, readmeOf, type Started, secret, send } from './documented.js';
import { nestService } from './nest-service.js';

const { run, start } = documentedExamples();
const json = { 'Content-Type': 'application/json' };

/** What Vast.ai sends, changed on its way. */
function sendTampered(url: string): Promise<Response> {
  const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
  return fetch(url, { method: 'POST', body: body.replace('outbid', 'topped'), headers });
}

/** Sends one event twice and a forgery, and expects what every service owes the sender. */
async function expectDeliveries({ url }: Pick<Started, 'url'>, event: object): Promise<void> {
  expect((await sendTampered(url)).status).toBe(401);
  expect((await fetch(url, { method: 'POST', headers: json, body: '{}' })).status).toBe(401);
  expect((await send(url, event)).status).toBe(204);
  expect((await send(url, event, { attempt: 2 })).status).toBe(204);
}

/** The parsers of the other routes: a body of the service's own comes back as it was parsed. */
async function expectOrders({ url }: Pick<Started, 'url'>): Promise<void> {
  const order = { gpu: 'H100', note: 'x'.repeat(70_000) };
  const answer = await fetch(new URL('/orders', url), { method: 'POST', headers: json, body: JSON.stringify(order) });
  expect(await answer.json()).toEqual({ ordered: order });
}

const bySink = ({ subject }: { subject?: string }) => [`outbid: ${subject}`];
const byHandler = ({ subject, event_id }: { subject?: string; event_id: string }) => [
  `would raise the bid: ${subject}`,
  `done with ${event_id}`,
];

describe.each([
  { example: 'fastify', file: 'server.mjs', says: bySink },
  { example: 'fastify', file: 'handler.mjs', says: byHandler },
  { example: 'nestjs', file: 'main.ts', says: byHandler, stopped: 'SIGTERM' },
  { example: 'nestjs', file: 'main-raw-body.ts', says: byHandler, stopped: 'SIGTERM' },
  {
    example: 'functions-framework',
    file: '',
    says: bySink,
    listening: /^URL: (http:\S+)$/m,
    picksPort: false,
  },
])('examples/$example $file', ({ example, file, says, stopped = 0, listening, picksPort = true }) => {
  it('takes an event once, refuses forgeries, leaves other routes alone and stops cleanly', async () => {
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
  { example: 'fastify', file: 'server.mjs' },
  { example: 'fastify', file: 'handler.mjs' },
  { example: 'nestjs', file: 'main.ts' },
  { example: 'functions-framework', file: '' },
])('examples/$example $file', ({ example, file }) => {
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
    const answer = fetch(url, { method: 'POST', body, headers });
    answer.catch(() => {});
    expect(await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 300, 'hangs'))])).toBe('hangs');
    expect((await fetch(url, { method: 'POST', body, headers })).status).toBe(503);
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

  it('does not stand before the controller under a prefix that it was not told, which then has no event', async () => {
    const nest = await nestService({ middleware: 'app', prefix: 'api' });
    expect((await fetch(nest.url, { method: 'POST', headers: json, body: '{}' })).status).toBe(500);
    expect(nest.outcomes).toEqual([]);
    expect(nest.handled).toEqual([]);
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
