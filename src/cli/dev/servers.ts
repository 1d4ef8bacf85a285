import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../shared/errors.js';

export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

const answersWithinMs = 500;

/** A server on loopback. Throws a `CliError` that names the flag when the port cannot be had. */
export async function listen(listener: RequestListener, port: number, flag: string): Promise<Listening> {
  const server = createServer(listener);
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is in use: stop what uses it, or' : `cannot be used (${code}):`;
    throw new CliError(`port ${port} ${why} give another one with ${flag}`);
  }
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

/** Answers that are on their way get a moment, connections that are kept alive none. */
async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const late = new AbortController();
  await Promise.race([closed, sleep(answersWithinMs, undefined, { signal: late.signal })]).catch(() => {});
  late.abort();
  server.closeAllConnections();
}
