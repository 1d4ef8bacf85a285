import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { verifyDelivery } from '../../src/index.js';
import { secret } from './serving.js';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Receiving {
  readonly url: string;
  readonly received: readonly Received[];
  /** How many connections have been made. */
  readonly connections: number;
}

/** A server that keeps what it gets, and answers 204 by default. It is closed after the test. */
export async function receiving(
  answer = (res: ServerResponse, _received: Received): unknown => res.writeHead(204).end(),
): Promise<Receiving> {
  const received: Received[] = [];
  let connections = 0;
  const server = createServer(async (req, res) => {
    const request = { headers: req.headers, body: await buffer(req) };
    received.push(request);
    answer(res, request);
  });
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/vast/webhooks`,
    received,
    get connections() {
      return connections;
    },
  };
}

/** What a receiver of the real sort makes of it. Throws unless it is genuine. */
export function verified({ headers, body }: Received) {
  return verifyDelivery({ headers, body, secret });
}
