import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type SqliteDatabase, sqliteOutbox } from '../../src/sinks/index.js';
import { sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { anEvent, closeAnyway, lettersOf, recorder, setUp } from './set-up.js';

const failing = (name: string, permanent = false) =>
  recorder(name, () => {
    throw Object.assign(new Error('no'), { permanent });
  });

describe.each(sqliteHandles())('sqliteOutbox on $client', ({ open }) => {
  /** A file in which `old` was not delivered two events, by an outbox that is closed. */
  async function withOldRows(permanent = false) {
    const old = failing('old', permanent);
    const first = setUp(open, { sinks: [old.sink], minBackoffMs: 3_600_000 });
    const events = [anEvent(), anEvent()] as const;
    for (const each of events) await first.deliver(each);
    await vi.waitFor(() => expect(first.rows().filter(({ error }) => error === 'no')).toHaveLength(2));
    await first.outbox.close();
    return { file: first.file, ids: events.map(({ event }) => String(event.event_id)), events };
  }

  describe('rows for a sink that it has no more', () => {
    it('are reported once at the start, listed and counted', async () => {
      const { file, ids } = await withOldRows();
      const { outbox, errors, deliver } = setUp(open, { sinks: [recorder('slack').sink] }, file);
      await deliver();
      await vi.waitFor(() => expect(errors).toHaveLength(1));
      expect(errors[0]).toEqual({
        sink: 'old',
        message:
          'the outbox has 2 due and 0 dead events for "old", but no sink of this name: give a sink this name, or use move() or discard()',
      });
      const letters = await lettersOf(outbox);
      expect(letters).toHaveLength(ids.length);
      // In the order of their backoff, which has jitter.
      for (const id of ids) {
        const gone = { id, sink: 'old', orphaned: true, attempts: 1, error: 'no' };
        expect(letters).toContainEqual(expect.objectContaining(gone));
      }
      expect(await outbox.stats()).toContainEqual({ sink: 'old', orphaned: true, due: 2, dead: 0 });
      expect(errors).toHaveLength(1);
    });

    it.each([false, true])('are moved to another sink, all or of one event (dead letters: %s)', async (permanent) => {
      const { file, ids } = await withOldRows(permanent);
      const slack = recorder('slack');
      const { outbox } = setUp(open, { sinks: [slack.sink] }, file);
      expect(await outbox.move({ to: 'slack', id: ids[1] as string })).toBe(1);
      await vi.waitFor(() => expect(slack.ids()).toEqual([ids[1]]));
      expect(await outbox.move({ to: 'slack' })).toBe(1);
      await vi.waitFor(() => expect(slack.ids()).toEqual([ids[1], ids[0]]));
      expect(await lettersOf(outbox)).toEqual([]);
      expect(await outbox.move({ to: 'slack' })).toBe(0);
    });

    it('are not delivered twice to a sink that has the event already', async () => {
      const { file, events } = await withOldRows();
      const slack = recorder('slack');
      const { outbox, deliver } = setUp(open, { sinks: [slack.sink] }, file);
      await deliver(events[0]);
      await vi.waitFor(() => expect(slack.calls).toHaveLength(1));
      expect(await outbox.move({ to: 'slack' })).toBe(2);
      await vi.waitFor(() => expect(slack.calls).toHaveLength(2));
      await vi.waitFor(async () =>
        expect(await outbox.stats()).toEqual([{ sink: 'slack', orphaned: false, due: 0, dead: 0 }]),
      );
      expect(new Set(slack.ids()).size).toBe(2);
    });

    it('are discarded by event, and by sink', async () => {
      const { file, ids } = await withOldRows();
      const { outbox } = setUp(open, { sinks: [recorder('slack').sink] }, file);
      expect(await outbox.discard(ids[0] as string, 'slack')).toBe(0);
      expect(await outbox.discard(ids[0] as string, 'old')).toBe(1);
      expect(await outbox.discard('unknown')).toBe(0);
      expect((await lettersOf(outbox)).map(({ id }) => id)).toEqual([ids[1]]);
      expect(await outbox.discard(ids[1] as string)).toBe(1);
      expect(await lettersOf(outbox)).toEqual([]);
    });

    it('go to no sink that is not there: a TypeError that names those that are', async () => {
      const { file } = await withOldRows();
      const { outbox } = setUp(open, { sinks: [recorder('slack').sink] }, file);
      await expect(outbox.move({ to: 'mail' })).rejects.toThrow(
        new TypeError('the outbox has no sink "mail" (it has slack): move to one of these'),
      );
    });

    it('are delivered when a sink has the name again', async () => {
      const { file, ids } = await withOldRows(true);
      const old = recorder('old');
      const { outbox, errors } = setUp(open, { sinks: [old.sink] }, file);
      expect(await outbox.redeliver()).toBe(2);
      await vi.waitFor(() => expect(old.ids().toSorted()).toEqual(ids.toSorted()));
      expect(errors).toEqual([]);
    });
  });

  it('redeliver() leaves the dead letters of a sink that is gone', async () => {
    const { file, ids } = await withOldRows(true);
    const slack = recorder('slack');
    const { outbox } = setUp(open, { sinks: [slack.sink] }, file);
    expect([await outbox.redeliver(), await outbox.redeliver(ids[0])]).toEqual([0, 0]);
    expect((await lettersOf(outbox)).map(({ sink, orphaned }) => [sink, orphaned])).toEqual(
      ids.map(() => ['old', true]),
    );
    expect((await outbox.stats()).find(({ sink }) => sink === 'old')).toMatchObject({ due: 0, dead: ids.length });
  });

  it('a dead letter that cannot be read spoils no list, and can be discarded', async () => {
    const { file, ids } = await withOldRows(true);
    const { outbox, handle } = setUp(open, { sinks: [recorder('old').sink] }, file);
    handle.exec(`UPDATE vast_webhook_outbox SET delivery = '{"half' WHERE event_id = '${ids[0]}'`);
    const [first, second] = await lettersOf(outbox);
    expect(first).toMatchObject({ id: ids[0], delivery: undefined });
    expect(second?.delivery).toMatchObject({ id: ids[1] });
    expect(await outbox.discard(ids[0] as string)).toBe(1);
    expect(await lettersOf(outbox)).toHaveLength(1);
  });

  describe('several outboxes on one table', () => {
    function opened(file: string): SqliteDatabase {
      const db = open(file);
      onTestFinished(() => closeAnyway(db));
      return db;
    }
    const make = (db: SqliteDatabase, name: string, sinks = [recorder('slack').sink]) => {
      const outbox = sqliteOutbox(db, { name, sinks });
      onTestFinished(() => outbox.close(0));
      return outbox;
    };

    it('of one name in one process: a TypeError, until the first is closed', async () => {
      const file = temporaryFile('outbox.sqlite');
      const first = make(opened(file), 'outbox');
      expect(() => make(opened(file), 'outbox')).toThrow(/an outbox named "outbox" already uses this table: close it/);
      await first.close();
      make(opened(file), 'outbox');
      const memory = opened(':memory:');
      make(memory, 'outbox');
      make(opened(':memory:'), 'outbox');
      expect(() => make(memory, 'outbox')).toThrow(TypeError);
    });

    it('of two names: each delivers each event to its own sink of a name', async () => {
      const file = temporaryFile('outbox.sqlite');
      const [one, two] = [recorder('slack'), recorder('slack')];
      const outboxes = [make(opened(file), 'outbox', [one.sink]), make(opened(file), 'pager', [two.sink])];
      const { event, context } = anEvent();
      for (const outbox of outboxes) await outbox.deliver(event, context);
      await vi.waitFor(() => expect([one.ids(), two.ids()]).toEqual([[event.event_id], [event.event_id]]));
      for (const outbox of outboxes) {
        await vi.waitFor(async () =>
          expect(await outbox.stats()).toEqual([{ sink: 'slack', orphaned: false, due: 0, dead: 0 }]),
        );
      }
      for (const outbox of outboxes) await outbox.deliver(event, context);
      for (const outbox of outboxes) await outbox.close();
      expect([one.calls.length, two.calls.length]).toEqual([1, 1]);
    });
  });
});
