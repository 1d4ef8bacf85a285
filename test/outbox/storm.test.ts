/** A storm does not stop the event loop: what one commit and one turn take is bounded. */
import { describe, expect, it, vi } from 'vitest';
import { SinkError } from '../../src/index.js';
import { type DigestEvent, digest, type OutboxOptions } from '../../src/sinks/index.js';
import type { SqliteDatabase } from '../../src/stores/sqlite-table.js';
import { sqliteHandles } from '../support/sqlite.js';
import { lettersOf, recorder, setUp } from './set-up.js';

/**
 * What a commit takes at most: writes of senders with a sweep for each 64 of them, and others. One of these leases rows,
 * and on a busy machine another one may release rows that were leased ahead.
 */
const mostPerCommit = 256 + 256 / 64 + 256 + 2 * 128;
const events = 5_000;
/** Rows that say which sinks there are, and what a poll reads. */
const few = 60;

/** The handle, which counts the writes of each transaction. */
function counted(db: SqliteDatabase) {
  const writes = [0];
  return {
    writes,
    db: {
      exec(sql: string) {
        if (sql === 'BEGIN IMMEDIATE') writes.push(0);
        return db.exec(sql);
      },
      prepare(sql: string) {
        const statement = db.prepare(sql);
        const run: typeof statement.run = (...values) => {
          writes.push((writes.pop() as number) + 1);
          return statement.run(...values);
        };
        return Object.assign(Object.create(statement), {
          run,
          all: statement.all.bind(statement),
          get: statement.get.bind(statement),
        });
      },
    },
  };
}

describe.each(sqliteHandles())('on $client', ({ open }) => {
  const storm = (sink: Parameters<typeof setUp>[1]['sinks'][number]) => {
    let writes: number[] = [];
    const watchedOpen: typeof open = (file) => {
      const db = open(file);
      if (writes.length > 0) return db;
      const counting = counted(db);
      writes = counting.writes;
      return Object.assign(Object.create(db), counting.db, { close: () => db.close() });
    };
    const outbox = setUp(watchedOpen, { sinks: [sink] });
    return { ...outbox, most: () => Math.max(...writes) };
  };

  it('a commit takes a part of a storm, also with a digest', async () => {
    let delivered = 0;
    const chat = {
      name: 'chat',
      deliver: (event: object) => {
        delivered += (event as DigestEvent).count ?? 1;
      },
    };
    const { deliver, outbox, most } = storm(digest({ everyMs: 20 }, chat));
    await Promise.all(Array.from({ length: events }, () => deliver()));
    await vi.waitUntil(async () => (await outbox.stats()).every(({ due }) => due === 0), { timeout: 60_000 });
    expect(delivered).toBe(events);
    expect(most()).toBeLessThanOrEqual(mostPerCommit);
  });

  it('redeliver() takes many turns for many dead letters', async () => {
    let isGone = true;
    const slack = recorder('slack', () => {
      if (isGone) throw new SinkError('gone', { permanent: true });
    });
    const { deliver, outbox, most } = storm({ ...slack.sink, concurrency: 1_000 });
    await Promise.all(Array.from({ length: events }, () => deliver()));
    await vi.waitUntil(async () => (await outbox.stats()).every(({ due }) => due === 0), { timeout: 60_000 });
    expect(await outbox.stats()).toMatchObject([{ dead: events }]);
    isGone = false;
    let turns = 0;
    let isDone = false;
    const redelivering = outbox.redeliver().finally(() => {
      isDone = true;
    });
    while (!isDone) {
      turns++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await redelivering).toBe(events);
    expect(turns).toBeGreaterThanOrEqual(events / 500);
    expect(most()).toBeLessThanOrEqual(mostPerCommit);
    await vi.waitUntil(() => slack.calls.length === 2 * events, { timeout: 60_000 });
  });

  it('a quick sink has its rows leased ahead, and shares the commits that record them', async () => {
    const quick = recorder('quick');
    const { deliver, outbox, commits } = setUp(open, { sinks: [quick.sink] });
    await Promise.all(Array.from({ length: 1_000 }, () => deliver()));
    const before = commits();
    await vi.waitUntil(async () => (await outbox.stats()).every(({ due }) => due === 0), { timeout: 60_000 });
    // One for each four rows would be four leases and records in one, at its concurrency.
    expect(commits() - before).toBeLessThan(1_000 / 8);
    expect(new Set(quick.ids()).size).toBe(1_000);
    expect(quick.calls).toHaveLength(1_000);
  });

  it('close() releases what is leased and not begun, as it was', async () => {
    const { db, file } = await closedInTheMiddle();
    const rows = db.prepare("SELECT token, attempts, since, due_at FROM vast_webhook_outbox WHERE state = 'due'").all();
    expect(rows.length).toBeGreaterThan(100);
    for (const { token, attempts, since, due_at } of rows as Record<string, unknown>[]) {
      expect([token, attempts, due_at]).toEqual([null, 0, since]);
    }
    const rest = recorder('quick');
    const second = setUp(open, { sinks: [rest.sink] }, file);
    await vi.waitUntil(async () => (await second.outbox.stats()).every(({ due }) => due === 0), { timeout: 60_000 });
    expect(rest.calls).toHaveLength(rows.length);
  });

  it('stats(), deadLetters() and discard() take many turns for many dead letters', async () => {
    const { outbox, add, most } = await stored();
    add(25_000, 'dead');
    expect(await most(() => outbox.stats())).toBeLessThanOrEqual(2_000 + few);
    expect(await outbox.stats()).toMatchObject([{ sink: 'chat', due: 0, dead: 25_000 }]);
    const ids = new Set<string>();
    const list = async () => {
      for await (const { id, delivery } of outbox.deadLetters()) if (delivery) ids.add(id);
    };
    // A page of keys, and some rows with their deliveries.
    expect(await most(list)).toBeLessThanOrEqual(500 + 50 + few);
    expect(ids.size).toBe(25_000);
    const [first] = await lettersOf(outbox, { offset: 12_345, limit: 1 });
    expect(first?.id).toBe('dead-12346');
    expect(await most(() => outbox.discard('dead-7'))).toBeLessThanOrEqual(few);
    expect(await outbox.stats()).toMatchObject([{ sink: 'chat', due: 0, dead: 24_999 }]);
  });

  it('events for a sink that is gone are counted, listed and moved in many turns, too', async () => {
    const { outbox, add, most } = await stored();
    add(12_000, 'due', 'gone');
    expect(await most(() => outbox.stats())).toBeLessThanOrEqual(2_000 + few);
    expect(await outbox.stats()).toContainEqual({ sink: 'gone', orphaned: true, due: 12_000, dead: 0 });
    expect(await lettersOf(outbox, { offset: 11_998 })).toHaveLength(2);
    let moved = 0;
    const move = async () => {
      moved = await outbox.move({ to: 'chat' });
    };
    expect(await most(move)).toBeLessThanOrEqual(500 + few);
    expect(moved).toBe(12_000);
    expect((await outbox.stats()).map(({ sink }) => sink)).toEqual(['chat']);
  });

  it('a walk over dead letters ends, although they fail again behind it', async () => {
    const { outbox, add } = await stored({ giveUpAfterMs: 1 });
    add(1_200, 'dead');
    let seen = 0;
    for await (const { id } of outbox.deadLetters()) {
      add(1, 'dead', 'chat', `again-${id}`, Date.now());
      seen++;
    }
    expect(seen).toBeLessThan(2_400);
  });

  /** An outbox that does not deliver, and the numbers of rows that it reads. */
  async function stored(options: Partial<OutboxOptions> = {}) {
    let [reads, most] = [0, 0];
    const watchedOpen: typeof open = (file) => {
      const db = open(file);
      const prepare: typeof db.prepare = (sql) => {
        const statement = db.prepare(sql);
        const all: typeof statement.all = (...values) => {
          const rows = statement.all(...values);
          // Rows that are only counted are read as well.
          const [{ count }] = (rows.length === 1 ? rows : [{}]) as [{ count?: number }];
          reads += Number(count ?? rows.length);
          most = Math.max(most, reads);
          return rows;
        };
        return Object.assign(Object.create(statement), {
          all,
          get: statement.get.bind(statement),
          run: statement.run.bind(statement),
        });
      };
      return Object.assign(Object.create(db), { prepare, exec: db.exec.bind(db), close: () => db.close() });
    };
    const hanging = { name: 'chat', concurrency: 1, deliver: () => new Promise<void>(() => {}) };
    const { outbox, handle } = setUp(watchedOpen, { sinks: [hanging], ...options });
    // It makes its table, and looks for sinks that are gone.
    await outbox.stats();
    await new Promise((resolve) => setImmediate(resolve));
    return {
      outbox,
      add(count: number, state: string, sink = 'chat', id = state, failedAt = 1) {
        handle.exec(`
          WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
          INSERT INTO vast_webhook_outbox
            (key, event_id, sink, delivery, state, since, due_at, attempts, failed_at, outbox)
          SELECT '${id}-' || n, '${id}-' || n, '${sink}', '{}', '${state}', 1, n / 100, 1, ${failedAt}, 'outbox'
          FROM numbers`);
      },
      /** The most rows of a turn while it runs. */
      async most(work: () => Promise<unknown>) {
        [most, reads] = [0, 0];
        let isDone = false;
        const done = work().finally(() => {
          isDone = true;
        });
        while (!isDone) {
          await new Promise((resolve) => setImmediate(resolve));
          reads = 0;
        }
        await done;
        // Between two looks of this loop, there may be two turns of the work.
        return most / 2;
      },
    };
  }

  async function closedInTheMiddle() {
    let closing: Promise<void> | undefined;
    const quick = recorder('quick', (nth) => {
      if (nth === 300) closing = first.outbox.close();
    });
    const first = setUp(open, { sinks: [quick.sink] });
    await Promise.all(Array.from({ length: 1_000 }, () => first.deliver().catch(() => {})));
    await vi.waitUntil(() => closing !== undefined, { timeout: 60_000 });
    await closing;
    return { db: first.reader, file: first.file };
  }
});
