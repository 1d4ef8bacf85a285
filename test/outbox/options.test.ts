import { describe, expect, it, vi } from 'vitest';
import { sqliteOutbox } from '../../src/sinks/index.js';
import { sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { closeAnyway, lettersOf, setUp } from './set-up.js';

const [{ open }] = sqliteHandles() as [ReturnType<typeof sqliteHandles>[number]];
const audit = { name: 'audit', deliver() {} };

describe('sqliteOutbox', () => {
  it.each([
    ['sinks', undefined],
    ['sinks', []],
    ['sinks', audit],
    ['name', 7],
    ['name', ''],
    ['table', 7],
    ['table', 'a table'],
    ['table', 'x; DROP TABLE y'],
    ['concurrency', 0],
    ['concurrency', 1.5],
    ['concurrency', '4'],
    ['leaseMs', 0],
    ['leaseMs', 2 ** 31],
    ['minBackoffMs', 0],
    ['minBackoffMs', Number.NaN],
    ['maxBackoffMs', '15 min'],
    ['giveUpAfterMs', Number.POSITIVE_INFINITY],
    ['giveUpAfterMs', -1],
    ['giveUpOnPermanent', 'no'],
    ['completedTtlMs', 0],
    ['onError', 'console'],
  ])('refuses a wrong option, which it names: %s: %s', (option, value) => {
    const db = open(':memory:');
    const make = () => sqliteOutbox(db, { sinks: [audit], [option]: value } as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(new RegExp(`\\b${option}\\b`));
    db.close();
  });

  it.each([
    [
      'an option that there is not',
      { sinks: [audit], retries: 3 },
      /unknown option "retries".*\bsinks\b.*\bgiveUpAfterMs\b/,
    ],
    ['no options', undefined, /options/],
    ['null for options', null, /options/],
    ['no sinks', {}, /\bsinks\b/],
    ['two sinks of one name', { sinks: [audit, audit] }, /"audit"/],
    ['a function without a name', { sinks: [() => {}] }, /no name/],
    ['what is no sink', { sinks: ['audit'] }, /a sink must be/],
  ])('refuses %s', (_what, options, message) => {
    const db = open(':memory:');
    const make = () => sqliteOutbox(db, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    db.close();
  });

  it.each([
    ['undefined', undefined],
    ['a path', 'outbox.sqlite'],
    ['a client of something else', { query() {} }],
  ])('refuses for a handle: %s', (_what, db) => {
    const make = () => sqliteOutbox(db as never, { sinks: [audit] });
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/sqliteOutbox: db must be/);
  });

  it('ignores an option that is undefined', async () => {
    const options = { name: undefined, table: undefined, concurrency: undefined, giveUpOnPermanent: undefined };
    expect(setUp(open, { sinks: [audit], ...options }).outbox.name).toBe('outbox');
  });

  it('has the name of its option', () => {
    expect(setUp(open, { sinks: [audit], name: 'chats' }).outbox.name).toBe('chats');
  });

  it('accepts a table whose name is a word of SQL', async () => {
    const slack = vi.fn();
    const { deliver } = setUp(open, { sinks: [{ name: 'slack', deliver: slack }], table: 'order' });
    await deliver();
    await vi.waitUntil(() => slack.mock.calls.length === 1);
  });

  it('touches no file before it is used, and only its own table then, beside others of its kind', async () => {
    const db = open(temporaryFile('outbox.sqlite'));
    const tables = () =>
      db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .all()
        .map((row) => (row as { name: string }).name);
    const outboxes = ['first', 'second'].map((table) => sqliteOutbox(db, { table, sinks: [audit] }));
    expect(tables()).toEqual([]);
    for (const outbox of outboxes) await lettersOf(outbox);
    expect(tables().sort()).toEqual(['first', 'second']);
    await Promise.all(outboxes.map((outbox) => outbox.close()));
    closeAnyway(db);
  });
});
