import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SinkError, when } from '../../src/index.js';
import { type AlertEvent, type AlertingOptions, alerting, pagerDuty } from '../../src/sinks/index.js';
import { anEvent } from '../outbox/set-up.js';
import { pagerDutyStandIn } from '../support/chat-stand-in.js';

const minutes = 60_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A sink behind `alerting`, and what the alert sink hears. */
function setUp(options: Partial<AlertingOptions> = {}, answer: (nth: number) => unknown = () => {}) {
  const events: AlertEvent[] = [];
  const errors: string[] = [];
  let attempts = 0;
  let down = false;
  const [sink] = alerting(
    {
      sink: {
        name: 'alert',
        async deliver(event) {
          await answer(++attempts);
          events.push(event);
        },
      },
      onError: ({ message }, { sink: name }) => errors.push(`${name}: ${message}`),
      ...options,
    },
    [
      async function slack() {
        if (down) throw new SinkError('Slack answered 503');
      },
    ],
  );
  return {
    events,
    errors,
    sink,
    attempts: () => attempts,
    heard: () => events.map(({ notif_type }) => notif_type),
    async deliver(isDown: boolean) {
      down = isDown;
      const { event, context } = anEvent();
      const result = await Promise.resolve(sink?.deliver(event, context)).then(
        () => 'delivered',
        ({ message }: Error) => message,
      );
      await vi.advanceTimersByTimeAsync(0);
      return result;
    },
  };
}

describe('alerting', () => {
  it('says once that a sink keeps failing, and once that it works again', async () => {
    const { deliver, events, heard } = setUp();
    expect(await deliver(false)).toBe('delivered');
    for (let minute = 0; minute < 5; minute++) {
      expect(await deliver(true)).toBe('Slack answered 503');
      await vi.advanceTimersByTimeAsync(1 * minutes);
    }
    expect(events).toEqual([]);
    await deliver(true);
    await deliver(true);
    expect(events).toMatchObject([
      {
        notif_type: 'sink_failing',
        subject: 'The sink slack has failed for 5 minutes',
        message: 'No event was delivered, and 6 attempts failed.\nThe last error: Slack answered 503',
        sink: 'slack',
        failures: 6,
      },
    ]);
    await vi.advanceTimersByTimeAsync(60 * minutes);
    await deliver(true);
    expect(await deliver(false)).toBe('delivered');
    expect(heard()).toEqual(['sink_failing', 'sink_recovered']);
    expect(events[1]).toMatchObject({ subject: 'The sink slack works again after 65 minutes', severity: 'info' });
    await deliver(false);
    expect(events).toHaveLength(2);
  });

  it('counts from the last success', async () => {
    const { deliver, events } = setUp({ afterMs: 2 * minutes });
    for (let n = 0; n < 5; n++) {
      await deliver(true);
      await vi.advanceTimersByTimeAsync(1.5 * minutes);
      await deliver(false);
      await vi.advanceTimersByTimeAsync(1.5 * minutes);
    }
    expect(events).toEqual([]);
  });

  it('retries an alert with backoff, and drops it when the sink works again', async () => {
    const failing = setUp({}, () => {
      throw new Error('the alert sink is down');
    });
    await failing.deliver(true);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    await failing.deliver(true);
    await vi.advanceTimersByTimeAsync(60 * minutes);
    const attempts = failing.attempts();
    expect(attempts).toBeGreaterThan(5);
    expect(attempts).toBeLessThan(60);
    await failing.deliver(false);
    await vi.advanceTimersByTimeAsync(24 * 60 * minutes);
    expect(failing.attempts()).toBe(attempts);
    expect(failing.errors).toEqual([]);
  });

  it('reports an alert that is refused for good, or fails for a day', async () => {
    const permanent = setUp({}, () => {
      throw new SinkError('no such chat', { permanent: true });
    });
    const always = setUp({}, () => {
      throw new Error('down');
    });
    for (const each of [permanent, always]) await each.deliver(true);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    for (const each of [permanent, always]) await each.deliver(true);
    expect(permanent.errors).toEqual(['alert: the alert about "slack" is given up: no such chat']);
    await vi.advanceTimersByTimeAsync(24 * 60 * minutes);
    expect(always.errors).toEqual(['alert: the alert about "slack" is given up: down']);
    await permanent.deliver(false);
    expect(permanent.events).toEqual([]);
  });

  it('delays no event while the alert sink hangs, and goes on after five minutes', async () => {
    const { deliver, heard, attempts } = setUp({}, (nth) => (nth === 1 ? new Promise(() => {}) : undefined));
    await deliver(true);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    expect(await deliver(true)).toBe('Slack answered 503');
    expect(await deliver(true)).toBe('Slack answered 503');
    await vi.advanceTimersByTimeAsync(4 * minutes);
    expect(attempts()).toBe(1);
    await vi.advanceTimersByTimeAsync(2 * minutes);
    expect(heard()).toEqual(['sink_failing']);
  });

  it('flushes a running alert, and does not wait for a later one', async () => {
    let settle = () => {};
    const { deliver, sink } = setUp({}, () => new Promise<void>((resolve) => (settle = resolve)));
    await deliver(true);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    await deliver(true);
    let isFlushed = false;
    const flushed = Promise.resolve(sink?.flush?.()).then(() => {
      isFlushed = true;
    });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(isFlushed).toBe(false);
    settle();
    await flushed;
  });

  it('honours when() around the alert sink, whose types are those of alerts', async () => {
    const heard: string[] = [];
    const record = function record({ notif_type }: AlertEvent) {
      heard.push(notif_type);
    };
    const { deliver } = setUp({ sink: when<AlertEvent>('sink_recovered', record) });
    await deliver(true);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    await deliver(true);
    await deliver(false);
    // Nothing has heard of the failure.
    expect(heard).toEqual([]);
    const both = setUp({ sink: when<AlertEvent>('sink_*', record) });
    await both.deliver(true);
    await vi.advanceTimersByTimeAsync(5 * minutes);
    await both.deliver(true);
    await both.deliver(false);
    expect(heard).toEqual(['sink_failing', 'sink_recovered']);
  });

  it.each([
    [undefined, 'the options must be an object'],
    [{}, 'a sink must be a named function'],
    [{ sink: setUp().sink, afterMs: 25 * 60 * minutes }, 'alerting: the option afterMs must be'],
    [{ sink: setUp().sink, afterMs: 1, alert: 3 }, 'alerting: unknown option "alert" (valid: sink, afterMs, onError)'],
  ])('refuses %j', (options, message) => {
    expect(() => alerting(options as never, [])).toThrow(TypeError);
    expect(() => alerting(options as never, [])).toThrow(message);
  });
});

describe('PagerDuty as an alert sink', () => {
  it('resolves the alert when the sink works again', async () => {
    vi.useRealTimers();
    const standIn = await pagerDutyStandIn();
    let down = true;
    const [sink] = alerting({ sink: pagerDuty(standIn.token, { url: standIn.url }), afterMs: 1 }, [
      async function slack() {
        if (down) throw new Error('down');
      },
    ]);
    const { event, context } = anEvent();
    await vi.waitUntil(async () => {
      await Promise.resolve(sink?.deliver(event, context)).catch(() => {});
      return standIn.messages.length === 1;
    });
    down = false;
    await sink?.deliver(event, context);
    await vi.waitUntil(() => standIn.messages.length === 2);
    expect(standIn.messages).toMatchObject([
      { event_action: 'trigger', dedup_key: 'vast:sink_failing:sink:slack', payload: { source: 'sink slack' } },
      { event_action: 'resolve', dedup_key: 'vast:sink_failing:sink:slack' },
    ]);
    await standIn.close();
  });
});
