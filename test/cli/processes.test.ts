import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Program } from '../examples/checkout.js';
import { databaseUrl, describeWithPostgres, describeWithRedis, redisUrl } from '../support/backends.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { type Installed, installed } from './installed.js';
import { deliver, during, secret } from './serving.js';

const env = { VAST_WEBHOOK_SECRET: secret };
let command: Installed;
beforeAll(async () => {
  command = await installed();
});
afterAll(() => command?.remove());

async function listening(args: readonly string[], project?: string) {
  const program = command.start(['serve', '--port', '0', ...args], env, project);
  const [, url = ''] = await program.printed(/listening on (http:[^\s,]*)/);
  return { program, url };
}

describe('the installed command', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('serves until %s, and then ends with 0', async (signal) => {
    const { program, url } = await listening(['--log-events']);
    expect((await deliver(url)).status).toBe(204);
    program.kill(signal);
    expect(await program.exited).toBe(0);
    expect(program.stdout).toContain('closing');
    expect(program.stderr).toBe('');
  });

  it('ends when npm, which has started it, has gone, and stays when a shell has', async () => {
    const inner = (project: string, npm: Record<string, string>) =>
      `const { spawn } = require('node:child_process');
       const child = spawn(process.execPath, ['node_modules/vast-webhook/dist/cli/main.js', 'serve', '--port', '0', '--log-events'],
         { cwd: ${JSON.stringify(project)}, env: ${JSON.stringify({ ...env, ...npm })}, stdio: 'inherit', detached: true });
       console.log('pid', child.pid);
       setInterval(() => {}, 1e6);`;
    const isAlive = (pid: number) => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    const project = await command.projectWith();
    for (const [npm, isOver] of [
      [{ npm_command: 'exec' }, true],
      [{}, false],
    ] as const) {
      const parent = new Program(['-e', inner(project, npm)], project, {});
      const [, pid] = await parent.printed(/pid (\d+)/);
      await parent.printed(/listening on/);
      // Its output stays open for as long as the child lives, which is not waited for.
      parent.kill('SIGKILL');
      if (isOver) await vi.waitUntil(() => !isAlive(Number(pid)));
      else {
        await sleep(1_500);
        expect(isAlive(Number(pid))).toBe(true);
        process.kill(Number(pid), 'SIGKILL');
      }
    }
  });

  it('ends with 130 when it is asked twice', async () => {
    const slack = await during(slackStandIn());
    slack.misbehave = () => {};
    const { program, url } = await listening(['--slack', slack.url]);
    const arrival = slack.nextRequest();
    deliver(url).catch(() => {});
    await arrival;
    program.kill('SIGINT');
    await program.printed(/closing/);
    program.kill('SIGINT');
    expect(await program.exited).toBe(130);
  });

  it('ends without a word when nobody reads on, as behind `| head`', async () => {
    const program = command.start(['types']);
    program.stopReading();
    expect(await program.exited).toBe(0);
    expect(program.stderr).not.toContain('EPIPE');
  });

  it('holds up nothing when a sender keeps its connection', async () => {
    const { program, url } = await listening(['--log-events']);
    const response = await fetch(new URL('/health', url));
    await response.text();
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  });

  it('triggers and replays', async () => {
    const { program, url } = await listening(['--log-events', '--log', 'json']);
    const trigger = command.start(
      ['trigger', 'outbid', '--url', url, '--rate', '200', '--count', '100', '--json'],
      env,
    );
    expect(await trigger.exited).toBe(0);
    expect(JSON.parse(trigger.stdout)).toMatchObject({ sent: 100, accepted: 100, statuses: { 204: 100 } });
    const replay = command.start(['replay', 'none'], env);
    expect(await replay.exited).toBe(1);
    expect(replay.stderr).toMatch(/^vast-webhook: [^\n]*cannot be read \(ENOENT\)[^\n]*\n$/);
    program.kill('SIGTERM');
    await program.exited;
  });

  it.each([
    [['serve', '--log-events'], 1, 'set VAST_WEBHOOK_SECRET'],
    [['serve', '--prot', '1'], 2, 'Did you mean --port'],
    [['trigger', 'oubid'], 2, 'did you mean outbid'],
    [['sreve'], 2, 'Did you mean serve'],
  ])('%j ends with %i', async (args, status, message) => {
    const program = command.start(args);
    expect(await program.exited).toBe(status);
    expect(program.stderr).toContain(message);
    expect(program.stdout).toBe('');
  });

  it('explains itself', async () => {
    const help = command.start(['serve', '--help']);
    expect(await help.exited).toBe(0);
    for (const text of ['SLACK_WEBHOOK_URL', 'VAST_CONSOLE', '--outbox', '204', '/health', '`ps`']) {
      expect(help.stdout).toContain(text);
    }
  });
});

describe('the installed command takes the clients of the project', () => {
  // A Node.js that has a SQLite of its own needs none.
  const getBuiltin = (process as { getBuiltinModule?: (name: string) => unknown }).getBuiltinModule;
  const hasSqlite = getBuiltin?.('node:sqlite') !== undefined;

  const missing: [store: string, advice: string][] = [
    ['redis://127.0.0.1:1', 'npm install ioredis'],
    ['postgres://127.0.0.1:1/db', 'npm install pg'],
  ];
  if (!hasSqlite) missing.push(['sqlite:events.db', 'npm install better-sqlite3@12']);

  it.each(missing)('and says which one is missing for %s', async (store, advice) => {
    const program = command.start(['serve', '--log-events', '--store', store], env);
    expect(await program.exited).toBe(1);
    expect(program.stderr).toMatch(/^vast-webhook: [^\n]+\n$/);
    expect(program.stderr).toContain(advice);
  });

  it.skipIf(hasSqlite)('and says in one sentence what an outbox needs', async () => {
    const program = command.start(['serve', '--log-events', '--outbox', 'outbox.db'], env);
    expect(await program.exited).toBe(1);
    expect(program.stderr).toBe(
      'vast-webhook: --outbox with a file needs a client: run npm install better-sqlite3@12 in this folder, or use Node.js 22.13 or later, which needs none\n',
    );
  });

  async function servesWith(store: string, ...packages: readonly string[]): Promise<void> {
    const { program, url } = await listening(
      ['--log-events', '--store', store],
      await command.projectWith(...packages),
    );
    expect((await deliver(url)).status).toBe(204);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  }

  it('for SQLite', () => servesWith('sqlite:events.db', 'better-sqlite3'));

  describeWithRedis('for Redis', () => {
    it('ioredis', () => servesWith(redisUrl(), 'ioredis'));
    it('redis', () => servesWith(redisUrl(), 'redis'));
  });

  describeWithPostgres('for Postgres', () => {
    it('pg', () => servesWith(databaseUrl(), 'pg'));
  });
});

describe('what the outbox has taken', () => {
  it('is delivered after a SIGKILL and a restart', async () => {
    const slack = await during(slackStandIn());
    // It is left alone for so long that nothing is being delivered when the process is killed.
    slack.misbehave = (res) => res.writeHead(503, { 'Retry-After': '3' }).end();
    const project = await command.projectWith('better-sqlite3');
    const args = ['--slack', slack.url, '--outbox', 'outbox.db', '--store', 'sqlite:events.db'];
    const killed = await listening(args, project);
    const taken: number[] = [];
    for (let i = 0; i < 5; i++) taken.push((await deliver(killed.url)).status);
    expect(taken).toEqual([204, 204, 204, 204, 204]);
    await vi.waitUntil(() => slack.requests.length > 0);
    // For what has failed to be written down.
    await sleep(500);
    killed.program.kill('SIGKILL');
    expect(await killed.program.exited).toBe('SIGKILL');
    expect(slack.messages).toEqual([]);

    slack.misbehave = undefined;
    await listening(args, project);
    await vi.waitUntil(() => slack.messages.length >= 5);
    const delivered = slack.messages.map(({ text }) => /event_id=(\w+)/.exec(text)?.[1]);
    expect(new Set(delivered).size).toBe(5);
  });
});
