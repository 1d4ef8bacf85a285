/** Several processes on one file, some of which end early. In real time. */
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { type Adapter, adapters, anEvent as payload, serve, signed } from '../support/adapters.js';
import { sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { start, stepsIn } from './processes.js';
import { recorder, setUp, slow } from './set-up.js';

const [, express5] = adapters.find(([name]) => name === 'Express 5') as readonly [string, Adapter];
const idsOf = (count: number) => Array.from({ length: count }, (_, n) => `event-${n}`);
const often = { interval: 50 };

describe.each(sqliteHandles())('on $client: processes on one file', ({ client, open }) => {
  function files() {
    const file = temporaryFile('outbox.sqlite');
    return { client, file, log: join(dirname(file), 'calls') };
  }

  it('deliver each event once, and none twice at the same time, although each process accepts all of them', async () => {
    const at = files();
    const ids = idsOf(60);
    const processes = await Promise.all([1, 2, 3].map(() => start({ ...at, role: 'deliver', ids })));
    await Promise.all(processes.map(({ ready }) => ready));
    const ended = () => stepsIn(at.log).filter(({ what }) => what === 'end');
    await vi.waitUntil(() => ended().length >= 60, often);
    for (const { process } of processes) process.disconnect();
    expect(await Promise.all(processes.map(({ exited }) => exited))).toEqual([0, 0, 0]);

    const running = new Set<string>();
    for (const { what, id } of stepsIn(at.log)) {
      expect(running.has(id)).toBe(what === 'end');
      if (what === 'begin') running.add(id);
      else running.delete(id);
    }
    expect(
      ended()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...ids].sort());
  });

  it('share the work', async () => {
    const at = files();
    const first = await start({ ...at, role: 'hang', ids: idsOf(12) });
    await first.ready;
    const others = await Promise.all([start({ ...at, role: 'hang' }), start({ ...at, role: 'hang' })]);
    await vi.waitUntil(() => stepsIn(at.log).length >= 12, often);
    const pids = stepsIn(at.log).map(({ pid }) => pid);
    for (const { process } of [first, ...others]) {
      expect(pids.filter((pid) => pid === String(process.pid))).toHaveLength(4);
    }
  });

  it('lose no accepted event when one is killed while it accepts', async () => {
    const at = files();
    const { exited } = await start({ ...at, role: 'die', ids: idsOf(20) });
    expect(await exited).toBe('SIGKILL');
    const slack = recorder('slack');
    const { rows } = setUp(open, { sinks: [slack.sink] }, at.file);
    expect(rows()).toHaveLength(20);
    const before = new Set(stepsIn(at.log).map(({ id }) => id));
    await vi.waitUntil(() => before.size + slack.calls.length >= 20, often);
    expect(new Set([...before, ...slack.ids()]).size).toBe(20);
  });

  it('deliver the events of a killed process when its lease is over, and not before', async () => {
    const at = files();
    const killed = await start({ ...at, role: 'hang', leaseMs: 2_000, ids: idsOf(3) });
    await killed.ready;
    await vi.waitUntil(() => stepsIn(at.log).length === 3, often);
    killed.process.kill('SIGKILL');
    await killed.exited;

    const slack = recorder('slack');
    const { rows } = setUp(open, { sinks: [slack.sink] }, at.file);
    const leases = new Map(rows().map(({ event_id, due_at }) => [event_id, due_at]));
    await vi.waitUntil(() => rows().every(({ state }) => state === 'told'), often);
    expect(slack.calls).toHaveLength(3);
    for (const { id, at: calledAt } of slack.calls) expect(calledAt).toBeGreaterThanOrEqual(leases.get(id) ?? Infinity);
    expect(rows().map(({ attempts }) => attempts)).toEqual([2, 2, 2]);
  });

  it('lose no event of a digest when one is killed before the digest is delivered', async () => {
    const at = files();
    const killed = await start({ ...at, role: 'digest', leaseMs: 2_000, windowMs: 120_000, ids: idsOf(500) });
    await killed.ready;
    // The window is open, longer than this may last anywhere. The lease has been renewed.
    await sleep(2_500);
    killed.process.kill('SIGKILL');
    await killed.exited;
    expect(stepsIn(at.log)).toEqual([]);

    const next = await start({ ...at, role: 'digest', leaseMs: 2_000 });
    const steps = (what: string) => stepsIn(at.log).filter((step) => step.what === what);
    await vi.waitUntil(() => steps('end').length >= 500, often);
    expect(steps('begin')).toHaveLength(1);
    expect(
      steps('end')
        .map(({ id }) => id)
        .sort(),
    ).toEqual(idsOf(500).sort());
    next.process.disconnect();
    expect(await next.exited).toBe(0);
    const { rows } = setUp(open, { sinks: [recorder('slack').sink] }, at.file);
    expect(new Set(rows().map(({ state }) => state))).toEqual(new Set(['told']));
  });

  it('end when nothing else keeps them alive, although an event is due later', async () => {
    const at = files();
    const { exited } = await start({ ...at, role: 'fail', ids: idsOf(1) });
    expect(await exited).toBe(0);
    const { rows } = setUp(open, { sinks: [slow('slack').sink] }, at.file);
    expect(rows()).toMatchObject([{ state: 'due', error: 'down' }]);
  });

  it('wait while another locks the file: no delivery is repeated, new events are refused for now, and all go on', async () => {
    const at = files();
    const slack = slow('slack');
    const { outbox, rows, errors } = setUp(open, { sinks: [slack.sink], leaseMs: 2_000 }, at.file);
    const service = await serve(express5, { options: { sinks: [outbox] } });
    expect((await service.send(signed())).status).toBe(204);
    await vi.waitUntil(() => slack.calls.length === 1, often);

    const locker = await start({ ...at, role: 'lock' });
    await locker.ready;
    slack.calls[0]?.resolve();
    const message = signed(payload());
    expect((await service.send(message)).status).toBe(502);
    expect(service.outcomes.at(-1)?.error?.message).toMatch(/locked/);
    expect((await service.send({ target: '/elsewhere' })).status).toBe(200);
    // Beyond the lease.
    await sleep(3_000);
    locker.process.disconnect();
    expect(await locker.exited).toBe(0);

    await vi.waitUntil(() => rows()[0]?.state === 'told', often);
    expect(rows()).toMatchObject([{ attempts: 1 }]);
    expect(slack.calls).toHaveLength(1);
    expect((await service.send(message)).status).toBe(204);
    await vi.waitUntil(() => slack.calls.length === 2, often);
    slack.calls[1]?.resolve();
    await vi.waitUntil(() => rows()[1]?.state === 'told', often);
    expect(slack.calls).toHaveLength(2);
    expect(errors).toEqual([{ message: expect.stringContaining('locked') }]);
  });
});
