import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { when } from '../../src/index.js';
import { sqliteHandles } from '../support/sqlite.js';
import { anEvent, days, minutes, recorder, settled, setUp, slow } from './set-up.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe.each(sqliteHandles())('on $client: an event is accepted', ({ open }) => {
  it('when it is committed, with a sync of the disk, and not before', async () => {
    const { deliver, rows, executed, handle } = setUp(open, { sinks: [slow('slack').sink] });
    handle.exec('PRAGMA synchronous = OFF');
    const delivering = deliver().then(() => executed.push('taken'));
    await settled();
    await delivering;
    const steps = executed.filter((sql) => !sql.startsWith('PRAGMA busy_timeout'));
    expect(steps.slice(steps.indexOf('BEGIN IMMEDIATE')).slice(0, 3)).toEqual(['BEGIN IMMEDIATE', 'COMMIT', 'taken']);
    expect(rows()).toHaveLength(1);
    expect(Object.values(handle.prepare('PRAGMA synchronous').get() as object)).toEqual([2]);
    expect(Object.values(handle.prepare('PRAGMA journal_mode').get() as object)).toEqual(['wal']);
  });

  it('not when it cannot be committed: then no sink is called', async () => {
    const slack = recorder('slack');
    const { deliver, rows, faults } = setUp(open, { sinks: [slack.sink] });
    await settled();
    faults.set('COMMIT', new Error('disk I/O error'));
    const deliveries = Promise.allSettled([deliver(), deliver(), deliver()]);
    await settled();
    for (const { status, ...rest } of await deliveries) {
      expect(status).toBe('rejected');
      expect(rest).toMatchObject({ reason: { message: 'disk I/O error' } });
    }
    faults.clear();
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(rows()).toEqual([]);
    expect(slack.calls).toEqual([]);

    const again = deliver();
    await settled();
    await again;
    expect(slack.calls).toHaveLength(1);
  });

  it('as one row a sink', async () => {
    const { deliver, rows } = setUp(open, { sinks: [slow('slack').sink, slow('audit').sink] });
    const event = anEvent();
    const delivering = Promise.all([deliver(event), deliver(event)]);
    await settled();
    await delivering;
    expect(rows().map(({ event_id, sink }) => [event_id, sink])).toEqual([
      [event.event.event_id, 'slack'],
      [event.event.event_id, 'audit'],
    ]);
  });

  it('for the sinks that accept it, and only for those', async () => {
    const slack = recorder('slack');
    const audit = recorder('audit');
    const { deliver, rows } = setUp(open, {
      sinks: [when('outbid', slack.sink), { ...audit.sink, accepts: (event) => event.notif_type === 'low_credit' }],
    });
    const deliveries = [anEvent(), anEvent({ notif_type: 'low_credit' }), anEvent({ notif_type: 'other' })];
    const delivering = Promise.all(deliveries.map(deliver));
    await settled();
    await delivering;
    expect(rows().map(({ sink }) => sink)).toEqual(['slack', 'audit']);
    expect(slack.ids()).toEqual([deliveries[0]?.event.event_id]);
    expect(audit.ids()).toEqual([deliveries[1]?.event.event_id]);
  });

  it('and by the label of the secret, which names the webhook', async () => {
    const [renter, hoster] = [recorder('renter'), recorder('hoster')];
    const { outbox, rows } = setUp(open, { sinks: [when('client:*', renter.sink), when('host:*', hoster.sink)] });
    const { event, context } = anEvent({ notif_type: 'low_disk_space' });
    const delivery = { ...context.delivery, webhook: 'host' };
    await Promise.all([outbox.deliver(event, { ...context, delivery }), settled()]);
    expect(rows()).toMatchObject([{ sink: 'hoster' }]);
  });

  it('for a sink whose accepts() throws, which becomes an error of that sink', async () => {
    const slack = recorder('slack');
    let isBroken = true;
    const accepts = () => {
      if (isBroken) throw new Error('not today');
      return true;
    };
    const { deliver, rows } = setUp(open, { sinks: [{ ...slack.sink, accepts }] });
    const delivering = deliver();
    await settled();
    await delivering;
    expect(rows()).toMatchObject([{ state: 'due', error: 'not today' }]);
    isBroken = false;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(slack.calls).toHaveLength(1);
  });

  it('with whatever its id and its bytes are', async () => {
    const slack = recorder('slack');
    const { deliver } = setUp(open, { sinks: [slack.sink] });
    const { event, context } = anEvent();
    const rawBody = Buffer.concat([
      Buffer.from(JSON.stringify(event).slice(0, -1)),
      Buffer.from(',"x":"\xff"}', 'latin1'),
    ]);
    const delivery = {
      ...context.delivery,
      id: `'; DROP TABLE x; -- 🦊 \u{10ffff}`,
      webhook: 'renter',
      attempt: 3,
      rawBody,
    };
    const delivering = deliver({ event, context: { ...context, delivery } });
    await settled();
    await delivering;
    expect(slack.calls[0]?.context.delivery).toEqual(delivery);
  });
});

describe.each(sqliteHandles())('on $client: the same event twice', ({ open }) => {
  it('is delivered once, also if it comes again while it waits, while it is delivered, and afterwards', async () => {
    const slack = slow('slack');
    const { deliver, rows } = setUp(open, { sinks: [slack.sink] });
    const event = anEvent();
    const again = async () => {
      const delivering = Promise.all([deliver(event), deliver(event)]);
      await settled();
      await delivering;
    };
    await again();
    await again();
    slack.calls[0]?.resolve();
    await settled();
    expect(rows()).toMatchObject([{ state: 'told' }]);
    await again();
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(slack.calls).toHaveLength(1);
  });

  it('is delivered once, also by another process', async () => {
    const slack = recorder('slack');
    const event = anEvent();
    const first = setUp(open, { sinks: [slack.sink] });
    const delivering = first.deliver(event);
    await settled();
    await delivering;
    first.crash();

    const second = setUp(open, { sinks: [slack.sink] }, first.file);
    const deliveringAgain = second.deliver(event);
    await settled();
    await deliveringAgain;
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(slack.calls).toHaveLength(1);
  });

  it('is delivered to a sink that did not exist at the first time', async () => {
    const slack = recorder('slack');
    const audit = recorder('audit');
    const event = anEvent();
    const first = setUp(open, { sinks: [slack.sink] });
    const delivering = first.deliver(event);
    await settled();
    await delivering;
    first.crash();

    const second = setUp(open, { sinks: [slack.sink, audit.sink] }, first.file);
    const deliveringAgain = second.deliver(event);
    await settled();
    await deliveringAgain;
    expect([slack.calls.length, audit.calls.length]).toEqual([1, 1]);
  });

  it('is delivered twice when it comes again after completedTtlMs, because its rows are deleted by then', async () => {
    const slack = recorder('slack');
    const { deliver, rows } = setUp(open, { sinks: [slack.sink], completedTtlMs: 7 * days });
    const event = anEvent();
    const deliverNow = async (what = event) => {
      const delivering = deliver(what);
      await settled();
      await delivering;
    };
    await deliverNow();
    vi.setSystemTime(Date.now() + 7 * days - 1 * minutes);
    for (let i = 0; i < 200; i++) await deliverNow();
    expect(slack.calls).toHaveLength(1);
    vi.setSystemTime(Date.now() + 2 * minutes);
    // Sweeping is every so many deliveries' turn.
    for (let i = 0; i < 200; i++) await deliverNow(anEvent());
    expect(rows().map(({ event_id }) => event_id)).not.toContain(event.event.event_id);
    await deliverNow();
    expect(slack.ids().filter((id) => id === event.event.event_id)).toHaveLength(2);
  });
});

describe.each(sqliteHandles())('on $client: deliveries at a time', ({ open }) => {
  it('share a commit', async () => {
    const { deliver, commits, rows } = setUp(open, { sinks: [slow('slack').sink] });
    await settled();
    const before = commits();
    let commitsOfAll: number | undefined;
    const delivering = Promise.all(Array.from({ length: 64 }, () => deliver())).then(() => {
      commitsOfAll = commits() - before;
    });
    await settled();
    await delivering;
    expect(commitsOfAll).toBe(1);
    expect(rows()).toHaveLength(64);
  });

  it('share commits with one another and with running deliveries', async () => {
    vi.useRealTimers();
    const slack = recorder('slack');
    const { deliver, commits } = setUp(open, { sinks: [slack.sink], concurrency: 64 });
    const sender = async () => {
      for (let i = 0; i < 10; i++) await deliver();
    };
    await Promise.all(Array.from({ length: 64 }, sender));
    await vi.waitUntil(() => slack.calls.length === 640);
    // A row is written when the event arrives, when it is leased and when it is delivered.
    expect(commits()).toBeLessThan(640 / 5);
  });
});
