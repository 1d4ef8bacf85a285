import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type SinkContext, SinkError } from '../../src/index.js';
import { type AlertEvent, digest, slack, sqliteOutbox } from '../../src/sinks/index.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { sqliteHandles } from '../support/sqlite.js';
import { temporaryFile } from '../support/temporary-file.js';
import { anEvent, anotherProcess, minutes, seconds, settled, setUp } from './set-up.js';

/** An alert sink that records what it gets. */
function alertSink(answer: (nth: number) => unknown = () => {}) {
  const events: AlertEvent[] = [];
  let attempts = 0;
  return {
    events,
    attempts: () => attempts,
    heard: () => events.map(({ notif_type, sink }) => `${notif_type} ${sink}`),
    sink: {
      name: 'alert',
      async deliver(event: AlertEvent, _: SinkContext) {
        await answer(++attempts);
        events.push(event);
      },
    },
  };
}

/** A sink that fails while `down` is set. */
function flaky(name: string) {
  const sink = {
    name,
    down: undefined as Error | undefined,
    delivered: 0,
    deliver() {
      if (sink.down !== undefined) throw sink.down;
      sink.delivered++;
    },
  };
  return sink;
}

const down = () => new SinkError('Slack answered 503', { status: 503 });

describe.each(sqliteHandles())('on $client: the alert sink of an outbox', ({ open }) => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('hears once of a sink that has failed for afterMs, and once of its recovery', async () => {
    const chat = flaky('slack');
    const alert = alertSink();
    const { deliver, errors } = setUp(open, { sinks: [chat], alert: { sink: alert.sink } });
    await Promise.all([deliver(), settled()]);
    expect(chat.delivered).toBe(1);
    chat.down = down();
    const since = Date.now();
    await Promise.all([deliver(), deliver(), deliver(), settled()]);
    await vi.advanceTimersByTimeAsync(5 * minutes - 1 * seconds);
    expect(alert.heard()).toEqual([]);
    await vi.advanceTimersByTimeAsync(2 * seconds);
    expect(alert.heard()).toEqual(['sink_failing slack']);
    expect(alert.events[0]).toMatchObject({
      event_id: expect.stringMatching(/^sink_failing:[\da-f]{64}$/),
      severity: 'error',
      subject: 'The sink slack has failed for 5 minutes',
      waiting: 3,
      failures: expect.any(Number),
    });
    expect(alert.events[0]?.message).toMatch(
      /^No event was delivered, and \d+ attempts failed\.\n3 events wait in the outbox\.\nThe last error: Slack answered 503$/,
    );
    expect((alert.events[0]?.failing_since ?? 0) - since).toBeLessThan(2 * seconds);
    await vi.advanceTimersByTimeAsync(60 * minutes);
    expect(alert.events).toHaveLength(1);
    chat.down = undefined;
    await vi.advanceTimersByTimeAsync(16 * minutes);
    expect(alert.heard()).toEqual(['sink_failing slack', 'sink_recovered slack']);
    expect(alert.events[1]).toMatchObject({ severity: 'info', waiting: expect.any(Number) });
    expect(chat.delivered).toBe(4);
    await vi.advanceTimersByTimeAsync(60 * minutes);
    expect(alert.events).toHaveLength(2);
    expect(errors).toEqual([]);
  });

  it('hears nothing of a sink that works again in time, and again of a second outage', async () => {
    const chat = flaky('slack');
    const alert = alertSink();
    const { deliver } = setUp(open, { sinks: [chat], alert: { sink: alert.sink, afterMs: 10 * minutes } });
    for (const length of [8 * minutes, 8 * minutes, 12 * minutes, 12 * minutes]) {
      chat.down = down();
      await Promise.all([deliver(), vi.advanceTimersByTimeAsync(length)]);
      chat.down = undefined;
      await vi.advanceTimersByTimeAsync(16 * minutes);
    }
    const twice = ['sink_failing slack', 'sink_recovered slack'];
    expect(alert.heard().slice(-4)).toEqual([...twice, ...twice]);
    expect(new Set(alert.events.map(({ event_id }) => event_id)).size).toBe(alert.events.length);
  });

  it('hears of each of several sinks', async () => {
    const chats = ['a', 'b', 'c'].map(flaky);
    const alert = alertSink();
    const { deliver } = setUp(open, { sinks: chats, alert: { sink: alert.sink } });
    for (const chat of chats.slice(0, 2)) chat.down = down();
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(6 * minutes)]);
    expect(alert.heard()).toEqual(['sink_failing a', 'sink_failing b']);
    expect(chats[2]?.delivered).toBe(1);
  });

  it('does not hear of one event that is refused for good, but of a sink that refuses each', async () => {
    const chat = flaky('slack');
    const alert = alertSink();
    const { deliver } = setUp(open, { sinks: [chat], alert: { sink: alert.sink }, onError() {} });
    chat.down = new SinkError('Slack answered 404', { permanent: true });
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(30 * minutes)]);
    expect(alert.heard()).toEqual([]);
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(1 * seconds)]);
    expect(alert.heard()).toEqual(['sink_failing slack']);
    expect(alert.events[0]).toMatchObject({ waiting: 0, dead: 2, failures: 2 });
    expect(alert.events[0]?.message).not.toContain('wait');
    expect(alert.events[0]?.message).toContain('2 events given up');
    chat.down = undefined;
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(1 * seconds)]);
    expect(alert.events[1]).toMatchObject({ notif_type: 'sink_recovered', waiting: 0, dead: 2 });
    expect(alert.events[1]?.message).toContain('2 events given up');
  });

  it('may fail itself: it is retried with backoff, and delays no event', async () => {
    const chat = flaky('slack');
    const works = flaky('works');
    const alert = alertSink((nth) => {
      if (nth < 4) throw new Error('the alert sink is down');
    });
    const { deliver } = setUp(open, { sinks: [chat, works], alert: { sink: alert.sink } });
    chat.down = down();
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(30 * minutes)]);
    expect(alert.heard()).toEqual(['sink_failing slack']);
    expect(alert.attempts()).toBe(4);
    expect(works.delivered).toBe(1);
  });

  it('hears of no outage that ended before it could be reached', async () => {
    const chat = flaky('slack');
    let reachable = false;
    const alert = alertSink(() => {
      if (!reachable) throw new Error('the alert sink is down');
    });
    const { deliver, outbox } = setUp(open, { sinks: [chat], alert: { sink: alert.sink } });
    chat.down = down();
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(10 * minutes)]);
    expect(alert.attempts()).toBeGreaterThan(1);
    chat.down = undefined;
    await vi.advanceTimersByTimeAsync(16 * minutes);
    reachable = true;
    await vi.advanceTimersByTimeAsync(60 * minutes);
    expect(alert.heard()).toEqual([]);
    expect(await outbox.stats()).toEqual([
      { sink: 'slack', orphaned: false, due: 0, dead: 0 },
      { sink: 'alert', orphaned: false, due: 0, dead: 0 },
    ]);
  });

  it('hears nothing twice after restarts, and of a recovery after one', async () => {
    const file = temporaryFile('outbox.sqlite');
    const chat = flaky('slack');
    const alert = alertSink();
    const options = { sinks: [chat], alert: { sink: alert.sink } };
    const first = setUp(open, options, file);
    chat.down = down();
    await Promise.all([first.deliver(), vi.advanceTimersByTimeAsync(6 * minutes)]);
    expect(alert.heard()).toEqual(['sink_failing slack']);
    await Promise.all([first.outbox.close(), settled()]);
    const second = setUp(open, options, file);
    await Promise.all([second.deliver(), vi.advanceTimersByTimeAsync(30 * minutes)]);
    second.crash();
    setUp(open, options, file);
    await vi.advanceTimersByTimeAsync(30 * minutes);
    expect(alert.events).toHaveLength(1);
    chat.down = undefined;
    await vi.advanceTimersByTimeAsync(16 * minutes);
    expect(alert.heard()).toEqual(['sink_failing slack', 'sink_recovered slack']);
  });

  it('hears of a recovery that came while the outbox was closing', async () => {
    const file = temporaryFile('outbox.sqlite');
    const chat = flaky('slack');
    const alert = alertSink();
    const options = { sinks: [chat], alert: { sink: alert.sink } };
    const first = setUp(open, options, file);
    chat.down = down();
    await Promise.all([first.deliver(), vi.advanceTimersByTimeAsync(6 * minutes)]);
    expect(alert.heard()).toEqual(['sink_failing slack']);
    let go: (() => void) | undefined;
    const { deliver } = chat;
    const slow = () =>
      new Promise<void>((resolve) => {
        go = resolve;
      });
    Object.assign(chat, { down: undefined, deliver: slow });
    while (go === undefined) await vi.advanceTimersByTimeAsync(10 * seconds);
    const closing = first.outbox.close();
    go();
    await Promise.all([closing, vi.advanceTimersByTimeAsync(1 * seconds)]);
    Object.assign(chat, { deliver });
    setUp(open, options, file);
    await vi.advanceTimersByTimeAsync(1 * seconds);
    expect(alert.heard()).toEqual(['sink_failing slack', 'sink_recovered slack']);
  });

  it('counts no failures of a time without it', async () => {
    const file = temporaryFile('outbox.sqlite');
    const chat = flaky('slack');
    const alert = alertSink();
    const watched = { sinks: [chat], alert: { sink: alert.sink }, onError() {} };
    const run = async (options: Parameters<typeof setUp>[1]) => {
      const { deliver, outbox } = setUp(open, options, file);
      await Promise.all([deliver(), vi.advanceTimersByTimeAsync(3 * minutes)]);
      await Promise.all([outbox.close(), settled()]);
    };
    chat.down = new SinkError('Slack answered 404', { permanent: true });
    await run(watched);
    chat.down = undefined;
    await run({ sinks: [chat] });
    chat.down = new SinkError('Slack answered 404', { permanent: true });
    await run(watched);
    expect(alert.heard()).toEqual([]);
  });

  it('hears once, whichever of several processes on the file fails', async () => {
    const file = temporaryFile('outbox.sqlite');
    const chat = flaky('slack');
    const alert = alertSink();
    const options = { sinks: [chat], alert: { sink: alert.sink } };
    const processes = [setUp(open, options, file)];
    for (let n = 0; n < 2; n++) processes.push(setUp(open, options, file, await anotherProcess()));
    chat.down = down();
    const delivering = processes.map(({ deliver }) => deliver());
    await Promise.all([...delivering, vi.advanceTimersByTimeAsync(20 * minutes)]);
    expect(alert.heard()).toEqual(['sink_failing slack']);
    chat.down = undefined;
    await vi.advanceTimersByTimeAsync(20 * minutes);
    expect(alert.heard()).toEqual(['sink_failing slack', 'sink_recovered slack']);
    expect(chat.delivered).toBe(3);
  });

  it('hears later when the file could not be written, and no event is lost', async () => {
    const chat = flaky('slack');
    const alert = alertSink();
    const { deliver, faults, errors } = setUp(open, { sinks: [chat], alert: { sink: alert.sink } });
    chat.down = down();
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(4 * minutes)]);
    faults.set('BEGIN IMMEDIATE', new Error('database is locked'));
    await vi.advanceTimersByTimeAsync(4 * minutes);
    expect(alert.heard()).toEqual([]);
    faults.clear();
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(alert.heard()).toEqual(['sink_failing slack']);
    expect(errors).toEqual([{ message: 'database is locked' }]);
  });

  it('is closed with the outbox, in the middle of an alert, which is kept', async () => {
    const file = temporaryFile('outbox.sqlite');
    const chat = flaky('slack');
    const hanging = alertSink(() => new Promise(() => {}));
    const first = setUp(open, { sinks: [chat], alert: { sink: hanging.sink } }, file);
    chat.down = down();
    await Promise.all([first.deliver(), vi.advanceTimersByTimeAsync(6 * minutes)]);
    expect(hanging.attempts()).toBe(1);
    await Promise.all([first.outbox.close(100), vi.advanceTimersByTimeAsync(1 * seconds)]);
    first.handle.close();
    const alert = alertSink();
    setUp(open, { sinks: [chat], alert: { sink: alert.sink } }, file);
    await vi.advanceTimersByTimeAsync(2 * minutes);
    expect(alert.heard()).toEqual(['sink_failing slack']);
  });

  it('may batch, may be narrowed, and gets no other event', async () => {
    const chats = ['a', 'b'].map(flaky);
    const alert = alertSink();
    const { deliver, outbox } = setUp(open, {
      sinks: chats,
      alert: { sink: digest({ everyMs: 10 * seconds }, alert.sink) as never },
    });
    await Promise.all([deliver(), settled()]);
    for (const chat of chats) chat.down = down();
    await Promise.all([deliver(), vi.advanceTimersByTimeAsync(6 * minutes)]);
    expect(alert.events).toMatchObject([{ notif_type: 'digest', subject: '2 notifications: 2 × sink_failing' }]);
    expect((await outbox.stats()).find(({ sink }) => sink === 'alert')).toMatchObject({ due: 0, dead: 0 });
  });

  it('rows of another outbox on the table are not its own', async () => {
    const file = temporaryFile('outbox.sqlite');
    const chat = flaky('slack');
    const alerts = [alertSink(), alertSink()];
    const [first, second] = alerts.map(({ sink }, n) =>
      setUp(open, { name: `outbox-${n}`, sinks: [chat], alert: { sink } }, file),
    );
    chat.down = down();
    await Promise.all([first?.deliver(), vi.advanceTimersByTimeAsync(6 * minutes)]);
    expect(alerts.map(({ heard }) => heard())).toEqual([['sink_failing slack'], []]);
    expect(await second?.outbox.stats()).toMatchObject([{ due: 0 }, { due: 0 }]);
  });
});

describe('the option alert', () => {
  const [{ open }] = sqliteHandles() as [ReturnType<typeof sqliteHandles>[number]];
  const refused = (alert: unknown) => () =>
    sqliteOutbox(open(temporaryFile('outbox.sqlite')), { sinks: [flaky('slack')], alert: alert as never });

  it.each([
    [3, 'alert: the options must be an object'],
    [{}, 'a sink must be a named function'],
    [{ sink: flaky('slack') }, 'two sinks are named "slack"'],
    [{ sink: flaky('alert'), afterMs: 0 }, 'alert: the option afterMs must be a whole number of milliseconds'],
    [{ sink: flaky('alert'), after: 3 }, 'alert: unknown option "after" (valid: sink, afterMs)'],
  ])('%j is refused', (alert, message) => {
    expect(refused(alert)).toThrow(TypeError);
    expect(refused(alert)).toThrow(message);
  });

  it('takes a chat, whose message shows the alert', async () => {
    const chat = await slackStandIn();
    const outbox = sqliteOutbox(open(temporaryFile('outbox.sqlite')), {
      sinks: [
        function down() {
          throw new Error('it is down');
        },
      ],
      alert: { sink: slack(chat.url), afterMs: 50 },
    });
    const { event, context } = anEvent();
    await outbox.deliver(event, context);
    await vi.waitUntil(() => chat.messages.length === 1);
    expect(chat.messages[0]?.text).toMatch(
      /^The sink down has failed for 1 second\nNo event was delivered, and \d+ attempts? failed\./,
    );
    await outbox.close(1_000);
    await chat.close();
  });
});
