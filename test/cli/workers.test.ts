import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { signedDelivery } from '../../src/testing/index.js';
import type { Program } from '../examples/checkout.js';
import { databaseUrl, describeWithPostgres, describeWithRedis, redisUrl, uniqueName } from '../support/backends.js';
import { type ChatStandIn, slackStandIn } from '../support/chat-stand-in.js';
import { parseExposition } from '../support/exposition.js';
import { startVastMarket } from '../support/vast-market.js';
import { type Installed, installed } from './installed.js';
import { listen } from './listen.js';
import { type Receiving, receiving } from './receiving.js';
import { anEvent, during, logLines, secret } from './serving.js';

let command: Installed;
beforeAll(async () => {
  command = await installed();
});
afterAll(() => command?.remove());

interface Started {
  readonly program: Program;
  readonly project: string;
  readonly url: string;
  /** The processes of the workers that have come to listen, by their numbers. */
  pids(): Map<number, number>;
  log(): Record<string, unknown>[];
}

interface Setting {
  readonly env?: Readonly<Record<string, string>>;
  readonly packages?: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
}

/** `serve` with workers, when all of them listen. */
async function start(
  count: number,
  args: readonly string[],
  { env = {}, packages = ['better-sqlite3'], files = {} }: Setting = {},
): Promise<Started> {
  const project = await command.projectWith(...packages);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(project, name), content);
  const program = command.start(
    ['serve', '--port', '0', '--log', 'json', '--workers', String(count), ...args],
    { VAST_WEBHOOK_SECRET: secret, ...env },
    project,
  );
  onTestFinished(() => program.kill('SIGKILL'));
  const [, url = ''] = await program.printed(/listening on (http:[^\s,]*)/);
  const log = () => logLines(program.stdout.slice(0, program.stdout.lastIndexOf('\n')));
  const pids = () => {
    const started = log().filter(({ message }) => `${message}`.endsWith('has started'));
    return new Map(started.map(({ worker, pid }) => [Number(worker), Number(pid)]));
  };
  await vi.waitUntil(() => pids().size >= count, 60_000);
  return { program, project, url, pids, log };
}

function isAlive(pid: number | undefined): boolean {
  try {
    return process.kill(pid as number, 0);
  } catch {
    return false;
  }
}

/** As Vast.ai gives up after a time: a connection that was on its way to a killed worker stays open. */
const patienceMs = 5_000;

/** Sends one delivery. Gives its status, or the code of the error. */
function send(url: string, event: object, agent: Agent): Promise<number | string> {
  const { body, headers } = signedDelivery(event, secret);
  const options = { method: 'POST', agent, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) } };
  return new Promise((resolve) => {
    const sent = request(url, options, (res) => res.resume().on('close', () => resolve(res.statusCode ?? 0)));
    const timer = setTimeout(() => sent.destroy(), patienceMs);
    sent
      .on('close', () => clearTimeout(timer))
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .end(body);
  });
}

function connections(keepAlive: boolean): Agent {
  const agent = new Agent({ keepAlive });
  onTestFinished(() => agent.destroy());
  return agent;
}

/** As Vast.ai does: the same event again until it is taken. Gives what was answered before. */
async function sendUntilTaken(url: string, event: object, agent: Agent): Promise<(number | string)[]> {
  const before: (number | string)[] = [];
  for (;;) {
    const status = await send(url, event, agent);
    if (status === 204) return before;
    before.push(status);
    await sleep(20);
  }
}

/** Sends events over several connections, half of which are kept alive, until it is ended. */
function streaming(url: string, senders: number) {
  let isOver = false;
  const ids: string[] = [];
  const refusals: (number | string)[] = [];
  const over = Promise.all(
    Array.from({ length: senders }, async (_, index) => {
      const agent = connections(index % 2 === 0);
      while (!isOver) {
        const event = anEvent({ event_id: uniqueName() });
        ids.push(event.event_id);
        refusals.push(...(await sendUntilTaken(url, event, agent)));
        await sleep(5);
      }
    }),
  );
  return {
    /** The ids that were sent, and all answers but 204. */
    async end() {
      isOver = true;
      await over;
      return { ids: ids.sort(), refusals };
    },
  };
}

function deliveredTo(slack: ChatStandIn<{ readonly text: string }>): string[] {
  return slack.messages.map(({ text }) => /event_id=(\S+)/.exec(text)?.[1] ?? '').sort();
}

function idsAt({ received }: Receiving): string[] {
  return received.map(({ body }) => JSON.parse(`${body}`).data.event_id).sort();
}

const delivered = (result: string) => `vast_webhook_deliveries_total{provider="vast",result="${result}"}`;

async function metricsAt(url: string): Promise<Readonly<Record<string, number>>> {
  const response = await fetch(new URL('/metrics', url), { headers: { Connection: 'close' } });
  expect(response.status).toBe(200);
  return parseExposition(await response.text()).samples;
}

describe('several workers count each event once', () => {
  async function countOnce(
    count: number,
    store: string,
    packages: readonly string[],
    more: readonly string[] = [],
  ): Promise<void> {
    const slack = await during(slackStandIn());
    const env = { SLACK_WEBHOOK_URL: slack.url };
    const args = ['--store', store, '--metrics', ...more];
    const { program, url, log } = await start(count, args, { env, packages });
    const ids = Array.from({ length: 60 }, uniqueName);
    // Each comes over three connections at once, which different workers have.
    const agents = Array.from({ length: 12 }, (_, index) => connections(index % 2 === 0));
    const answers: (number | string)[] = [];
    await Promise.all(
      agents.map(async (agent, index) => {
        for (const [at, id] of ids.entries()) {
          if (at % 4 !== index % 4) continue;
          answers.push(...(await sendUntilTaken(url, anEvent({ event_id: id }), agent)), 204);
        }
      }),
    );
    // Somebody else is at it.
    expect(answers.filter((answer) => answer !== 204 && answer !== 503)).toEqual([]);
    await vi.waitUntil(() => slack.messages.length >= ids.length);
    const samples = await metricsAt(url);
    const counted = Object.entries(samples).filter(([name]) => name.startsWith('vast_webhook_deliveries_total{'));
    expect(counted.reduce((sum, [, value]) => sum + value, 0)).toBe(answers.length);
    expect(samples[delivered('accepted')]).toBe(ids.length);
    expect(samples[delivered('duplicate')]).toBe(answers.filter((answer) => answer === 204).length - ids.length);
    expect(samples['vast_webhook_deliveries_in_flight{}']).toBe(0);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
    expect(program.stderr).toBe('');
    expect(deliveredTo(slack)).toEqual(ids.sort());
    const workers = log().flatMap(({ message, worker }) => (message === 'accepted' ? [worker] : []));
    expect(new Set(workers).size).toBe(count);
  }

  it('with SQLite', () => countOnce(4, 'sqlite:events.db', ['better-sqlite3']));
  it('with SQLite and an outbox', () =>
    countOnce(2, 'sqlite:events.db', ['better-sqlite3'], ['--outbox', 'outbox.db']));
  describeWithRedis('with Redis', () => {
    it('and ioredis', () => countOnce(2, redisUrl(), ['ioredis']));
  });
  describeWithPostgres('with Postgres', () => {
    it('and pg', () => countOnce(2, databaseUrl(), ['pg']));
  });
});

/** So that what a killed worker had claimed is free soon. */
const shortLeases = { 'vast.config.mjs': 'export default { leaseMs: 1000 };' };

describe('a worker that ends', () => {
  it('by SIGKILL is replaced and loses no event, and no sum falls', async () => {
    // Slow enough that the worker has deliveries when it is killed.
    const chat = await receiving((res) => setTimeout(() => res.writeHead(204).end(), 50));
    const env = { VAST_WEBHOOK_SINKS: `chat=cloudevents+${chat.url}` };
    const args = ['--store', 'sqlite:events.db', '--config', 'vast.config.mjs', '--metrics'];
    const { program, url, pids } = await start(2, args, { env, files: shortLeases });
    const senders = 6;
    const sent = streaming(url, senders);
    await vi.waitUntil(() => chat.received.length > 30);
    const before = await metricsAt(url);
    process.kill(pids().get(2) as number, 'SIGKILL');
    await vi.waitUntil(() => pids().has(3), 60_000);
    const after = await metricsAt(url);
    const soFar = chat.received.length;
    await vi.waitUntil(() => chat.received.length > soFar + 30);
    const { ids, refusals } = await sent.end();
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals.filter((refusal) => typeof refusal === 'number' && refusal !== 503)).toEqual([]);
    const messages = idsAt(chat);
    expect([...new Set(messages)]).toEqual(ids);
    // The chat had it, and the worker was killed before it could write that down.
    expect(messages.length - ids.length).toBeLessThanOrEqual(senders);
    expect(after[delivered('accepted')]).toBeGreaterThanOrEqual(before[delivered('accepted')] as number);
    expect(program.stdout).toContain('worker 2 ended by SIGKILL');
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  });

  it('takes the catch-up with the inbox along to another one', async () => {
    const market = await startVastMarket();
    onTestFinished(() => market.close());
    const args = ['--log-events', '--store', 'sqlite:events.db', '--catch-up', '--base-url', `${market.url}/v0`];
    const { program, pids } = await start(3, args, { env: { VAST_API_KEY: market.apiKey } });
    await vi.waitUntil(() => market.calls.length > 0);
    // The first that listened is the one that looks.
    process.kill(pids().get(1) as number, 'SIGKILL');
    await vi.waitUntil(() => pids().has(4), 60_000);
    await vi.waitUntil(() => market.calls.length >= 2);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
    // It looks once a minute.
    expect(market.calls).toHaveLength(2);
  });

  it('again and again is started less and less often', async () => {
    const config = `import { existsSync } from 'node:fs';
      if (existsSync('broken')) throw new Error('it broke');
      export default {};`;
    const args = ['--log-events', '--store', 'sqlite:events.db', '--config', 'vast.config.mjs'];
    const { program, project, pids, log } = await start(2, args, { files: { 'vast.config.mjs': config } });
    writeFileSync(join(project, 'broken'), '');
    for (const pid of pids().values()) process.kill(pid, 'SIGKILL');
    const pauses = () =>
      log()
        .flatMap(({ message }) => /another worker in ([\d.]+) s/.exec(`${message}`)?.[1] ?? [])
        .map(Number);
    await vi.waitUntil(() => pauses().length >= 4, 60_000);
    const [first = 0, ...further] = pauses();
    expect(further).toEqual([...further].sort((one, other) => one - other));
    expect(further.at(-1)).toBeGreaterThanOrEqual(4 * first);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  });

  it('before any has listened ends the command, with its error once', async () => {
    const origin = new URL(await listen((_, res) => res.end()));
    const project = await command.projectWith('better-sqlite3');
    const args = ['serve', '--log-events', '--store', 'sqlite:events.db', '--workers', '4', '--port', origin.port];
    const program = command.start(args, { VAST_WEBHOOK_SECRET: secret }, project);
    expect(await program.exited).toBe(1);
    expect(program.stderr).toMatch(/^vast-webhook: port \d+ is in use[^\n]*\n$/);
    expect(program.stdout).toBe('');
  });
});

describe('SIGHUP', () => {
  it('replaces all workers without a refused delivery, by ones with the new settings', async () => {
    const [chat, another] = await Promise.all([receiving(), receiving()]);
    const file = (sinks: string) => `VAST_WEBHOOK_SECRET=${secret}\nVAST_WEBHOOK_SINKS=${sinks}\n`;
    const chats = `chat=cloudevents+${chat.url}`;
    // A module gets what .env says in its environment, which must not outlive the file.
    const files = { '.env': file(chats), 'vast.config.mjs': 'export default {};' };
    const args = ['--store', 'sqlite:events.db', '--config', 'vast.config.mjs'];
    const { program, project, url, pids } = await start(3, args, { env: { VAST_WEBHOOK_SECRET: '' }, files });
    const old = [...pids().values()];
    const sent = streaming(url, 8);
    await vi.waitUntil(() => chat.received.length > 30);
    writeFileSync(join(project, '.env'), file(`${chats} another=cloudevents+${another.url}`));
    program.kill('SIGHUP');
    await vi.waitUntil(() => !old.some(isAlive), 60_000);
    const soFar = another.received.length;
    await vi.waitUntil(() => another.received.length > soFar + 30);
    const { ids, refusals } = await sent.end();
    expect(refusals).toEqual([]);
    expect(idsAt(chat)).toEqual(ids);
    expect([...pids().keys()].sort()).toEqual([1, 2, 3, 4, 5, 6]);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  });

  it('with settings that cannot be used leaves the workers as they are', async () => {
    const files = { '.env': `VAST_WEBHOOK_SECRET=${secret}\n` };
    const args = ['--log-events', '--store', 'sqlite:events.db'];
    const { program, project, url, pids } = await start(2, args, { env: { VAST_WEBHOOK_SECRET: '' }, files });
    writeFileSync(join(project, '.env'), '');
    program.kill('SIGHUP');
    await program.printed(/the others go on as they are/);
    expect([...pids().values()].every(isAlive)).toBe(true);
    expect(await send(url, anEvent(), connections(false))).toBe(204);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  });
});

describe('the end of several workers', () => {
  /** Workers that are each delivering, to a chat that is slow. */
  async function delivering() {
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => setTimeout(() => res.end('ok'), 1_000);
    const started = await start(2, ['--store', 'sqlite:events.db'], { env: { SLACK_WEBHOOK_URL: slack.url } });
    const answers = Promise.all(
      Array.from({ length: 4 }, () => send(started.url, anEvent({ event_id: uniqueName() }), connections(false))),
    );
    await vi.waitUntil(() => slack.requests.length === 4);
    return { ...started, answers };
  }

  const all = [204, 204, 204, 204];

  it.each([
    ['SIGTERM', 'the primary', false],
    ['SIGINT', 'each process, as by Ctrl-C', true],
  ] as const)('by %s to %s drains them', async (signal, _to, toAll) => {
    const { program, pids, answers } = await delivering();
    program.kill(signal);
    if (toAll) for (const pid of pids().values()) process.kill(pid, signal);
    expect(await answers).toEqual(all);
    expect(await program.exited).toBe(0);
    expect(program.stderr).toBe('');
  });

  it('by a second Ctrl-C is at once, and leaves none behind', async () => {
    const { program, pids } = await delivering();
    program.kill('SIGINT');
    await program.printed(/closing/);
    program.kill('SIGINT');
    expect(await program.exited).toBe(130);
    await vi.waitUntil(() => ![...pids().values()].some(isAlive));
  });

  it('drains them when the primary is killed, and leaves none behind', async () => {
    const { program, pids, answers } = await delivering();
    program.kill('SIGKILL');
    expect(await answers).toEqual(all);
    await vi.waitUntil(() => ![...pids().values()].some(isAlive));
  });

  it('is not held up by a worker that hangs', async () => {
    const config = 'export default {};\nexport function close() { if (process.env.VAST_WEBHOOK_WORKER) for (;;); }';
    const args = ['--log-events', '--store', 'sqlite:events.db', '--config', 'vast.config.mjs'];
    const { program, pids } = await start(2, args, { files: { 'vast.config.mjs': config } });
    program.kill('SIGTERM');
    expect(await program.exited).toBe(1);
    expect(program.stdout).toContain('did not end within 12 s');
    expect([...pids().values()].some(isAlive)).toBe(false);
  });
});
