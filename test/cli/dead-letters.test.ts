import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Outbox, OutboxOptions } from '../../src/sinks/index.js';
import { sqliteOutbox } from '../../src/sinks/index.js';
import { anEvent, recorder } from '../outbox/set-up.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { openHere } from '../support/sqlite.js';
import { type World, workplace } from './call.js';
import { deliver, during, serving } from './serving.js';

const refusing = (name: string) =>
  recorder(name, () => {
    throw Object.assign(new Error(`${name} says no`), { permanent: true });
  });

/** A folder with an outbox file, and the command there. */
function place() {
  const here = workplace();
  const open = (options: OutboxOptions): Outbox => {
    const db = openHere(here.path('outbox.db'));
    const outbox = sqliteOutbox(db, { onError() {}, ...options });
    onTestFinished(async () => {
      await outbox.close(0);
      db.close();
    });
    return outbox;
  };
  const call = (args: readonly string[], world?: World) =>
    here.call(['dead-letters', ...args, '--outbox', 'outbox.db'], world);
  const list = async (...args: readonly string[]) => JSON.parse((await call(['list', '--json', ...args])).out);
  /** Dead letters for a sink, and the outbox is closed. */
  async function withDead(name: string, count: number): Promise<string[]> {
    const outbox = open({ sinks: [refusing(name).sink] });
    const events = Array.from({ length: count }, () => anEvent());
    for (const { event, context } of events) await outbox.deliver(event, context);
    await vi.waitFor(async () => expect((await outbox.stats())[0]?.dead).toBe(count));
    await outbox.close();
    return events.map(({ event }) => String(event.event_id));
  }
  return { ...here, open, call, list, withDead };
}

describe('dead-letters list', () => {
  it('shows what was given up, in pages, and with --json', async () => {
    const { withDead, call, list } = place();
    const ids = await withDead('slack', 3);
    const { out, status } = await call(['list']);
    expect(status).toBe(0);
    for (const id of ids) expect(out).toMatch(new RegExp(`^${id} +slack +20\\d\\d-.*Z +1 +slack says no$`, 'm'));
    const all = await list();
    expect(all.map(({ id }: { id: string }) => id).sort()).toEqual([...ids].sort());
    expect(all[0]).toMatchObject({ sink: 'slack', gone: false, attempts: 1, error: 'slack says no' });
    const pages = [await list('--limit', '2'), await list('--limit', '2', '--offset', '2')];
    expect(pages.map((page) => page.length)).toEqual([2, 1]);
    expect(pages.flat()).toEqual(all);
    expect((await call(['list', '--limit', '2'])).err).toBe('1 more: --offset 2 shows the next.\n');
    const beyond = await call(['list', '--offset', '3']);
    expect(beyond).toEqual({ status: 0, out: '', err: 'There is none beyond the first 3: give a smaller --offset.\n' });
  });

  it('says so when there is none', async () => {
    const { open, call } = place();
    const outbox = open({ sinks: [recorder('slack').sink] });
    const { event, context } = anEvent();
    await outbox.deliver(event, context);
    expect(await call(['list'])).toMatchObject({ status: 0, out: '', err: 'There is no dead letter.\n' });
  });

  it('makes no file, and takes no other file for an outbox', async () => {
    const { call, path } = place();
    expect(await call(['list'])).toMatchObject({ status: 1, err: expect.stringContaining('there is no file') });
    expect(existsSync(path('outbox.db'))).toBe(false);
    const other = openHere(path('outbox.db'));
    other.exec('CREATE TABLE mine (x)');
    expect(await call(['list'])).toMatchObject({ status: 1, err: expect.stringContaining('is no outbox') });
    expect(other.prepare('SELECT name FROM sqlite_master').all()).toEqual([{ name: 'mine' }]);
    other.close();
    const { workplace: none } = await import('./call.js');
    expect(await none().call(['dead-letters', 'list'])).toMatchObject({ status: 2 });
  });
});

describe('dead-letters for a sink that is not there', () => {
  it.each([
    ['list', '--sink', 'typo'],
    ['list', '--sink', 'typo', '--json'],
    ['redeliver', '--sink', 'typo'],
    ['move', '--from', 'typo', '--to', 'slack'],
    ['discard', '--all', '--sink', 'typo', '--yes'],
  ])('%s %s %s ends with 1, and names those that are', async (...args) => {
    const { withDead, call, list } = place();
    await withDead('slack', 1);
    expect(await call(args.filter(Boolean))).toEqual({
      status: 1,
      out: '',
      err: expect.stringMatching(/: --(sink|from): the outbox has no sink "typo" \(it has slack\)\n$/),
    });
    expect(await list()).toHaveLength(1);
  });
});

describe('dead-letters with an id that is not there', () => {
  it.each([
    ['show', 'none'],
    ['redeliver', 'none'],
    ['move', 'none', '--to', 'slack'],
    ['discard', 'none', '--yes'],
  ])('%s ends with 1', async (...args) => {
    const { withDead, call } = place();
    await withDead('slack', 1);
    expect(await call(args)).toMatchObject({ status: 1, err: expect.stringContaining('the id "none"') });
  });
});

describe('dead-letters show', () => {
  it('shows the event as it was sent', async () => {
    const { withDead, call } = place();
    const [id = ''] = await withDead('slack', 1);
    const { out } = await call(['show', id]);
    expect(out).toContain('slack says no');
    expect(out).toContain(`"event_id": "${id}"`);
    const [shown] = JSON.parse((await call(['show', id, '--json'])).out);
    expect(shown).toMatchObject({ id, event: { event_id: id, notif_type: 'outbid' } });
  });
});

describe('dead-letters of a sink that is gone', () => {
  it('are listed with it, moved or discarded, and not redelivered to nobody', async () => {
    const { withDead, open, call, list } = place();
    const [first = '', second = '', third = ''] = await withDead('old', 3);
    const slack = recorder('slack');
    open({ sinks: [slack.sink] });
    await vi.waitFor(async () =>
      expect((await list()).map(({ gone }: { gone: boolean }) => gone)).toEqual([true, true, true]),
    );
    expect((await call(['list'])).out).toContain('old (gone)');
    expect(await call(['redeliver', first])).toMatchObject({
      status: 1,
      err: expect.stringContaining('move the event'),
    });
    expect(await call(['redeliver'])).toMatchObject({ out: '0 events redelivered.\n' });
    expect(await call(['move', first, '--to', 'nobody'])).toMatchObject({
      status: 1,
      err: 'vast-webhook: the outbox has no sink "nobody" (it has slack)\n',
    });
    expect(await call(['move', first, '--to', 'slack'])).toMatchObject({ status: 0, out: '1 event moved to slack.\n' });
    await vi.waitFor(() => expect(slack.ids()).toEqual([first]));
    expect(await call(['discard', second, '--yes', '--json'])).toMatchObject({
      status: 0,
      out: '{\n  "discarded": 1\n}\n',
    });
    expect(await call(['move', '--to', 'slack'])).toMatchObject({ out: '1 event moved to slack.\n' });
    await vi.waitFor(() => expect(slack.ids()).toEqual([first, third]));
    expect(await list()).toEqual([]);
  });

  it('are only those of which the file says so: events that wait for a sink are left alone', async () => {
    const { open, call, list, path } = place();
    const slack = recorder('slack', () => {
      throw new Error('later');
    });
    const outbox = open({ sinks: [slack.sink], minBackoffMs: 3_600_000 });
    const { event, context } = anEvent();
    await outbox.deliver(event, context);
    await vi.waitFor(() => expect(slack.calls).toHaveLength(1));
    expect(await list()).toEqual([]);
    expect(await call(['move', '--to', 'slack'])).toMatchObject({ out: '0 events moved to slack.\n' });
    expect(await call(['discard', '--all', '--yes'])).toMatchObject({ out: '0 events discarded.\n' });
    // A file of a version that recorded no sinks.
    const db = openHere(path('outbox.db'));
    db.exec('DELETE FROM vast_webhook_outbox_sinks');
    db.close();
    expect(await list()).toEqual([]);
    expect(await call(['discard', '--all', '--yes'])).toMatchObject({ out: '0 events discarded.\n' });
    expect(await call(['move', '--to', 'slack'])).toMatchObject({ status: 1 });
    expect(await outbox.stats()).toEqual([{ sink: 'slack', orphaned: false, due: 1, dead: 0 }]);
  });
});

describe('dead-letters discard', () => {
  it('asks before it deletes, and takes no missing id for all', async () => {
    const { withDead, call, list } = place();
    const [id = ''] = await withDead('slack', 2);
    expect(await call(['discard', id])).toMatchObject({ status: 2, err: expect.stringContaining('--yes') });
    expect(await call(['discard', '--yes'])).toMatchObject({ status: 2, err: expect.stringContaining('--all') });
    expect(await call(['discard', id], { typed: 'n\n' })).toMatchObject({ status: 1 });
    expect(await list()).toHaveLength(2);
    expect(await call(['discard', id], { typed: 'y\n' })).toMatchObject({ status: 0, out: '1 event discarded.\n' });
    expect(await call(['discard', '--all', '--yes'])).toMatchObject({ out: '1 event discarded.\n' });
    expect(await list()).toEqual([]);
  });

  it('of all leaves what waits for a sink that is gone, because another process may have it', async () => {
    const { open, call, list } = place();
    const first = open({ sinks: [recorder('away', () => Promise.reject(new Error('later'))).sink] });
    const { event, context } = anEvent();
    await first.deliver(event, context);
    await first.close();
    const second = open({ sinks: [recorder('slack').sink], onError() {} });
    await vi.waitFor(async () => expect(await list()).toHaveLength(1));
    expect(await call(['discard', '--all', '--yes'])).toMatchObject({
      out: '0 events discarded.\n',
      err: '1 event for away (gone) left: --sink away discards them, too.\n',
    });
    expect(await call(['discard', '--all', '--sink', 'away', '--yes'])).toMatchObject({ out: '1 event discarded.\n' });
    expect(await second.stats()).toEqual([{ sink: 'slack', orphaned: false, due: 0, dead: 0 }]);
  });
});

describe('serve on an outbox with dead letters of a sink that is gone', () => {
  it('neither counts them nor says that it delivers them again', async () => {
    const { withDead, folder, list } = place();
    await withDead('old', 2);
    const args = ['--log-events', '--outbox', 'outbox.db'];
    const first = await serving(args, { cwd: folder });
    expect(first.io.out).not.toContain('dead letters in');
    await first.stop();
    const second = await serving([...args, '--redeliver'], { cwd: folder });
    expect(second.io.out).toContain('dead letters that are delivered again: 0');
    await second.stop();
    expect((await list()).map(({ gone }: { gone: boolean }) => gone)).toEqual([true, true]);
  });
});

describe('dead-letters list with an odd row', () => {
  it('shows it, and the others', async () => {
    const { withDead, call, list, path } = place();
    const [odd = '', other = ''] = await withDead('slack', 2);
    const db = openHere(path('outbox.db'));
    db.prepare("UPDATE vast_webhook_outbox SET failed_at = 1e18, error = x'6e6f' WHERE event_id = ?").run(odd);
    db.close();
    const { status, out } = await call(['list']);
    expect(status).toBe(0);
    expect(out).toMatch(new RegExp(`^${odd} +slack +unknown +1 +no$`, 'm'));
    expect(out).toContain(other);
    expect((await list()).find(({ id }: { id: string }) => id === odd)).toMatchObject({
      failed_at: 'unknown',
      error: 'no',
    });
    expect((await call(['show', odd])).out).toContain('failed:   unknown, attempts: 1');
  });
});

describe('dead-letters beside a serve that has the file', () => {
  it('redelivers: serve notices by itself', async () => {
    const here = workplace();
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => res.writeHead(404).end('no_service');
    const { url, io } = await serving(['--slack', slack.url, '--outbox', 'outbox.db'], { cwd: here.folder });
    expect((await deliver(url)).status).toBe(204);
    await io.printed(/given up/);
    slack.misbehave = undefined;
    const call = (args: readonly string[]) => here.call(['dead-letters', ...args, '--outbox', 'outbox.db']);
    const answer = await vi.waitUntil(async () => {
      const answered = await call(['redeliver']);
      return answered.out.startsWith('1 event') ? answered : undefined;
    });
    expect(answer.out).toBe('1 event redelivered.\n');
    await vi.waitUntil(() => slack.messages.length === 1);
    expect(JSON.parse((await call(['list', '--json'])).out)).toEqual([]);
  });

  it('while events are delivered, each is delivered once, and none is lost', async () => {
    const { withDead, open, call, list, path } = place();
    const dead = await withDead('slack', 60);
    const slack = recorder('slack');
    const outbox = open({ sinks: [slack.sink] });
    const fresh = Array.from({ length: 60 }, () => anEvent());
    const delivering = (async () => {
      for (const { event, context } of fresh) await outbox.deliver(event, context);
    })();
    const counts: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { out, status } = await call(['redeliver', '--json']);
      expect(status).toBe(0);
      counts.push(JSON.parse(out).redelivered);
    }
    await delivering;
    expect(counts.reduce((sum, each) => sum + each)).toBe(dead.length);
    const expected = [...dead, ...fresh.map(({ event }) => String(event.event_id))].sort();
    await vi.waitFor(() => expect(slack.ids().length).toBeGreaterThanOrEqual(expected.length), 20_000);
    expect(slack.ids().sort()).toEqual(expected);
    expect(await list()).toEqual([]);
    expect(existsSync(join(path('outbox.db')))).toBe(true);
  });

  it('waits for a file that others write to', async () => {
    const { withDead, call, path } = place();
    await withDead('slack', 1);
    const other = openHere(path('outbox.db'));
    onTestFinished(() => void other.close());
    other.exec('BEGIN IMMEDIATE');
    const redelivering = call(['redeliver']);
    setTimeout(() => other.exec('ROLLBACK'), 700);
    expect(await redelivering).toMatchObject({ status: 0, out: '1 event redelivered.\n' });
  });
});
