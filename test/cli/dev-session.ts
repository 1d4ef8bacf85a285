import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, vi } from 'vitest';
import type { LoggedDelivery } from '../../src/cli/dev/delivery-log.js';
import { run } from '../../src/cli/program.js';
import { type FakeIo, fakeIo } from '../support/io.js';

export interface DevSession {
  readonly io: FakeIo;
  readonly cwd: string;
  /** Resolves with the exit status. */
  readonly ended: Promise<number>;
  /** The next text that matches on standard output; rejects when the command ends without it. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  pageUrl(): Promise<string>;
  receiverUrl(): Promise<string>;
}

/**
 * Starts `vast-webhook dev` on free ports, and interrupts it at the test's end. `file` is its `.env`, or makes it. In a
 * folder of its own, unless there is one.
 */
export async function startDev(
  args: readonly string[],
  env: Record<string, string> = {},
  file?: string | ((path: string) => Promise<void>),
  folder?: string,
): Promise<DevSession> {
  const cwd = folder ?? (await mkdtemp(join(tmpdir(), 'vast-webhook-')));
  const path = join(cwd, '.env');
  if (typeof file === 'string') await writeFile(path, file);
  else await file?.(path);
  const io = fakeIo({ cwd, env: { PATH: process.env.PATH, ...env } });
  const ended = run(['dev', '--port', '0', '--page-port', '0', ...args], io, '0.0.0');
  onTestFinished(async () => {
    io.interrupt();
    await ended;
    await rm(cwd, { recursive: true, force: true });
  });
  const printed = (pattern: RegExp) =>
    Promise.race([
      io.printed(pattern),
      ended.then((status) => {
        throw new Error(`it ended with ${status} and without ${pattern}: ${io.out}${io.err}`);
      }),
    ]);
  const found = async (pattern: RegExp) => (await printed(pattern))[1] as string;
  return {
    io,
    cwd,
    ended,
    printed,
    pageUrl: () => found(/shown on (\S+\/)\n/),
    receiverUrl: () => found(/receiving on (\S+)\n/),
  };
}

/** Lets a tunnel's host lead to the receiver for `fetch`, as the tunnel would. */
export function connectTunnel(origin: string, receiverOrigin: () => string): void {
  const { fetch } = globalThis;
  vi.stubGlobal('fetch', (input: string, init?: RequestInit) =>
    fetch(input.startsWith(`${origin}/`) ? receiverOrigin() + input.slice(origin.length) : input, init),
  );
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
}

/** Gives the page's orders as the page does. */
async function pageOrders(session: DevSession) {
  const url = await session.pageUrl();
  const [, token = ''] = /name="token" content="(\w+)"/.exec((await send(url)).body) ?? [];
  const { origin } = new URL(url);
  const headers = { Origin: origin, 'Content-Type': 'application/json', 'X-Dev-Token': token };
  return (path: string, order: object) => send(url + path, { method: 'POST', headers, body: JSON.stringify(order) });
}

/** All that the page can show of the first deliveries, when they are there. */
export async function shownDeliveries(session: DevSession, last: number): Promise<LoggedDelivery[]> {
  const order = await pageOrders(session);
  const numbers = Array.from({ length: last }, (_, index) => index + 1);
  await expect.poll(async () => (await order('detail', { number: last })).status).toBe(200);
  const answers = await Promise.all(numbers.map((number) => order('detail', { number })));
  return answers.map(({ body }) => JSON.parse(body).delivery);
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

/** With every header as given: `fetch` sets Host and Origin itself. */
export function send(
  url: string,
  {
    method = 'GET',
    headers = {},
    body = '',
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const req = request(url, { method, headers }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => {
        text += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text }));
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end(body);
  });
}
