import { once } from 'node:events';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { expect, it } from 'vitest';
import type { Outcome } from '../../src/index.js';
import { vastWebhook } from '../../src/koa.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';

const Koa2 = createRequire(import.meta.url)('koa2') as typeof Koa;

it.each([
  ['Koa 2', Koa2],
  ['Koa 3', Koa],
])('%s answers when somebody calls the middleware with a next that throws', async (_name, App) => {
  const secret = 'synthetic-webhook-secret';
  const outcomes: Outcome[] = [];
  const hook = vastWebhook(secret, { onOutcome: (outcome) => outcomes.push(outcome) });
  const app = new App();
  app.silent = true;
  app.use((ctx) =>
    hook(ctx, () => {
      throw new Error('not a promise');
    }),
  );
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/vast/webhooks`;
    const answer = await fetch(url, { method: 'POST', ...signedDelivery(sampleEvent('outbid'), secret) });
    expect(answer.status).toBe(500);
    expect(outcomes).toMatchObject([{ result: 'failed', code: 'handler_failed', status: 500, permanent: false }]);
    expect(outcomes[0]?.error?.message).toContain('not a promise');
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
