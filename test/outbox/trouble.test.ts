/** Faults of the database. No event may be lost or delivered twice, and the outbox must recover by itself. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { OutboxTable } from '../../src/outbox/outbox-table.js';
import type { Outbox, OutboxOptions } from '../../src/sinks/index.js';
import { sqliteOutbox } from '../../src/sinks/index.js';
import { type Adapter, adapters, anEvent as aPayload, type Service, serve, signed } from '../support/adapters.js';
import { type SqliteHandle, sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { closeAnyway, minutes, recorder, seconds, settled, setUp, slow } from './set-up.js';

const [, express5] = adapters.find(([name]) => name === 'Express 5') as readonly [string, Adapter];

describe.each(sqliteHandles())('on $client: while the file cannot be written', ({ open }) => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const locked = new Error('database is locked');
  /** For long times, because a locked file is tried a hundred times a second. */
  const broken = new Error('disk I/O error');

  it('an event is taken all the same if it can be written within a second', async () => {
    const { deliver, rows, errors, faults } = setUp(open, { sinks: [slow('slack').sink] });
    await settled();
    faults.set('BEGIN IMMEDIATE', locked);
    const delivering = deliver();
    await vi.advanceTimersByTimeAsync(500);
    faults.clear();
    await vi.advanceTimersByTimeAsync(100);
    await delivering;
    expect([rows().length, errors]).toEqual([1, []]);
  });

  it('deliveries during it are recorded later, and not repeated', async () => {
    const slack = slow('slack');
    const options = { sinks: [slack.sink], leaseMs: 30 * seconds };
    const { deliver, rows, faults } = setUp(open, options);
    await Promise.all([deliver(), settled()]);
    faults.set('BEGIN IMMEDIATE', broken);
    slack.calls[0]?.resolve();
    // Far beyond the lease that stands in the table.
    await vi.advanceTimersByTimeAsync(2 * minutes);
    faults.clear();
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(slack.calls).toHaveLength(1);
    expect(rows()).toMatchObject([{ state: 'told', attempts: 1 }]);
  });

  it('a running delivery continues, and no second one starts beside it', async () => {
    const slack = slow('slack');
    const { deliver, rows, faults } = setUp(open, { sinks: [slack.sink], leaseMs: 30 * seconds });
    await Promise.all([deliver(), settled()]);
    faults.set('BEGIN IMMEDIATE', broken);
    await vi.advanceTimersByTimeAsync(2 * minutes);
    faults.clear();
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(slack.calls).toHaveLength(1);
    expect(slack.calls[0]?.signal.aborted).toBe(false);
    slack.calls[0]?.resolve();
    await settled();
    expect(rows()).toMatchObject([{ state: 'told' }]);
  });

  it('lost rows are forgotten one lease later, so that no poll reads more rows than before', async () => {
    const due = vi.spyOn(OutboxTable.prototype, 'due');
    const slack = slow('slack');
    const options = { sinks: [slack.sink], leaseMs: 30 * seconds, concurrency: 20 };
    const { deliver, reader, faults } = setUp(open, options);
    await Promise.all([...Array.from({ length: 20 }, () => deliver()), settled()]);
    faults.set('BEGIN IMMEDIATE', broken);
    for (const call of slack.calls) call.resolve();
    // Longer than a claim is renewed.
    await vi.advanceTimersByTimeAsync(7 * minutes);
    // Another process has delivered them meanwhile.
    reader.exec("UPDATE vast_webhook_outbox SET state = 'told'");
    faults.clear();
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(slack.calls).toHaveLength(20);
    due.mockClear();
    await Promise.all([deliver(), settled()]);
    expect(due.mock.calls.map(([, , limit]) => limit)).toContain(20);
    expect(due.mock.calls.filter(([, , limit]) => limit > 21)).toEqual([]);
  });

  it('a failure that cannot be written is followed by a retry', async () => {
    const slack = slow('slack');
    const { deliver, rows, faults } = setUp(open, { sinks: [slack.sink], leaseMs: 30 * seconds });
    await Promise.all([deliver(), settled()]);
    faults.set('BEGIN IMMEDIATE', locked);
    slack.calls[0]?.reject(new Error('down'));
    await settled();
    faults.clear();
    await vi.advanceTimersByTimeAsync(31 * seconds);
    expect(slack.calls).toHaveLength(2);
    slack.calls[1]?.resolve();
    await settled();
    expect(rows()).toMatchObject([{ state: 'told' }]);
  });

  it('a commit that fails loses no other commit, and its writes are retried', async () => {
    const slack = recorder('slack');
    const { deliver, rows, faults } = setUp(open, { sinks: [slack.sink], leaseMs: 30 * seconds });
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(0)]);
    faults.set('COMMIT', new Error('disk I/O error'));
    await vi.advanceTimersByTimeAsync(5 * seconds);
    expect(slack.calls).toEqual([]);
    faults.clear();
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(slack.calls).toHaveLength(1);
    expect(rows()).toMatchObject([{ state: 'told' }]);
  });
});

describe.each(sqliteHandles())('on $client: trouble with the file', ({ open }) => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const trouble = (sql: string) => ({ message: expect.stringContaining(`no ${sql} today`) });

  it.each(['BEGIN IMMEDIATE', 'COMMIT'])('is said once, and once more when it comes again: no %s', async (sql) => {
    const slack = recorder('slack');
    const audit = slow('audit');
    const { deliver, errors, faults, rows } = setUp(open, { sinks: [slack.sink, audit.sink], leaseMs: 3 * seconds });
    for (const times of [1, 2]) {
      const delivering = Promise.all(Array.from({ length: 10 }, () => deliver()));
      await vi.advanceTimersByTimeAsync(0);
      await delivering;
      faults.set(sql, new Error(`no ${sql} today`));
      await vi.advanceTimersByTimeAsync(10 * seconds);
      faults.clear();
      await vi.advanceTimersByTimeAsync(10 * seconds);
      expect(errors).toEqual(Array(times).fill(trouble(sql)));
      expect(slack.calls).toHaveLength(10 * times);
      expect(audit.calls).toHaveLength(4);
    }
    expect(
      rows()
        .filter(({ sink }) => sink === 'slack')
        .every(({ state }) => state === 'told'),
    ).toBe(true);
  });

  it.each(['BEGIN IMMEDIATE', 'COMMIT'])('leaves the process time for its other work: no %s', async (sql) => {
    const { deliver, attempts, faults } = setUp(open, { sinks: [recorder('slack').sink, recorder('audit').sink] });
    const delivering = Promise.all(Array.from({ length: 10 }, () => deliver()));
    await vi.advanceTimersByTimeAsync(0);
    await delivering;
    faults.set(sql, new Error(`no ${sql} today`));
    const before = attempts();
    await vi.advanceTimersByTimeAsync(10 * seconds);
    // Each of them may stop the process for as long as the busy timeout.
    expect(attempts() - before).toBeLessThan(30);
    expect(attempts() - before).toBeGreaterThan(5);
  });

  it('is reported once for a closed handle', async () => {
    const { deliver, errors, handle } = setUp(open, { sinks: [recorder('slack').sink] });
    await Promise.all([deliver(), settled()]);
    handle.close();
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(errors).toEqual([{ message: expect.stringMatching(/not open|finalized/) }]);
    await Promise.all([expect(deliver()).rejects.toThrow(/not open/), settled()]);
    expect(errors).toHaveLength(1);
  });
});

describe.each(sqliteHandles())('on $client, behind the middleware', ({ open }) => {
  interface Running {
    readonly service: Service;
    readonly db: SqliteHandle;
    readonly file: string;
    readonly outbox: Outbox;
  }

  async function run(options: Partial<OutboxOptions> = {}, handle?: (file: string) => SqliteHandle): Promise<Running> {
    const file = temporaryFile('outbox.sqlite');
    const db = handle?.(file) ?? open(file);
    const outbox = sqliteOutbox(db, { sinks: [recorder('audit').sink], onError() {}, ...options });
    onTestFinished(async () => {
      await outbox.close(0);
      closeAnyway(db);
    });
    return { service: await serve(express5, { options: { sinks: [outbox] } }), db, file, outbox };
  }

  /** A delivery is refused for now and says why to the outcome only, and other routes work. */
  async function expectRefusal({ service }: Running, cause: RegExp, message = signed(aPayload())): Promise<void> {
    const answer = await service.send(message);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      502,
      { ok: false, error: 'sink_failed', sinks: { outbox: 'error' } },
    ]);
    const outcome = await service.outcome(service.outcomes.length);
    expect(outcome).toMatchObject({ result: 'failed', code: 'sink_failed', permanent: false });
    expect(outcome.error?.message).toMatch(cause);
    const elsewhere = await service.send({
      target: '/elsewhere',
      headers: [['Content-Type', 'application/json']],
      body: '{"a":1}',
    });
    expect(elsewhere).toMatchObject({ status: 200, body: '{"got":{"a":1}}' });
  }

  async function expectAccepted({ service }: Running, message = signed(aPayload())): Promise<void> {
    expect((await service.send(message)).status).toBe(204);
  }

  it('a delivery is answered with 204 when its event is on the disk, and never otherwise', async () => {
    const steps: string[] = [];
    const file = temporaryFile('outbox.sqlite');
    const db = open(file);
    const reader = open(file);
    onTestFinished(() => [db, reader].forEach(closeAnyway));
    const watched = {
      prepare: db.prepare.bind(db),
      exec(sql: string) {
        db.exec(sql);
        if (sql === 'COMMIT') steps.push('committed');
      },
    };
    const slack = slow('slack');
    const outbox = sqliteOutbox(watched, { sinks: [slack.sink] });
    onTestFinished(() => outbox.close(0));
    const service = await serve(express5, {
      options: {
        sinks: [outbox],
        onOutcome({ status }) {
          const { n } = reader.prepare('SELECT count(*) n FROM vast_webhook_outbox').get() as { n: number };
          steps.push(`answered ${status} with ${n} on the disk`);
        },
      },
    });
    const payload = aPayload();
    expect((await service.send(signed(payload))).status).toBe(204);
    expect((await service.send(signed(payload, { attempt: '2' }))).status).toBe(204);
    expect(steps.slice(0, 2)).toEqual(['committed', 'answered 204 with 1 on the disk']);
    await vi.waitUntil(() => slack.calls.length === 1);
    expect(service.outcomes.map(({ result, sinks }) => [result, sinks])).toEqual([
      ['accepted', { outbox: 'delivered' }],
      ['duplicate', undefined],
    ]);
    slack.calls[0]?.resolve();
  });

  it('a file that another process locks', async () => {
    const running = await run();
    const { file } = running;
    await expectAccepted(running);
    const other = open(file);
    other.exec('BEGIN EXCLUSIVE');
    const message = signed(aPayload());
    await expectRefusal(running, /locked/, message);
    other.exec('COMMIT');
    other.close();
    await expectAccepted(running, message);
  });

  it('a file that may only be read', async () => {
    const running = await run();
    const { db } = running;
    await expectAccepted(running);
    db.exec('PRAGMA query_only = ON');
    await expectRefusal(running, /readonly/);
    db.exec('PRAGMA query_only = OFF');
    await expectAccepted(running);
  });

  it.each(['with the table', 'without it'])('a handle that was opened for reading, %s', async (table) => {
    const running = await run({}, (file) => {
      const first = open(file);
      const outbox = sqliteOutbox(first, { sinks: [recorder('audit').sink] });
      if (table === 'with the table') void outbox.redeliver();
      else first.exec('CREATE TABLE x (y)');
      void outbox.close();
      first.close();
      return open(file, { readOnly: true });
    });
    await expectRefusal(running, /readonly/);
    await expectRefusal(running, /readonly/);
  });

  it('a full disk', async () => {
    const slack = recorder('slack');
    const running = await run({ sinks: [slack.sink] });
    const { db } = running;
    await expectAccepted(running);
    await vi.waitUntil(() => slack.calls.length === 1);
    const { page_count: pages } = db.prepare('PRAGMA page_count').get() as { page_count: number };
    db.prepare(`PRAGMA max_page_count = ${pages}`).get();
    const message = signed(aPayload({ message: 'x'.repeat(50_000) }));
    await expectRefusal(running, /full/, message);
    await expectRefusal(running, /full/, message);
    expect(slack.calls).toHaveLength(1);
    db.prepare('PRAGMA max_page_count = 1000000').get();
    await expectAccepted(running, message);
    await vi.waitUntil(() => slack.calls.length === 2);
  });

  it('a table of another shape', async () => {
    const slack = recorder('slack');
    const running = await run({ sinks: [slack.sink] }, (file) => {
      const db = open(file);
      db.exec('CREATE TABLE vast_webhook_outbox (id INTEGER PRIMARY KEY, sink TEXT, event TEXT)');
      return db;
    });
    await expectRefusal(running, /"vast_webhook_outbox" has no column "key".*another table name/);
    running.db.exec('DROP TABLE vast_webhook_outbox');
    await expectAccepted(running);
    await vi.waitUntil(() => slack.calls.length === 1);
  });

  it('a table that was dropped', async () => {
    const slack = recorder('slack');
    const running = await run({ sinks: [slack.sink] });
    await expectAccepted(running);
    await vi.waitUntil(() => slack.calls.length === 1);
    running.db.exec('DROP TABLE vast_webhook_outbox');
    const message = signed(aPayload());
    // The first call afterwards may find out.
    if ((await running.service.send(message)).status !== 204) await expectAccepted(running, message);
    await vi.waitUntil(() => slack.calls.length === 2);
  });

  it('a file that is no database', async () => {
    const running = await run({}, (file) => {
      writeFileSync(file, 'no database at all '.repeat(1_000));
      return open(file);
    });
    await expectRefusal(running, /not a database/);
    writeFileSync(running.file, '');
    await expectAccepted(running);
  });

  it('a handle that was closed', async () => {
    const running = await run();
    await expectAccepted(running);
    running.db.close();
    await expectRefusal(running, /not open/);
    await expectRefusal(running, /not open/);
  });

  it('another transaction on the same handle', async () => {
    const running = await run();
    await expectAccepted(running);
    running.db.exec('BEGIN');
    await expectRefusal(running, /transaction/);
    running.db.exec('COMMIT');
    await expectAccepted(running);
  });

  it('an outbox that is closed', async () => {
    const running = await run();
    await running.outbox.close();
    await expectRefusal(running, /the outbox is closed/);
  });
});
