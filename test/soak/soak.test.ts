import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program } from '../examples/checkout.js';
import { describeWithPrivatePostgres, describeWithPrivateRedis } from '../support/backends.js';
import { copyBuiltPackage } from '../support/built-package.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** A run that finds something waits for it, and the machine may be busy with other tests. */
const timeoutMs = 180_000;
let folder: string;
const programs: Program[] = [];

beforeAll(async () => {
  // What is in `dist` may be older, and the package finds itself by name from where the soak stands.
  folder = await mkdtemp(join(tmpdir(), 'vast-webhook-soak-'));
  await copyBuiltPackage(folder);
  await cp(join(root, 'test/soak'), join(folder, 'test/soak'), { recursive: true });
  for (const part of ['node_modules', 'test/support']) await symlink(join(root, part), join(folder, part), 'dir');
});

afterAll(async () => {
  // A SIGTERM leaves nothing behind: servers and services end when they find themselves alone.
  for (const program of programs) program.kill('SIGKILL');
  await Promise.all(programs.map(({ exited }) => exited));
  await rm(folder, { recursive: true, force: true });
});

interface Figures {
  readonly kills: number;
  readonly outages: number;
  readonly received: number;
  readonly repeats: number;
  readonly 'sink failures': number;
}

interface Run {
  readonly status: number | NodeJS.Signals;
  readonly figures: Figures;
  readonly violations: readonly string[];
  /** With what the processes said, when there are violations. */
  readonly stderr: string;
}

async function soak(...args: string[]): Promise<Run> {
  const program = new Program(['test/soak/run.mjs', '--json', ...args], folder, {});
  programs.push(program);
  const status = await program.exited;
  if (program.stdout === '') throw new Error(`the soak ended with ${status}: ${program.stderr}`);
  return { status, stderr: program.stderr, ...JSON.parse(program.stdout) };
}

function isSound({ stderr, violations, status }: Run): void {
  expect(violations, stderr).toEqual([]);
  expect(status).toBe(0);
}

const describeFor: Readonly<Record<string, typeof describeWithPrivateRedis>> = {
  memory: describe,
  sqlite: describe,
  redis: describeWithPrivateRedis,
  postgres: describeWithPrivatePostgres,
  outbox: describe,
  'bullmq-redis': describeWithPrivateRedis,
  'bullmq-postgres': describeWithPrivatePostgres,
};

for (const [backend, describeIt] of Object.entries(describeFor)) {
  describeIt(`under faults, ${backend}`, () => {
    if (backend !== 'memory') {
      it('loses nothing when killed, and repeats nothing that is on record', {
        timeout: timeoutMs,
      }, async () => {
        const run = await soak('--backend', backend, '--events', '2000');
        isSound(run);
        expect(run.figures.kills).toBeGreaterThan(1);
        expect(run.figures.outages).toBeGreaterThan(1);
        expect(run.figures['sink failures']).toBeGreaterThan(100);
      });
    }

    it('loses nothing, and repeats nothing that it knows, when it is not killed', { timeout: timeoutMs }, async () => {
      const events = 400;
      const run = await soak('--backend', backend, '--events', String(events), '--no-kills');
      isSound(run);
      expect(run.figures.kills).toBe(0);
      expect(run.figures.received - run.figures.repeats).toBe(2 * events);
      expect(run.figures['sink failures']).toBeGreaterThan(20);
    });
  });
}

describe('a service that is wrong is found out', { timeout: timeoutMs }, () => {
  async function find(backend: string, wrong: string, ...args: string[]): Promise<string> {
    const run = await soak('--backend', backend, '--events', '200', '--wrong', wrong, ...args);
    expect(run.status).toBe(run.violations.length === 0 ? 0 : 1);
    return run.violations.join('\n');
  }

  it('but not one that does nothing wrong', async () => {
    expect(await find('memory', 'nothing')).toBe('');
  });

  it('when it answers before delivering', async () => {
    expect(await find('memory', 'answers before delivering')).toMatch(/was answered 2xx before slack had it/);
  });

  it('when it marks an event as done before the work', async () => {
    expect(await find('memory', 'marks as done before the work')).toMatch(/slack never got \w+, which had been/);
  });

  it('when it answers 4xx where a retry would have helped', async () => {
    expect(await find('memory', 'answers 400 when the store fails')).toMatch(/was answered 400/);
  });

  it('when it answers 3xx', async () => {
    expect(await find('memory', 'answers 302 when the store fails')).toMatch(/was answered 302/);
  });

  it('when it deduplicates nothing', async () => {
    expect(await find('memory', 'deduplicates nothing')).toMatch(/slack got \w+ again, .* by the same process/);
  });

  it('when a retry delivers again to sinks that have the event', async () => {
    expect(await find('memory', 'delivers all again at a retry')).toMatch(/got \w+ again, .* by the same process/);
  });

  it('when it lets two deliveries of an event work at once', async () => {
    expect(await find('memory', 'lets two work at once')).toMatch(/got \w+ again, .* by the same process/);
  });

  it('when it answers nothing else meanwhile', async () => {
    expect(await find('memory', 'stops answering')).toMatch(/\/ping was not answered/);
  });

  it('when it ends by itself', async () => {
    expect(await find('memory', 'ends by itself')).toMatch(/service-1 ended by itself with 3/);
  });

  it('when what it has answered for is gone after a kill', async () => {
    expect(await find('outbox', 'answers before delivering')).toMatch(/never got \w+, which had been answered 2xx/);
  });

  it('when what it has recorded is gone after a kill', async () => {
    expect(await find('sqlite', 'nothing')).toMatch(/got \w+ again, .* although wrong-service-\d had recorded it/);
  });
});

describe('delivered to at a rate', { timeout: timeoutMs }, () => {
  const forHours = String(20 / 3_600);

  it('a service keeps nothing, and answers everything rightly', async () => {
    const { violations } = await soak('--rate', '50', '--hours', forHours);
    // How fast it is, and what V8 asks the system for, says nothing in so short a time on a busy machine.
    expect(violations.filter((violation) => !/latency|RSS/.test(violation))).toEqual([]);
  });

  it.each([
    ['keeps each request', /heap after GC is not flat/],
    ['leaves a timer behind', /handles is not flat/],
    ['gets slower', /p50 latency is not flat/],
  ])('a service that %s is found out', async (wrong, finding) => {
    const { status, violations } = await soak('--rate', '50', '--hours', forHours, '--wrong', wrong);
    expect(violations.join('\n')).toMatch(finding);
    expect(status).toBe(1);
  });
});
