/** Middleware in front may replace the answer's body, also of an answer that waits for the rest of its request. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import Koa from 'koa';
import { expect, it, onTestFinished } from 'vitest';
import { vastWebhook } from '../../src/koa.js';
import { signedDelivery } from '../../src/testing/index.js';
import { Connection } from '../support/requests.js';

const secret = 'a'.repeat(32);

it.each([
  ['null', () => null, 'null'],
  ['a stream', () => Readable.from(['too ', 'large']), 'too large'],
  ['bytes', () => Buffer.from('too large'), 'too large'],
])('a 413 whose body is %s', async (_, bodyOf, expected) => {
  const app = new Koa();
  app.use(async (ctx, next) => {
    await next();
    const { status } = ctx;
    ctx.body = bodyOf();
    ctx.status = status;
  });
  app.use(vastWebhook(secret, { onOutcome() {} }));
  const server = createServer(app.callback());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { headers } = signedDelivery({ event_id: 'x' }, secret);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const connection = await Connection.open((server.address() as AddressInfo).port);
  connection.write(`POST /vast/webhooks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n${lines.join('')}\r\n`);
  connection.write(`20000\r\n${' '.repeat(0x20000)}\r\n`);
  const { status, body } = await connection.answer();
  await connection.closed;
  expect([status, body]).toEqual([413, expected]);
});
