/** The services under attack, in a process of their own so that memory and handles are theirs. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { type Closable, type Outcome, vastWebhook } from '../../src/index.js';
import { type Adapter, adapters as frameworks } from '../support/adapters.js';
import { Behaviour, type Call } from './faults.js';
import { Observed, type Seen, terms } from './observer.js';
import { within } from './patience.js';

/** How a case went, as plain data. */
export interface Report {
  readonly requests: readonly Seen[];
  readonly outcomes: readonly Pick<Outcome, 'result' | 'status' | 'code' | 'reason' | 'id'>[];
  readonly calls: readonly Call[];
  readonly granted: Readonly<Record<string, number>>;
  /** The number of claims that are not settled. */
  readonly held: number;
  /** Ports of the connections on which the server's parser stumbled. */
  readonly stumbled: readonly number[];
  /** Errors that no outcome carries and no code caught, and warnings. */
  readonly troubles: readonly string[];
  /** Whether handlers answer, who take their time. */
  readonly isHandedOn: boolean;
  /** How long the process itself was blocked recently. */
  readonly stallMs: number;
  /** Whether everything ended in time. */
  readonly isSettled: boolean;
}

export interface Memory {
  readonly heapBytes: number;
  /** How many of each kind keep the process alive, and how many listen to the process. */
  readonly resources: Readonly<Record<string, number>>;
}

/** How long anything may take that is bounded. */
const patienceMs = 4_000;
const troubles: string[] = [];
/** By how much each of the last turns of a clock was late. */
const stalls = Array.from({ length: 100 }, () => 0);
const tickMs = 50;
let ticks = 0;
let tickedAt = performance.now();
setInterval(() => {
  const now = performance.now();
  stalls[ticks++ % stalls.length] = now - tickedAt - tickMs;
  tickedAt = now;
}, tickMs);

const kinds = {
  handler: { sinks: [] as const, handoff: true },
  sinks: { sinks: ['a', 'b'] as const, handoff: false },
  'sinks and handler': { sinks: ['a'] as const, handoff: true },
};

const bare: Pick<Adapter, 'listen' | 'takes'> = {
  takes: 'node',
  listen({ options }, handler) {
    const hook = vastWebhook(terms.secret, { ...options, path: terms.path });
    const app = async (req: IncomingMessage & { vast?: unknown }, res: ServerResponse) => {
      if (req.url?.startsWith('/elsewhere')) {
        res.writeHead(200).end();
        return;
      }
      // Nothing is caught here, as in many a service.
      const vast = req.vast as never;
      if (vast === undefined) {
        res.writeHead(404).end();
        return;
      }
      const status = await Promise.resolve()
        .then(() => handler({ received: vast, vast, body: undefined, closed: () => once(res, 'close'), write() {} }))
        .catch(() => 500);
      res.writeHead(status).end();
    };
    return { listener: (req, res) => hook(req, res, () => void app(req, res)), hook };
  },
};

class Service {
  readonly #behaviour = new Behaviour();
  readonly #server: Server;
  readonly #hook: Closable;
  readonly #sockets = new Map<number, Socket>();
  readonly #isHandedOn: boolean;
  #requests: Observed[] = [];
  #outcomes: Report['outcomes'][number][] = [];
  #stumbled: number[] = [];

  constructor(adapter: Pick<Adapter, 'listen' | 'takes'>, { sinks, handoff }: (typeof kinds)[keyof typeof kinds]) {
    const { path, secret, nowMs, ...times } = terms;
    const behaviour = this.#behaviour;
    this.#isHandedOn = handoff;
    const { listener, hook } = adapter.listen(
      {
        secret,
        mounting: 'with a path',
        options: {
          ...times,
          path,
          now: () => nowMs,
          handoff,
          sinks: sinks.map((name) => behaviour.sink(name)),
          store: behaviour.store,
          onError() {},
          onOutcome: ({ result, status, code, reason, id }) => {
            this.#outcomes.push({ result, status, code, reason, id });
          },
        },
      },
      ({ vast, closed }) => (vast === undefined ? 404 : behaviour.handle(vast.delivery, closed)),
    );
    this.#hook = hook;
    this.#server = createServer((req, res) => {
      if (!req.url?.startsWith('/elsewhere?probe'))
        this.#requests.push(new Observed(req, res, adapter.takes === 'Request'));
      listener(req, res);
    });
    // Longer than any wait, because closing an idle connection would hide a hang.
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', (socket) => {
      const port = socket.remotePort ?? 0;
      this.#sockets.set(port, socket);
      socket.once('close', () => this.#sockets.delete(port));
    });
    // Not with a listener, because that would change the server's behaviour.
    const { emit } = this.#server;
    this.#server.emit = (name: string, ...args: unknown[]) => {
      if (name === 'clientError') this.#stumbled.push((args[1] as Socket).remotePort ?? 0);
      return Reflect.apply(emit, this.#server, [name, ...args]);
    };
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  begin(): void {
    this.#requests = [];
    this.#outcomes = [];
    this.#stumbled = [];
    this.#behaviour.clear();
  }

  /** When the connections from these ports are there: a client that resets earlier is never known by its port. */
  accepted(ports: readonly number[]): Promise<boolean> {
    return within(patienceMs, () => ports.every((port) => this.#sockets.has(port)));
  }

  /** Resolves when all bytes from each port have been read, and their requests are answered. */
  async settled(sent: Readonly<Record<number, number>>): Promise<Report> {
    const isSettled = await within(patienceMs, () => {
      const isRead = Object.entries(sent).every(([port, bytes]) => {
        const socket = this.#sockets.get(Number(port));
        return socket === undefined || socket.bytesRead >= bytes;
      });
      // Other requests may wait for a body that never arrives.
      return isRead && this.#requests.every(({ isOver, reach }) => isOver || reach !== 'endpoint');
    });
    return this.#report(isSettled);
  }

  /** When the connections from these ports are gone, and all that they began has ended. */
  async over(ports: readonly number[]): Promise<Report> {
    const isSettled = await within(patienceMs, () => {
      const isGone = !ports.some((port) => this.#sockets.has(port)) && this.#requests.every(({ isOver }) => isOver);
      const { calls, held, open } = this.#behaviour;
      const due = this.#requests.filter(({ reach }) => reach === 'endpoint').length;
      return (
        isGone && open === 0 && held.size === 0 && calls.every(({ isOver }) => isOver) && this.#outcomes.length >= due
      );
    });
    // Time for surplus outcomes.
    for (let i = 0; i < 3; i++) await turn();
    return this.#report(isSettled);
  }

  /** Resolves to whether it is at rest: every request that began has ended. */
  async close(): Promise<boolean> {
    let isClosed = false;
    void this.#hook.close().then(() => {
      isClosed = true;
    });
    await within(patienceMs, () => isClosed);
    this.#server.close();
    this.#server.closeAllConnections();
    return isClosed;
  }

  #report(isSettled: boolean): Report {
    return {
      requests: this.#requests.map((observed) => observed.seen()),
      outcomes: [...this.#outcomes],
      calls: this.#behaviour.calls.map((call) => ({ ...call })),
      granted: { ...this.#behaviour.granted },
      held: this.#behaviour.held.size,
      stumbled: [...this.#stumbled],
      troubles: troubles.splice(0),
      isHandedOn: this.#isHandedOn,
      stallMs: Math.max(...stalls),
      isSettled,
    };
  }
}

async function memory(): Promise<Memory> {
  const { gc } = globalThis as { gc?: () => void };
  for (const service of services.values()) service.begin();
  for (let i = 0; i < 4; i++) {
    gc?.();
    await sleep(10);
  }
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  for (const name of process.eventNames()) resources[`on ${String(name)}`] = process.listenerCount(name);
  return { heapBytes: process.memoryUsage().heapUsed, resources };
}

const services = new Map<string, Service>();
for (const [name, adapter] of [...frameworks, ['node:http', bare] as const]) {
  for (const [kind, options] of Object.entries(kinds)) services.set(`${name}, ${kind}`, new Service(adapter, options));
}

/** The calls of the attacker, each with plain data as its arguments and its result. */
const operations = {
  begin: (name: string) => serviceOf(name).begin(),
  accepted: (name: string, ports: number[]) => serviceOf(name).accepted(ports),
  settled: (name: string, sent: Record<number, number>) => serviceOf(name).settled(sent),
  over: (name: string, ports: number[]) => serviceOf(name).over(ports),
  close: (name: string) => serviceOf(name).close(),
  memory,
};
export type Operations = typeof operations;

function serviceOf(name: string): Service {
  const service = services.get(name);
  if (service === undefined) throw new Error(`no such service: ${name}`);
  return service;
}

process.on('unhandledRejection', (reason) => troubles.push(`unhandled rejection: ${textOf(reason)}`));
process.on('uncaughtException', (error) => troubles.push(`uncaught exception: ${textOf(error)}`));
process.on('warning', (warning: Error & { code?: string }) => {
  // The frameworks parse targets with url.parse(), which warns about an invalid port.
  if (warning.code !== 'DEP0170') troubles.push(`warning: ${warning.name}: ${warning.message}`);
});
process.on('disconnect', () => process.exit());
process.on('message', async ([call, operation, ...args]: [number, keyof Operations, ...unknown[]]) => {
  try {
    process.send?.([call, await Reflect.apply(operations[operation], undefined, args)]);
  } catch (error) {
    process.send?.([call, undefined, textOf(error)]);
  }
});

const ports: Record<string, number> = {};
for (const [name, service] of services) ports[name] = await service.listen();
process.send?.([0, ports]);

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
