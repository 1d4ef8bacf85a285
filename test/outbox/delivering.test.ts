import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SinkError } from '../../src/index.js';
import { digest } from '../../src/sinks/index.js';
import { waitAfter } from '../../src/util/backoff.js';
import { sqliteHandles } from '../support/sqlite.js';
import {
  anEvent,
  anotherProcess,
  days,
  lettersOf,
  minutes,
  recorder,
  seconds,
  settled,
  setUp,
  sleepUntil,
  slow,
} from './set-up.js';

beforeEach(() => {
  vi.useFakeTimers();
  // A backoff of next to nothing would be over while a test waits for what is due now.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe.each(sqliteHandles())('on $client: each sink is delivered to independently', ({ open }) => {
  it('with the event as it was sent and its delivery', async () => {
    const slack = recorder('slack');
    const audited = vi.fn();
    const { deliver } = setUp(open, {
      sinks: [
        slack.sink,
        function audit(event, { delivery }) {
          audited(event, delivery);
        },
      ],
    });
    const { event, context } = anEvent();
    await Promise.all([deliver({ event, context }), settled()]);
    expect(audited).toHaveBeenCalledExactlyOnceWith(event, context.delivery);
    expect(slack.calls[0]?.context.signal).toBeInstanceOf(AbortSignal);
  });

  it('and a failing sink delays no other sink, and causes no second delivery to another', async () => {
    const slack = recorder('slack', () => Promise.reject(new Error('down')));
    const audit = recorder('audit');
    const { deliver, rows } = setUp(open, { sinks: [slack.sink, audit.sink] });
    await Promise.all([deliver(), deliver(), settled()]);
    expect(audit.calls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(audit.calls).toHaveLength(2);
    expect(slack.calls.length).toBeGreaterThan(4);
    expect(rows().map(({ sink, state }) => `${sink} ${state}`)).toEqual([
      'slack due',
      'audit told',
      'slack due',
      'audit told',
    ]);
  });

  it('and a hanging sink delays no other sink', async () => {
    const slack = slow('slack');
    const audit = recorder('audit');
    const { deliver } = setUp(open, { sinks: [slack.sink, audit.sink], concurrency: 1 });
    await Promise.all([deliver(), deliver(), deliver(), settled()]);
    expect([slack.calls.length, audit.calls.length]).toEqual([1, 3]);
  });

  it.each([
    [undefined, 4],
    [1, 1],
    [7, 7],
  ])(
    'with concurrency: %s of %i events at once at most, and of the next one when one has settled',
    async (concurrency, most) => {
      const slack = slow('slack');
      const audit = slow('audit');
      const { deliver } = setUp(open, { sinks: [slack.sink, audit.sink], concurrency });
      await Promise.all([...Array.from({ length: 20 }, () => deliver()), settled()]);
      expect([slack.calls.length, audit.calls.length]).toEqual([most, most]);
      for (let nth = 0; nth < 20; nth++) {
        // Failing makes room as well.
        if (nth % 5 === 4) slack.calls[nth]?.reject(new SinkError('no', { permanent: true }));
        else slack.calls[nth]?.resolve();
        await settled();
        expect(slack.calls).toHaveLength(Math.min(20, nth + 1 + most));
      }
      expect(new Set(slack.calls.map(({ id }) => id)).size).toBe(20);
      expect([slack.mostAtOnce(), audit.mostAtOnce(), audit.calls.length]).toEqual([most, most, most]);
    },
  );

  it('of as many at once as the sink says, whatever the outbox does', async () => {
    const slack = slow('slack');
    const audit = slow('audit');
    const sinks = [{ ...slack.sink, concurrency: 7 }, audit.sink];
    const { deliver } = setUp(open, { sinks, concurrency: 2 });
    await Promise.all([...Array.from({ length: 20 }, () => deliver()), settled()]);
    expect([slack.calls.length, audit.calls.length]).toEqual([7, 2]);
  });

  it('as a whole digest, whose events succeed or fail together', async () => {
    let isDown = true;
    const slack = recorder('slack', () => (isDown ? Promise.reject(new Error('down')) : undefined));
    const { deliver, rows, errors } = setUp(open, { sinks: [digest({ everyMs: 1 * minutes }, slack.sink)] });
    await Promise.all([...Array.from({ length: 100 }, () => deliver()), settled()]);
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect(slack.calls).toHaveLength(1);
    expect(new Set(rows().map(({ state, error }) => `${state} ${error}`))).toEqual(new Set(['due down']));
    isDown = false;
    await vi.advanceTimersByTimeAsync(1 * minutes + 2 * seconds);
    expect(slack.calls).toHaveLength(2);
    expect(new Set(slack.ids())).toHaveLength(1);
    expect(new Set(rows().map(({ state }) => state))).toEqual(new Set(['told']));
    expect(errors).toEqual([]);
  });

  it('the oldest first, and none twice, however many there are', async () => {
    const slack = recorder('slack', () => Promise.resolve());
    const { deliver, rows } = setUp(open, { sinks: [slack.sink], concurrency: 1 });
    const ids: unknown[] = [];
    for (let i = 0; i < 30; i++) {
      vi.setSystemTime(Date.now() + 1);
      const event = anEvent();
      ids.push(event.event.event_id);
      await Promise.all([deliver(event), settled()]);
    }
    await vi.advanceTimersByTimeAsync(1 * seconds);
    expect(slack.ids()).toEqual(ids);
    expect(new Set(rows().map(({ state }) => state))).toEqual(new Set(['told']));
  });

  it('for as long as it takes, because the lease is renewed, and no other process delivers the event', async () => {
    const another = await anotherProcess();
    const slack = slow('slack');
    const first = setUp(open, { sinks: [slack.sink], leaseMs: 30 * seconds });
    await Promise.all([first.deliver(), settled()]);
    const second = setUp(open, { sinks: [slack.sink], leaseMs: 30 * seconds }, first.file, another);
    await vi.advanceTimersByTimeAsync(4 * minutes);
    expect(slack.calls).toHaveLength(1);
    slack.calls[0]?.resolve();
    await vi.advanceTimersByTimeAsync(2 * minutes);
    expect(slack.calls).toHaveLength(1);
    expect([first.errors, second.errors]).toEqual([[], []]);
    expect(first.rows()).toMatchObject([{ state: 'told' }]);
  });

  it('for five minutes: a sink that has not settled by then is aborted, and the event is retried', async () => {
    const slack = slow('slack');
    const { deliver, rows } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    expect(slack.calls[0]?.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    expect(slack.calls[0]?.signal.aborted).toBe(true);
    expect(rows()).toMatchObject([{ state: 'due', error: expect.stringContaining('did not settle') }]);
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(slack.calls).toHaveLength(2);
  });

  it('also from a process that ended, when its lease is over', async () => {
    const lost = slow('slack');
    const first = setUp(open, { sinks: [lost.sink], leaseMs: 30 * seconds });
    await Promise.all([first.deliver(), first.deliver(), first.deliver(), first.deliver(), first.deliver(), settled()]);
    expect(lost.calls).toHaveLength(4);
    first.crash();

    const slack = recorder('slack');
    const second = setUp(open, { sinks: [slack.sink] }, first.file);
    await settled();
    expect(slack.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(29 * seconds);
    expect(slack.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1 * seconds);
    expect(slack.calls).toHaveLength(5);
    expect(second.rows().map(({ attempts }) => attempts)).toEqual([2, 2, 2, 2, 1]);
  });

  it.each([
    ['was delivered to', () => {}],
    ['failed', () => Promise.reject(new SinkError('gone', { permanent: true }))],
  ])('until another process has taken it: then nothing is overwritten when it %s', async (_what, answer) => {
    let go = () => {};
    const slack = recorder('slack', async () => {
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      await answer();
    });
    const { deliver, reader, rows } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    // As after a long sleep, in which the lease has ended.
    reader.exec("UPDATE vast_webhook_outbox SET token = 'of another', attempts = 2");
    go();
    await settled();
    expect(rows()).toMatchObject([{ state: 'due', token: 'of another', error: null }]);
    await vi.advanceTimersByTimeAsync(10 * seconds);
    expect(slack.calls).toHaveLength(1);
  });

  it('although an attempt whose lease was lost still runs here, and once a second is enough to look', async () => {
    const slack = slow('slack');
    const { deliver, reader, reads, rows } = setUp(open, { sinks: [slack.sink], leaseMs: 30 * seconds });
    await Promise.all([deliver(), settled()]);
    // Another process has claimed the row after a freeze, and has failed to deliver.
    reader.exec("UPDATE vast_webhook_outbox SET token = 'of another'");
    await vi.advanceTimersByTimeAsync(10 * seconds);
    reader.exec('UPDATE vast_webhook_outbox SET token = NULL, due_at = 0');
    await vi.advanceTimersByTimeAsync(2 * seconds);
    const before = reads();
    await vi.advanceTimersByTimeAsync(10 * seconds);
    // Each look at the file reads two statements, at most every 50 ms.
    expect(reads() - before).toBeLessThan(500);
    expect(slack.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(40 * seconds);
    expect(rows()).toMatchObject([{ state: 'due', attempts: 1 }]);
  });

  it('also from rows that another process wrote, within a second', async () => {
    const another = await anotherProcess();
    const slack = recorder('slack');
    const first = setUp(open, { sinks: [slack.sink] });
    await settled();
    const second = setUp(open, { sinks: [slow('audit').sink, slow('slack').sink] }, first.file, another);
    const delivering = second.deliver();
    await vi.advanceTimersByTimeAsync(0);
    await delivering;
    second.crash();
    await vi.advanceTimersByTimeAsync(31 * seconds);
    expect(slack.calls).toHaveLength(1);
  });

  it('but no more when it does not accept the event any more', async () => {
    const first = setUp(open, { sinks: [recorder('slack', () => Promise.reject(new Error('down'))).sink] });
    await Promise.all([first.deliver(), settled()]);
    first.crash();
    const slack = recorder('slack');
    const second = setUp(open, { sinks: [{ ...slack.sink, accepts: () => false }] }, first.file);
    await vi.advanceTimersByTimeAsync(3 * seconds);
    expect(slack.calls).toEqual([]);
    expect(second.rows()).toMatchObject([{ state: 'told' }]);
  });
});

describe.each(sqliteHandles())('on $client: a sink that fails', ({ open }) => {
  /** The waits between attempts, as they stand in the table, up to the nth failure. */
  async function waits(failures: number, error: Error, options = {}): Promise<number[]> {
    const slack = recorder('slack', () => Promise.reject(error));
    const { deliver, rows } = setUp(open, { sinks: [slack.sink], ...options });
    await Promise.all([deliver(), settled()]);
    const found: number[] = [];
    for (let nth = 1; nth <= failures; nth++) {
      const [row] = rows();
      expect(row).toMatchObject({ state: 'due', attempts: nth, error: error.message });
      const { due_at: dueAt = 0, failed_at: failedAt = 0 } = row ?? {};
      found.push(dueAt - failedAt);
      if (nth < failures) await sleepUntil(dueAt, () => rows()[0]?.failed_at !== failedAt);
    }
    expect(slack.calls).toHaveLength(failures);
    return found;
  }

  const doubled = Array.from({ length: 14 }, (_, n) => Math.min(1 * seconds * 2 ** n, 15 * minutes));

  it('is retried after up to a second, twice as long each time, and 15 minutes at most', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999_999);
    expect(await waits(14, new Error('down'))).toEqual(doubled);
  });

  it('is retried at any time before that, with full jitter', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    expect(await waits(14, new Error('down'))).toEqual(doubled.map((most) => most / 2));
    vi.spyOn(Math, 'random').mockReturnValue(0);
    const backoff = { minBackoffMs: 1_000, maxBackoffMs: 900_000, giveUpAfterMs: 1 * days, giveUpOnPermanent: true };
    expect([1, 2, 14, 10_000].map((attempts) => waitAfter(new Error('down'), attempts, 0, backoff))).toEqual([
      0, 0, 0, 0,
    ]);
  });

  it('is retried within the limits that were set', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999_999);
    const options = { minBackoffMs: 100, maxBackoffMs: 500 };
    expect(await waits(5, new Error('down'), options)).toEqual([100, 200, 400, 500, 500]);
  });

  it('is retried when the wait is over, and not before', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999_999);
    const slack = recorder('slack', (nth) => (nth < 4 ? Promise.reject(new Error('down')) : undefined));
    const { deliver, rows } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(10 * seconds);
    const times = slack.calls.map(({ at }) => at);
    const waits = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    // Fake time advances by a millisecond while a row is leased.
    expect(waits.map((wait) => wait - 1)).toEqual([1_000, 2_000, 4_000]);
    expect(rows()).toMatchObject([{ state: 'told', attempts: 4 }]);
  });

  it('gets no event before its retryAfterMs is over, while other sinks do', async () => {
    const slack = recorder('slack', (nth) =>
      nth === 1 ? Promise.reject(new SinkError('busy', { status: 429, retryAfterMs: 5 * minutes })) : undefined,
    );
    const audit = recorder('audit');
    const { deliver } = setUp(open, { sinks: [slack.sink, audit.sink] });
    await Promise.all([deliver(), settled()]);
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(5 * minutes - 1 * seconds);
    expect([slack.calls.length, audit.calls.length]).toEqual([1, 2]);
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(slack.calls).toHaveLength(3);
  });

  it('gets no event before its retryAfterMs is over, also from the next process', async () => {
    const busy = recorder('slack', () => Promise.reject(new SinkError('busy', { retryAfterMs: 5 * minutes })));
    const first = setUp(open, { sinks: [busy.sink] });
    await Promise.all([first.deliver(), settled()]);
    first.crash();
    const slack = recorder('slack');
    setUp(open, { sinks: [slack.sink] }, first.file);
    await vi.advanceTimersByTimeAsync(5 * minutes - 1 * seconds);
    expect(slack.calls).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(slack.calls).toHaveLength(1);
  });

  it.each([
    ['it failed', new Error('no')],
    ['it asked for 20 s', new SinkError('busy', { retryAfterMs: 20 * seconds })],
  ])('does not wait an hour longer when the clock is put back by one, and %s', async (_why, error) => {
    const slack = recorder('slack', (nth) => (nth === 1 ? Promise.reject(error) : undefined));
    const { deliver, rows } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    expect(rows()).toMatchObject([{ state: 'due', attempts: 1 }]);
    vi.setSystemTime(Date.now() - 60 * minutes);
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(rows()).toMatchObject([{ state: 'told', attempts: 2 }]);
  });

  it('is not told again by another process because the clock is put back', async () => {
    const slack = slow('slack');
    const first = setUp(open, { sinks: [slack.sink] });
    await Promise.all([first.deliver(), settled()]);
    const second = slow('slack');
    setUp(open, { sinks: [second.sink] }, first.file, await anotherProcess());
    await settled();
    vi.setSystemTime(Date.now() - 60 * minutes);
    await vi.advanceTimersByTimeAsync(1 * minutes);
    expect([slack.calls.length, second.calls.length]).toEqual([1, 0]);
  });

  it('may want longer than the longest wait, and shorter than the wait that is due', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999_999);
    expect(await waits(2, new SinkError('busy', { retryAfterMs: 60 * minutes }))).toEqual([60 * minutes, 60 * minutes]);
    expect(await waits(3, new SinkError('busy', { retryAfterMs: 1_500 }))).toEqual([1_500, 2_000, 4_000]);
  });

  it.each([0, -1, Number.NaN, '60', undefined])('may have a nonsensical retryAfterMs: %s', async (retryAfterMs) => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const slack = recorder('slack', (nth) => {
      if (nth === 1) throw Object.assign(new Error('busy'), { retryAfterMs });
      if (nth === 2) throw new SinkError('busy', { retryAfterMs: 1 * minutes });
    });
    const { deliver } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(1 * seconds);
    expect(slack.calls).toHaveLength(2);
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(55 * seconds);
    expect(slack.calls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(10 * seconds);
    expect(slack.calls).toHaveLength(4);
  });

  it.each([
    ['a rejection with nothing', () => Promise.reject()],
    ['a string', () => Promise.reject('down')],
    ['an object', () => Promise.reject({ code: 500 })],
  ])('may fail with anything: %s', async (_what, answer) => {
    const slack = recorder('slack', (nth) => (nth === 1 ? answer() : undefined));
    const { deliver, errors } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(slack.calls).toHaveLength(2);
    expect(errors).toEqual([]);
  });
});

describe.each(sqliteHandles())('on $client: a dead letter', ({ open }) => {
  const gone = () => Promise.reject(new SinkError('the channel is gone', { status: 404, permanent: true }));

  it('is an event that fails for good, at once, and onError gets it', async () => {
    const slack = recorder('slack', gone);
    const audit = recorder('audit');
    const { deliver, outbox, errors, rows } = setUp(open, { sinks: [slack.sink, audit.sink] });
    const { event, context } = anEvent();
    await Promise.all([deliver({ event, context }), settled()]);
    await vi.advanceTimersByTimeAsync(60 * minutes);
    expect([slack.calls.length, audit.calls.length]).toEqual([1, 1]);
    expect(rows().map(({ state }) => state)).toEqual(['dead', 'told']);
    const [letter, ...others] = await lettersOf(outbox);
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      id: event.event_id,
      sink: 'slack',
      attempts: 1,
      error: 'the channel is gone',
      failedAt: slack.calls[0]?.at,
      delivery: { ...context.delivery, rawBody: expect.anything() },
    });
    expect(errors).toEqual([
      { id: event.event_id, sink: 'slack', message: expect.stringContaining('the channel is gone') },
    ]);
  });

  it('is no event that fails for good with giveUpOnPermanent: false', async () => {
    const slack = recorder('slack', gone);
    const { deliver, outbox } = setUp(open, { sinks: [slack.sink], giveUpOnPermanent: false });
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(10 * seconds);
    expect(slack.calls.length).toBeGreaterThan(2);
    expect(await lettersOf(outbox)).toEqual([]);
  });

  it('is an event that could not be delivered for three days', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const slack = recorder('slack', () => Promise.reject(new Error('down')));
    const { deliver, outbox, rows, errors } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    const since = Date.now();
    while (rows()[0]?.state === 'due') await sleepUntil(rows()[0]?.due_at ?? 0);
    const lastAt = slack.calls.at(-1)?.at ?? 0;
    expect(lastAt).toBeGreaterThan(since + 3 * days - 15 * minutes);
    expect(lastAt).toBeLessThan(since + 3 * days);
    expect(await lettersOf(outbox)).toMatchObject([{ attempts: slack.calls.length, error: 'down' }]);
    expect(errors).toHaveLength(1);
  });

  it('is an event that could not be delivered for giveUpAfterMs after it arrived', async () => {
    const slack = recorder('slack', () => Promise.reject(new Error('down')));
    const { deliver, outbox } = setUp(open, { sinks: [slack.sink], giveUpAfterMs: 20 * seconds, maxBackoffMs: 1_000 });
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(18 * seconds);
    expect(await lettersOf(outbox)).toEqual([]);
    await vi.advanceTimersByTimeAsync(4 * seconds);
    expect(await lettersOf(outbox)).toHaveLength(1);
  });

  it('is an event whose sink asks for a longer wait than that', async () => {
    const slack = recorder('slack', () => Promise.reject(new SinkError('busy', { retryAfterMs: 4 * days })));
    const { deliver, outbox } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    expect(await lettersOf(outbox)).toMatchObject([{ attempts: 1, error: 'busy' }]);
  });

  it('stays dead, however often its event is delivered, however long ago, and over a restart', async () => {
    const slack = recorder('slack', gone);
    const first = setUp(open, { sinks: [slack.sink] });
    const event = anEvent();
    await Promise.all([first.deliver(event), settled()]);
    await Promise.all([first.deliver(event), settled()]);
    await sleepUntil(Date.now() + 30 * days);
    first.crash();
    const second = setUp(open, { sinks: [slack.sink] }, first.file);
    for (let i = 0; i < 200; i++) await Promise.all([second.deliver(event), settled()]);
    expect(slack.calls).toHaveLength(1);
    expect(await lettersOf(second.outbox)).toMatchObject([{ id: event.event.event_id }]);
  });

  it('stands in the order in which they were given up', async () => {
    const slack = recorder('slack', gone);
    const { deliver, outbox } = setUp(open, { sinks: [slack.sink] });
    const deliveries = [anEvent(), anEvent(), anEvent()];
    for (const delivery of deliveries) {
      await Promise.all([deliver(delivery), settled()]);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect((await lettersOf(outbox)).map(({ id }) => id)).toEqual(deliveries.map(({ event }) => event.event_id));
  });

  it('is delivered by redeliver(id) to the sinks that it had not reached, with all attempts again', async () => {
    let isGone = true;
    const slack = recorder('slack', () => (isGone ? gone() : undefined));
    const audit = recorder('audit');
    const { deliver, outbox } = setUp(open, { sinks: [slack.sink, audit.sink] });
    const event = anEvent();
    await Promise.all([deliver(event), deliver(), settled()]);
    await sleepUntil(Date.now() + 10 * days);
    isGone = false;
    expect(await outbox.redeliver('event of nobody')).toBe(0);
    expect(await outbox.redeliver(event.event.event_id)).toBe(1);
    expect(await outbox.redeliver(event.event.event_id)).toBe(0);
    await settled();
    expect(slack.ids().slice(2)).toEqual([event.event.event_id]);
    expect(audit.calls).toHaveLength(2);
    expect(await lettersOf(outbox)).toHaveLength(1);
  });

  it('is delivered by redeliver(), as are all others, and is retried as long as a new event', async () => {
    const slack = recorder('slack', (nth) => (nth <= 3 ? gone() : Promise.reject(new Error('down'))));
    const { deliver, outbox, rows } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), deliver(), deliver(), settled()]);
    await sleepUntil(Date.now() + 10 * days);
    expect(await outbox.redeliver()).toBe(3);
    await settled();
    expect(slack.calls).toHaveLength(6);
    expect(rows().map(({ state, attempts }) => [state, attempts])).toEqual(Array(3).fill(['due', 1]));
    expect(await lettersOf(outbox)).toEqual([]);
    expect(await outbox.redeliver()).toBe(0);
  });

  it('says the whole error in few words, however long it is', async () => {
    const slack = recorder('slack', () => Promise.reject(new SinkError('x'.repeat(1_000_000), { permanent: true })));
    const { deliver, outbox } = setUp(open, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    expect((await lettersOf(outbox))[0]?.error.length).toBeLessThanOrEqual(1_000);
  });

  it('can be a row that cannot be read, which delays no other row', async () => {
    const slack = recorder('slack');
    const first = setUp(open, { sinks: [slack.sink] });
    await settled();
    await first.outbox.close();
    const event = anEvent();
    const { context } = anEvent();
    const foreign = { ...context.delivery, provider: 'of a later version' };
    const second = setUp(open, { sinks: [slack.sink], concurrency: 1 }, first.file);
    await Promise.all([second.deliver({ ...event, context: { ...context, delivery: foreign } }), settled()]);
    await Promise.all([second.deliver(), settled()]);
    expect(slack.calls).toHaveLength(1);
    expect(await lettersOf(second.outbox)).toMatchObject([
      { id: foreign.id, error: expect.stringContaining('of a later version') },
    ]);
    expect(second.errors).toHaveLength(1);
  });

  it.each(['attempts', 'since', 'failed_at'])(
    'can be a row with an impossible %s, which stops no other row',
    async (column) => {
      const slow = recorder('slack', () => new Promise(() => {}));
      const first = setUp(open, { sinks: [slow.sink] });
      await Promise.all([first.deliver(), settled()]);
      first.reader.exec(`UPDATE vast_webhook_outbox SET ${column} = 1e18, token = NULL, due_at = 0`);
      first.crash();
      const slack = recorder('slack');
      const second = setUp(open, { sinks: [slack.sink] }, first.file);
      await Promise.all([second.deliver(), settled()]);
      expect(slack.calls).toHaveLength(2);
      expect(second.errors).toEqual([]);
    },
  );

  it('is reported although onError throws', async () => {
    const slack = recorder('slack', gone);
    const { deliver, outbox } = setUp(open, {
      sinks: [slack.sink],
      onError() {
        throw new Error('no log');
      },
    });
    await Promise.all([deliver(), deliver(), settled()]);
    expect(await lettersOf(outbox)).toHaveLength(2);
  });

  it('is reported on console.error by default, with its event and sink on one line', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    const slack = recorder('slack', gone);
    const { deliver } = setUp(open, { sinks: [slack.sink], onError: undefined });
    const event = anEvent();
    await Promise.all([deliver(event), settled()]);
    expect(log).toHaveBeenCalledExactlyOnceWith(
      expect.stringMatching(/^vast-webhook: .*"slack".*the channel is gone$/),
    );
    expect(log.mock.calls[0]?.[0]).toContain(event.event.event_id);
  });
});

describe.each(sqliteHandles())('on $client: a handle whose integers are of type bigint', ({ open }) => {
  it('does', async () => {
    const slack = recorder('slack', (nth) => (nth === 1 ? Promise.reject(new Error('down')) : undefined));
    const bigints: typeof open = (file) => {
      const db = open(file) as ReturnType<typeof open> & { defaultSafeIntegers?(): void };
      db.defaultSafeIntegers?.();
      const prepare = db.prepare.bind(db);
      const close = db.close.bind(db);
      return {
        exec: db.exec.bind(db),
        close,
        prepare(sql) {
          const statement = prepare(sql) as ReturnType<typeof prepare> & { setReadBigInts?(enabled: boolean): void };
          statement.setReadBigInts?.(true);
          return statement;
        },
      };
    };
    const { deliver, rows } = setUp(bigints, { sinks: [slack.sink] });
    await Promise.all([deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(slack.calls).toHaveLength(2);
    expect(rows()).toMatchObject([{ state: 'told' }]);
  });
});
