import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from './errors.js';

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** The flag that sets the port, for errors. */
  readonly portFlag?: string;
}

/** How long running answers may take after the server was closed. */
const answersWithinMs = 500;

/** Starts to listen, and returns the port. Throws a `CliError` that names the flag to change. */
export async function listen(server: Server, { host, port, portFlag = '--port' }: ListenOptions): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const why = Object.hasOwn(reasons, code) ? reasons[code]?.(host, port, portFlag) : undefined;
    throw new CliError(why ?? `cannot listen on ${host}, port ${port} (${code}): give another one with ${portFlag}`);
  }
  return (server.address() as AddressInfo).port;
}

const notHere = (host: string) => `${host} is no address of this machine: give another one with --host`;

const reasons: Readonly<Record<string, (host: string, port: number, flag: string) => string>> = {
  EADDRINUSE: (_, port, flag) => `port ${port} is in use: stop what uses it, or give another one with ${flag}`,
  EACCES: (_, port, flag) => `port ${port} may not be used by this user: give one above 1023 with ${flag}`,
  EADDRNOTAVAIL: notHere,
  ENOTFOUND: notHere,
};

/**
 * Accepts no connection any more. Returns a function that waits a moment for running answers, and then closes all
 * connections.
 */
export function stopListening(server: Server): () => Promise<void> {
  const closed = once(server, 'close');
  server.close();
  return async () => {
    const late = new AbortController();
    await Promise.race([closed, sleep(answersWithinMs, undefined, { signal: late.signal })]).catch(() => {});
    late.abort();
    server.closeAllConnections();
  };
}
