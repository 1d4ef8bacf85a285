import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, createServer as createTcpServer, Server } from 'node:net';
import { gzipSync } from 'node:zlib';
import express from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';
import { vastWebhook } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { type DevSession, send, shownDeliveries, startDev } from './dev-session.js';
import { receiving } from './receiving.js';
import { runCommand } from './running.js';

const secret = 'a-secret-of-the-environment';
const env = { VAST_WEBHOOK_SECRET: secret };

describe('dev --forward-to', () => {
  it('passes a delivery on byte by byte, with its headers, and signs nothing anew', async () => {
    const app = await receiving();
    const session = await startForwarding(app.url);
    // As Python prints it: parsed and printed again it would be other bytes.
    const body =
      '{"event_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "notif_type": "outbid", "subject": "Gr\\u00fc\\/n", "x": 1.0}';
    const { headers } = signedDelivery(body, secret);
    const sent = { ...headers, 'X-Vast-Delivery-Attempt': '3', 'X-Of-A-Proxy': 'yes' };
    expect((await send(await session.receiverUrl(), { method: 'POST', body, headers: sent })).status).toBe(204);
    const [received] = app.received;
    expect(received?.body.toString()).toBe(body);
    expect(received?.headers).toMatchObject(
      Object.fromEntries(Object.entries(sent).map(([name, value]) => [name.toLowerCase(), value])),
    );
    expect(received?.headers.host).toBe(new URL(app.url).host);
    await session.printed(/accepted 204 outbid/);
    await session.printed(/your app: 204 in \d+ ms/);
  });

  it('delivers to the middleware of the app, which verifies it by itself', async () => {
    const outcomes: string[] = [];
    const app = express();
    app.use(vastWebhook(secret, { onOutcome: ({ result }) => void outcomes.push(result) }));
    app.post('/vast/webhooks', (_req, res) => void res.sendStatus(204));
    const session = await startForwarding(await served(app));
    const request = signed(sampleEvent('outbid'));
    expect((await send(await session.receiverUrl(), request)).status).toBe(204);
    expect((await send(await session.receiverUrl(), request)).status).toBe(204);
    expect(outcomes).toEqual(['accepted', 'duplicate']);
  });

  it('answers as the app does, so that the sender tries again what the app did not take', async () => {
    const app = await receiving((res) =>
      res.writeHead(503, { 'Retry-After': '7', 'Content-Type': 'text/plain', 'Set-Cookie': 'a=b' }).end('not now'),
    );
    const session = await startForwarding(app.url);
    const answer = await send(await session.receiverUrl(), signed(sampleEvent('outbid')));
    expect(answer).toMatchObject({ status: 503, body: 'not now', headers: { 'retry-after': '7' } });
    expect(answer.headers['set-cookie']).toBeUndefined();
    await session.printed(/your app: 503/);
  });

  it('answers 502 when the app is not running, and the sender tries again', async () => {
    const session = await startForwarding(await closedUrl());
    const answer = await send(await session.receiverUrl(), signed(sampleEvent('outbid')));
    expect(answer).toMatchObject({ status: 502, body: '{"ok":false,"error":"forward_failed"}' });
    await session.printed(/your app: no answer \(ECONNREFUSED\), so the sender gets 502: is your app running\?/);
  });

  for (const [what, head] of [
    ['another protocol', 'HTTP/1.1 101 Odd\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'],
    ['a change of protocol to none', 'HTTP/1.1 101 Odd\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['status 0', 'HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['half a head', 'HTTP/1.1 204'],
    ['no HTTP', 'nonsense\r\n\r\n'],
  ] as const) {
    it(`answers 502 when the answer of the app is ${what}, and goes on`, async () => {
      const app = createTcpServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => (head.endsWith('\n') ? socket.write(head) : socket.end(head)));
      });
      const session = await startForwarding(await served(app));
      for (let count = 0; count < 2; count++) {
        const answer = await send(await session.receiverUrl(), signed(sampleEvent('outbid')));
        expect(answer).toMatchObject({ status: 502, body: '{"ok":false,"error":"forward_failed"}' });
        await session.printed(/your app: no answer \([A-Z_]+\), so the sender gets \d+: is your app running\?/);
      }
    });
  }

  it('answers with the headers of dev what is not passed on', async () => {
    const session = await startForwarding((await receiving()).url);
    expect(await send(await session.receiverUrl())).toMatchObject({
      status: 405,
      headers: { allow: 'POST', 'content-type': expect.stringMatching(/json/) },
    });
  });

  it('can show the answer of an app that compresses, because it does not ask for that', async () => {
    const app = await receiving((res, { headers }) => {
      if (headers['accept-encoding'] === undefined) res.writeHead(500).end('it broke');
      else res.writeHead(500, { 'Content-Encoding': 'gzip' }).end(gzipSync('it broke'));
    });
    const session = await startForwarding(app.url);
    const { headers, ...request } = signed(sampleEvent('outbid'));
    const sent = { ...request, headers: { ...headers, 'Accept-Encoding': 'gzip, deflate' } };
    expect(await send(await session.receiverUrl(), sent)).toMatchObject({ status: 500, body: 'it broke' });
    const [shown] = await shownDeliveries(session, 1);
    expect(shown?.forwarded).toMatchObject({ status: 500, body: 'it broke' });
  });

  it('passes on what dev itself refuses, because the app may have another secret', async () => {
    const app = await receiving();
    const session = await startForwarding(app.url);
    const request = { method: 'POST', ...signedDelivery(sampleEvent('outbid'), 'the secret of the app') };
    expect((await send(await session.receiverUrl(), request)).status).toBe(204);
    expect(app.received).toHaveLength(1);
    await session.printed(/rejected 401 .*signature_mismatch/);
  });

  it("answers 2xx only if dev's own sinks have the event, too", async () => {
    const chat = await slackStandIn();
    onTestFinished(() => chat.close());
    chat.misbehave = (res) => res.writeHead(500).end();
    const app = await receiving();
    const session = await startForwarding(app.url, '--slack', chat.url);
    const answer = await send(await session.receiverUrl(), signed(sampleEvent('outbid')));
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'sink_failed' });
    expect(app.received).toHaveLength(1);
  });

  it('passes on neither other methods, other paths, nor a body that is too large or breaks off', async () => {
    const app = await receiving();
    const session = await startForwarding(app.url);
    const url = await session.receiverUrl();
    expect((await send(url)).status).toBe(405);
    expect((await send(new URL('/elsewhere', url).href, signed({}))).status).toBe(404);
    expect((await send(url, signed(`{"x":"${'y'.repeat(70_000)}"}`))).status).toBe(413);
    await breakOff(url);
    expect((await send(url, signed(sampleEvent('outbid')))).status).toBe(204);
    expect(app.received).toHaveLength(1);
  });

  it('passes on no header of one connection only', async () => {
    const app = await receiving();
    const session = await startForwarding(app.url);
    const { headers, ...request } = signed(sampleEvent('outbid'));
    const more = { Connection: 'keep-alive, X-Hop', 'X-Hop': '1', Te: 'trailers', 'Proxy-Authorization': 'Basic x' };
    await send(await session.receiverUrl(), { ...request, headers: { ...headers, ...more } });
    for (const name of ['x-hop', 'te', 'proxy-authorization'])
      expect(app.received[0]?.headers).not.toHaveProperty(name);
  });

  it('is asked for by trigger, too, which goes through dev', async () => {
    const app = await receiving((res) => res.writeHead(418).end());
    const session = await startForwarding(app.url);
    const { status, out } = await runCommand(['trigger', 'outbid', '--url', await session.receiverUrl()], { env });
    expect(status).toBe(1);
    expect(out).toMatch(/^418 in/m);
    expect(app.received).toHaveLength(1);
  });

  it('ends a circle, as through its own tunnel', async () => {
    let receiverUrl = '';
    let passed = 0;
    const tunnel = createServer(async (req, res) => {
      passed++;
      const headers = Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)]));
      const chunks: Buffer[] = [];
      for await (const chunk of req) chunks.push(chunk);
      const answer = await send(receiverUrl, { method: 'POST', headers, body: Buffer.concat(chunks).toString() });
      res.writeHead(answer.status).end(answer.body);
    });
    const session = await startForwarding(await served(tunnel));
    receiverUrl = await session.receiverUrl();
    const answer = await send(receiverUrl, signed(sampleEvent('outbid')));
    expect(answer).toMatchObject({ status: 508, body: '{"ok":false,"error":"forward_loop"}' });
    expect(passed).toBe(1);
  });

  it('refuses an address that is none, or its own', async () => {
    for (const url of ['3000', 'ftp://127.0.0.1/', 'http://user:password@127.0.0.1:3000/']) {
      const session = await startDev(['--forward-to', url]);
      expect(await session.ended).toBe(2);
      expect(session.io.err).toContain('--forward-to');
      expect(session.io.err).not.toContain('user:password');
    }
    const port = new URL(await closedUrl()).port;
    const session = await startDev(['--port', port, '--forward-to', `http://localhost:${port}/vast/webhooks`]);
    expect(await session.ended).toBe(2);
    expect(session.io.err).toMatch(/leads back to the receiver of dev/);
  });
});

function startForwarding(url: string, ...args: string[]): Promise<DevSession> {
  return startDev(['--forward-to', url, ...args], env);
}

function signed(event: object | string) {
  return { method: 'POST', ...signedDelivery(event, secret) };
}

async function served(listener: ReturnType<typeof express> | Server): Promise<string> {
  const server = listener instanceof Server ? listener : createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/vast/webhooks`;
}

async function closedUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/vast/webhooks`;
}

/** A signed request that promises more than it sends. */
async function breakOff(url: string): Promise<void> {
  const { hostname, port, pathname } = new URL(url);
  const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect(Number(port), hostname);
  const head = `POST ${pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length + 9}\r\n${lines.join('')}\r\n`;
  await new Promise((resolve) => socket.write(head + body, resolve));
  socket.destroy();
}
