/** A statement costs the same whatever else the table holds: it searches by an index, and sorts nothing. */
import { expect, it, onTestFinished } from 'vitest';
import { type Sink, SinkError } from '../../src/index.js';
import { sqliteOutbox } from '../../src/sinks/index.js';
import { sqliteStore } from '../../src/stores/index.js';
import type { SqliteDatabase } from '../../src/stores/sqlite-table.js';
import { anEvent, lettersOf } from '../outbox/set-up.js';
import { sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';

/** A handle, and the plan of each statement on a table with its indexes that was prepared on it. */
function planned() {
  const [{ open }] = sqliteHandles();
  const handle = open(temporaryFile('plans.sqlite'));
  onTestFinished(() => {
    handle.close();
  });
  const statements = new Set<string>();
  const db: SqliteDatabase = {
    exec: (sql) => handle.exec(sql),
    prepare(sql) {
      if (/\b(FROM|INTO|UPDATE) "/.test(sql)) statements.add(sql);
      return handle.prepare(sql);
    },
  };
  const plans = () =>
    [...statements].map((sql) => {
      const values = [...sql.matchAll(/\?/g)].map(() => null);
      const steps = handle.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values) as { detail: string }[];
      return { sql, steps: steps.map(({ detail }) => detail) };
    });
  return { db, plans };
}

/** What a plan says of a step whose cost grows with the table. */
const grows = /TEMP B-TREE|^SCAN "?vast_webhook(_outbox)?"?\b/;

it('of sqliteOutbox', async () => {
  const { db, plans } = planned();
  let isDown = true;
  const chat: Sink = {
    name: 'chat',
    async deliver() {
      if (isDown) throw new SinkError('down', { permanent: true });
    },
  };
  const alert = { sink: { name: 'alerts', async deliver() {} }, afterMs: 1 };
  const outbox = sqliteOutbox(db, { sinks: [chat], alert, onError() {} });
  onTestFinished(() => outbox.close());
  const [first, second] = [anEvent(), anEvent()];
  for (const { event, context } of [first, second, ...Array.from({ length: 70 }, () => anEvent())]) {
    await outbox.deliver(event, context);
  }
  await expect.poll(async () => (await lettersOf(outbox)).length).toBe(72);
  const { id } = first.context.delivery;
  expect(await lettersOf(outbox, { id })).toHaveLength(1);
  expect(await outbox.discard(id)).toBe(1);
  expect(await outbox.move({ to: 'alerts', from: 'chat', id: second.context.delivery.id })).toBe(1);
  isDown = false;
  expect(await outbox.redeliver()).toBe(70);
  await expect.poll(async () => (await outbox.stats()).every(({ due, dead }) => due + dead === 0)).toBe(true);
  const all = plans();
  expect(all.length).toBeGreaterThan(20);
  for (const { sql, steps } of all) for (const step of steps) expect(step, sql).not.toMatch(grows);
});

it('of sqliteStore', async () => {
  const { db, plans } = planned();
  const store = sqliteStore(db);
  for (let i = 0; i < 70; i++) await store.claim(`event-${i}`, 'a', 60_000);
  await store.renew('event-0', 'a', 60_000);
  await store.delivered('event-0', 'a', 'chat');
  await store.release('event-0', 'a', 60_000);
  await store.claim('event-0', 'b', 60_000);
  await store.complete('event-0', 'b', 60_000);
  const all = plans();
  expect(all.length).toBeGreaterThan(4);
  for (const { sql, steps } of all) for (const step of steps) expect(step, sql).not.toMatch(grows);
});
