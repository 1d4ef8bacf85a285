import { copyFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it, vi } from 'vitest';
import { endpointStandIn } from '../../support/chat-stand-in.js';
import { temporaryFolder } from '../running.js';
import { anEvent, deliver, during, serving } from '../serving.js';

it('examples/serve-config/vast.json runs', async () => {
  const endpoint = await during(endpointStandIn('application/cloudevents+json'));
  const cwd = temporaryFolder();
  copyFileSync('examples/serve-config/vast.json', join(cwd, 'vast.json'));
  const url = `cloudevents+${endpoint.url}`;
  const env = { OPS_URL: url, ALL_URL: url, ALERT_URL: url };
  const serve = await serving(['--config', 'vast.json'], { cwd, env });
  expect(serve.io.out).toContain('delivering to ops, all through the outbox; store: sqlite:events.db');
  expect((await deliver(serve.url, anEvent({ notif_type: 'outbid' }))).status).toBe(204);
  expect((await deliver(serve.url, anEvent({ notif_type: 'low_credit', event_id: 'another' }))).status).toBe(204);
  await vi.waitUntil(() => endpoint.messages.length === 3);
});

it('examples/serve-config/vast.config.mjs runs', async () => {
  const endpoint = await during(endpointStandIn('application/cloudevents+json'));
  process.env.BROKER_URL = endpoint.url;
  const config = resolve('examples/serve-config/vast.config.mjs');
  const serve = await serving(['--config', config, '--outbox', 'outbox.db']);
  delete process.env.BROKER_URL;
  expect(serve.io.out).toContain('delivering to broker, rebid through the outbox');
  expect((await deliver(serve.url)).status).toBe(204);
  await vi.waitUntil(() => endpoint.messages.length === 1);
});
