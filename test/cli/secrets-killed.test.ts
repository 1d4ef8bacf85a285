import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'dotenv';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { failures, startVastManagement } from '../support/management-stand-in.js';
import { type Installed, installed } from './installed.js';

let command: Installed;
beforeAll(async () => {
  command = await installed();
});
afterAll(() => command?.remove());

const seed = Number(process.env.KILL_SEED ?? 15);
const kills = Number(process.env.KILLS ?? 12);

/** Mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function account() {
  const service = await startVastManagement();
  onTestFinished(() => service.close());
  const project = await command.projectWith();
  await mkdir(project, { recursive: true });
  const start = (...args: readonly string[]) =>
    command.start([...args, '--base-url', service.url], { VAST_API_KEY: service.apiKey }, project);
  const create = start('create', '--url', 'https://example.com/x', '--type', 'outbid', '--name', 'renter');
  expect(await create.exited).toBe(0);
  const read = (name: string) => readFileSync(join(project, name), 'utf8');
  const secret = () => service.webhooks[0]?.webhook_secret;
  /** Without the packages. */
  const files = () => readdirSync(project).filter((name) => name !== 'node_modules');
  return { service, project, start, read, secret, files };
}

describe('while the answer with a secret is waited for', () => {
  it.each([
    ['Ctrl-C twice', ['SIGINT', 'SIGINT', 'SIGINT']],
    ['a stop and a Ctrl-C', ['SIGTERM', 'SIGINT']],
    ['the end of the terminal', ['SIGHUP']],
  ] as const)(
    '%s does not lose it',
    async (_, signals) => {
      const { service, start, read, files } = await account();
      service.failNext(failures.json(200, { success: true, webhooks: service.webhooks }));
      let answer = () => {};
      service.failNext((res) => {
        const webhook = { ...service.webhooks[0], webhook_secret: 'the-new-secret' };
        answer = () => res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ webhook }));
      });
      const rotating = start('rotate-secret', 'renter');
      const rotations = () => service.calls.filter((call) => call.includes('rotate')).length;
      await vi.waitUntil(() => rotations() === 1);
      for (const signal of signals) {
        rotating.kill(signal);
        await sleep(100);
      }
      answer();
      expect(await rotating.exited).toBe(0);
      expect(parse(read('.env'))).toEqual({ VAST_WEBHOOK_SECRET: 'the-new-secret' });
      expect(files()).toEqual(['.env']);
    },
    30_000,
  );
});

describe('a process that is killed at any moment', () => {
  it('leaves the old secret or the new one, and nothing that stops the next one', async () => {
    const { project, start, read, secret, files } = await account();
    const random = randomFrom(seed);
    const whole = performance.now();
    await start('rotate-secret', 'renter').exited;
    const takesMs = performance.now() - whole;
    for (let i = 0; i < kills; i++) {
      writeFileSync(join(project, '.env'), `A=1\n${read('.env')}`);
      const before = read('.env');
      const rotating = start('rotate-secret', 'renter');
      // Most of the time it starts, which is of no interest.
      await sleep(takesMs * (0.5 + random() * 0.6));
      rotating.kill('SIGKILL');
      await rotating.exited;
      const { VAST_WEBHOOK_SECRET: found, ...others } = parse(read('.env'));
      expect([others, found === secret() || read('.env') === before]).toEqual([{ A: '1' }, true]);
      const left = files().find((name) => name.endsWith('.tmp'));
      if (left !== undefined && read(left).trim() !== '') {
        // Written, and not yet in its place: the next one refuses to overwrite it.
        const refused = start('rotate-secret', 'renter');
        expect(await refused.exited).toBe(1);
        expect(refused.stderr).toContain(`${left} holds a secret`);
        rmSync(join(project, left));
      }
      const next = start('rotate-secret', 'renter');
      expect([await next.exited, next.stderr]).toEqual([0, expect.anything()]);
      expect(parse(read('.env'))).toEqual({ A: '1', VAST_WEBHOOK_SECRET: secret() });
      expect(files()).toEqual(['.env']);
      writeFileSync(join(project, '.env'), read('.env').replace('A=1\n', ''));
    }
  }, 300_000);
});
