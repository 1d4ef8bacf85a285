/**
 * Random mountings times random targets times methods. What must hold of each is in `check`; the seed of a mounting
 * repeats it and all that was sent to it.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Answer, anEvent, bytesOf, Connection, type Message, signed } from '../support/adapters.js';
import { bare } from './bare.js';
import { express } from './express.js';
import { koa } from './koa.js';
import type { Mounting } from './mounting.js';
import { Random } from './random.js';
import { randomTarget } from './targets.js';

const generators = { express, koa, bare };

interface Finding {
  readonly seed: number;
  /** Which rule was broken. */
  readonly rule: string;
  readonly says: string;
  readonly target: string;
  /** How many requests had been sent to earlier mountings. */
  readonly after: number;
}

interface Report {
  readonly requests: number;
  readonly mountings: number;
  readonly findings: readonly Finding[];
}

/** Goes through the mountings of consecutive seeds, until so many requests were sent. */
export async function fuzz(
  firstSeed: number,
  requests: number,
  { perMounting = 24, stopAt = Number.POSITIVE_INFINITY, only = Object.keys(generators) } = {},
): Promise<Report> {
  const findings: Finding[] = [];
  let sent = 0;
  let mountings = 0;
  for (let seed = firstSeed; sent < requests && findings.length < stopAt; seed++) {
    mountings++;
    sent += await tryMounting(seed, perMounting, only, (finding) => findings.push({ ...finding, after: sent }));
  }
  return { requests: sent, mountings, findings };
}

async function tryMounting(
  seed: number,
  requests: number,
  only: readonly string[],
  found: (finding: Omit<Finding, 'after'>) => void,
): Promise<number> {
  const random = new Random(seed);
  const handled: unknown[] = [];
  const generate = generators[random.pick(only) as keyof typeof generators];
  const mounting = await generate(random, { handled: (vast) => handled.push(vast) });
  const server = createServer(mounting.listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new Client(server);
  const fail = (rule: string, target: string) => found({ seed, rule, says: mounting.says, target });
  try {
    await checkPlain(mounting, client, handled, fail);
    mounting.later?.();
    for (let n = 0; n < requests; n++) await checkForged(mounting, random, client, handled, fail);
    await checkGenuine(mounting, client, handled, fail);
    await checkPlain(mounting, client, handled, fail);
  } finally {
    client.close();
    server.closeAllConnections();
    server.close();
    await mounting.stop?.();
  }
  return client.sent;
}

type Fail = (rule: string, target: string) => void;

/** The handler ran only for verified deliveries. */
async function checkForged(
  mounting: Mounting,
  random: Random,
  client: Client,
  handled: unknown[],
  fail: Fail,
): Promise<void> {
  const below = mounting.isWide && random.chance(0.4) ? random.pick(['/x', '/x/y', '/vast/webhooks', '/?a', '//']) : '';
  const target = randomTarget(mounting.endpoint + below, random);
  const method = random.chance(0.8) ? 'POST' : random.pick(['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
  const { body, headers } = random.chance(0.5)
    ? signed(anEvent(), { key: 'forged' })
    : { body: Buffer.from('{"forged":true}'), headers: [['Content-Type', 'application/json'] as [string, string]] };
  const host = random.chance(0.1) ? `h${mounting.endpoint}?` : 'service.test';
  await client.send({ method, target, headers, body }, host);
  if (handled.length > 0) fail('the handler ran for what nobody has verified', `${method} ${target} (Host: ${host})`);
  handled.length = 0;
}

/** A genuine delivery to the endpoint runs the handler once, and a repeat of it does not. */
async function checkGenuine(mounting: Mounting, client: Client, handled: unknown[], fail: Fail): Promise<void> {
  const event = anEvent();
  const target = mounting.endpoint;
  const { status } = await client.send({ target, ...signed(event) });
  const [vast] = handled as [{ delivery: { id: string } } | undefined];
  const id = vast?.delivery?.id;
  if (status !== 204 || handled.length !== 1 || id !== event.event_id) {
    fail(`a genuine delivery ran the handler ${handled.length} times, status ${status}`, target);
  }
  handled.length = 0;
  await client.send({ target, ...signed(event) });
  if (handled.length > 0) fail('the handler ran twice for one event', target);
  handled.length = 0;
}

/** A plain request to a plain route is answered by that route. */
async function checkPlain(mounting: Mounting, client: Client, handled: unknown[], fail: Fail): Promise<void> {
  for (const target of mounting.plain) {
    for (const method of mounting.plainMethods) {
      const { status, body } = await client.send({ method, target, body: method === 'GET' ? '' : 'a=b' });
      if (status !== 200 || body !== `plain ${target}`)
        fail(`a plain route answered ${status} ${body}`, `${method} ${target}`);
    }
  }
  if (handled.length > 0) fail('a plain route ran the handler', mounting.plain.join(' '));
  handled.length = 0;
}

class Client {
  readonly #port: number;
  #connection: Connection | undefined;
  sent = 0;

  constructor(server: Server) {
    this.#port = (server.address() as AddressInfo).port;
  }

  async send(message: Message, host = 'service.test'): Promise<Partial<Answer>> {
    this.sent++;
    const bytes = Buffer.from(
      bytesOf(message).toString('latin1').replace('Host: service.test', `Host: ${host}`),
      'latin1',
    );
    this.#connection ??= await Connection.open(this.#port);
    this.#connection.write(bytes);
    try {
      const answer = await this.#connection.answer(message.method);
      // A request that the server's parser refuses ends its connection.
      if (answer.headers.connection === 'close') this.close();
      return answer;
    } catch {
      this.close();
      return {};
    }
  }

  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }
}
