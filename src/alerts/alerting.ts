import { randomUUID } from 'node:crypto';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import { toError } from '../contracts/errors.js';
import type { ErrorContext } from '../contracts/result.js';
import { maxWorkMs, type Sink, type SinkFunction, toSink, toSinks, wrapSink } from '../contracts/sink.js';
import { logError } from '../log.js';
import type { AlertEvent } from '../providers/alerts.js';
import type { VastEvent } from '../providers/vast.js';
import { type Backoff, waitAfter } from '../util/backoff.js';
import { aFunction, anything, checkOptions } from '../util/check-options.js';
import { type Clock, systemClock, type Timer } from '../util/clock.js';
import { type Hold, SharedWork } from '../util/shared-work.js';
import { swallowErrors } from '../util/swallow-errors.js';
import { type AlertOptions, alertAfterMs, alertOf, defaultAlertAfterMs, type Outage } from './outage.js';

/** Options of `alerting`. */
export interface AlertingOptions extends AlertOptions {
  /** Called when an alert could not be delivered for a day, or was refused for good. Default: `console.error`. */
  readonly onError?: (error: Error, context: ErrorContext) => unknown;
}

/**
 * Wraps sinks so that another sink hears of it when one of them keeps failing, and when it works again. For sinks of a
 * middleware or a forwarder. An outbox has the option `alert`, which also survives restarts and counts waiting events.
 * Alerts are delivered in the background, and never delay an event. They are lost if the process ends.
 * Throws a `TypeError` for an invalid option.
 */
export function alerting<Event = VastEvent>(
  options: AlertingOptions,
  sinks: readonly (Sink<Event> | SinkFunction<Event>)[],
): Sink<Event>[] {
  checkOptions(options, { sink: anything, afterMs: alertAfterMs, onError: aFunction }, 'alerting');
  const settings: Settings = {
    alertSink: toSink(options.sink),
    afterMs: options.afterMs ?? defaultAlertAfterMs,
    onError: swallowErrors(options.onError ?? logError),
    clock: systemClock,
  };
  return toSinks(sinks).map((sink) => watched(sink, new Watch(sink.name, settings)));
}

function watched<Event>(sink: Sink<Event>, watch: Watch): Sink<Event> {
  return wrapSink(sink, {
    async deliver(event, context) {
      try {
        await sink.deliver(event, context);
      } catch (error) {
        watch.failed(toError(error), context.waitUntil);
        throw error;
      }
      watch.delivered(context.waitUntil);
    },
    async flush() {
      await sink.flush?.();
      await watch.flush();
    },
  });
}

interface Settings {
  readonly alertSink: Sink<AlertEvent>;
  readonly afterMs: number;
  readonly onError: (error: Error, context: ErrorContext) => void;
  readonly clock: Clock;
}

const backoff: Backoff = {
  minBackoffMs: 1_000,
  maxBackoffMs: 15 * 60_000,
  giveUpAfterMs: 24 * 60 * 60_000,
  giveUpOnPermanent: true,
};

/** Names this process in alert ids, because each process without an outbox has alerts of its own. */
let scope: string | undefined;

/** An alert that is to be delivered. */
interface Alert {
  /** Makes its event afresh for each attempt. False if it must not be delivered any more. */
  make(): ReceivedDelivery<AlertEvent> | false;
  startedAt: number | undefined;
  attempts: number;
  wasDelivered: boolean;
}

/** Knows how one sink fares. Its alerts are delivered one after the other, in their order. */
class Watch {
  readonly #sink: string;
  readonly #settings: Settings;
  readonly #work: SharedWork;
  readonly #alerts: Alert[] = [];
  #outage: { since: number; startedAt: number; failures: number; error: string } | undefined;
  /** The alert about the outage. */
  #alert: Alert | undefined;
  #attempt: Promise<unknown> | undefined;

  constructor(sink: string, settings: Settings) {
    this.#sink = sink;
    this.#settings = settings;
    this.#work = new SharedWork(settings.clock, () => this.#deliverAll());
  }

  failed({ message }: Error, hold: Hold | undefined): void {
    const { clock, afterMs } = this.#settings;
    this.#outage ??= { since: clock.date(), startedAt: clock.now(), failures: 0, error: '' };
    const outage = this.#outage;
    outage.failures++;
    outage.error = message;
    if (this.#alert === undefined && clock.now() - outage.startedAt >= afterMs) {
      // Not about an outage that is over by the time that the alert sink can be reached.
      this.#alert = this.#send(() => this.#outage === outage && this.#event('sink_failing', outage), hold);
    }
    this.#adopt(hold);
  }

  delivered(hold: Hold | undefined): void {
    const outage = this.#outage;
    const alert = this.#alert;
    this.#outage = undefined;
    this.#alert = undefined;
    if (outage !== undefined && alert !== undefined) {
      this.#send(() => alert.wasDelivered && this.#event('sink_recovered', outage), hold);
    }
    this.#adopt(hold);
  }

  /** Resolves when no attempt runs. Does not wait for the next one. */
  async flush(): Promise<void> {
    await this.#attempt;
  }

  #event(type: AlertEvent['notif_type'], outage: Omit<Outage, 'sink'>): ReceivedDelivery<AlertEvent> {
    scope ??= randomUUID();
    return alertOf(type, scope, { ...outage, sink: this.#sink }, this.#settings.clock.date());
  }

  #send(make: Alert['make'], hold: Hold | undefined): Alert {
    const alert: Alert = { make, startedAt: undefined, attempts: 0, wasDelivered: false };
    const { clock } = this.#settings;
    this.#alerts.push(alert);
    if (this.#alerts.length === 1) this.#work.schedule(clock.now());
    this.#work.attend(hold);
    return alert;
  }

  /** Attends to alerts whose own requests have ended before an attempt succeeded. */
  #adopt(hold: Hold | undefined): void {
    if (this.#alerts.length > 0 && this.#work.attendedUntil <= this.#settings.clock.now()) this.#work.attend(hold);
  }

  /** Delivers one alert after the other, until one must wait. */
  async #deliverAll(): Promise<void> {
    const { clock } = this.#settings;
    for (let [alert] = this.#alerts; alert !== undefined; [alert] = this.#alerts) {
      const waitMs = await this.#deliver(alert);
      // Another request may have gone on, because this one was taken for ended.
      if (this.#alerts[0] !== alert) continue;
      if (waitMs !== undefined) {
        this.#work.schedule(clock.now() + waitMs);
        return;
      }
      this.#alerts.shift();
    }
    this.#work.schedule();
  }

  /** Makes one attempt. Returns how long to wait before the next one, if there must be one. */
  async #deliver(alert: Alert): Promise<number | undefined> {
    const { clock, alertSink, onError } = this.#settings;
    alert.startedAt ??= clock.now();
    const made = alert.make();
    if (made === false || !accepts(alertSink, made)) return undefined;
    const attempt = this.#deliverOnce(made);
    this.#attempt = attempt;
    const error = await attempt;
    alert.wasDelivered ||= error === undefined;
    // Perhaps by another request, while this attempt was taken for ended.
    if (error === undefined || alert.wasDelivered) return undefined;
    const waitMs = waitAfter(error, ++alert.attempts, clock.now() - alert.startedAt, backoff);
    if (waitMs === undefined) {
      onError(new Error(`the alert about "${this.#sink}" is given up: ${error.message}`, { cause: error }), {
        id: made.delivery.id,
        type: made.event.notif_type,
        sink: alertSink.name,
      });
    }
    return waitMs;
  }

  /** Resolves with the error, if it fails or takes too long. */
  async #deliverOnce({ event, delivery }: ReceivedDelivery<AlertEvent>): Promise<Error | undefined> {
    const { clock, alertSink } = this.#settings;
    const late = new AbortController();
    let timer: Timer | undefined;
    const isLate = new Promise<never>((_, reject) => {
      timer = clock.unrefTimeout(() => {
        const error = new Error('it took longer than five minutes');
        late.abort(error);
        reject(error);
      }, maxWorkMs);
    });
    try {
      await Promise.race([alertSink.deliver(event, { delivery, signal: late.signal }), isLate]);
      return undefined;
    } catch (error) {
      return toError(error);
    } finally {
      clock.clear(timer);
    }
  }
}

function accepts(sink: Sink<AlertEvent>, { event, delivery }: ReceivedDelivery<AlertEvent>): boolean {
  try {
    return sink.accepts?.(event, delivery) ?? true;
  } catch {
    return true;
  }
}
