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
        watch.failed(toError(error));
        throw error;
      }
      watch.delivered();
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
const scope = `${process.pid}-${Date.now()}`;

/** Knows how one sink fares. Its alerts are delivered one after the other, in their order. */
class Watch {
  readonly #sink: string;
  readonly #settings: Settings;
  #outage: { since: number; startedAt: number; failures: number; error: string } | undefined;
  /** Settles with whether the alert about the outage was delivered. Undefined if there was none. */
  #alert: Promise<boolean> | undefined;
  #attempt: Promise<unknown> | undefined;
  #alerts: Promise<unknown> = Promise.resolve();

  constructor(sink: string, settings: Settings) {
    this.#sink = sink;
    this.#settings = settings;
  }

  failed({ message }: Error): void {
    const { clock, afterMs } = this.#settings;
    this.#outage ??= { since: clock.date(), startedAt: clock.now(), failures: 0, error: '' };
    const outage = this.#outage;
    outage.failures++;
    outage.error = message;
    if (this.#alert !== undefined || clock.now() - outage.startedAt < afterMs) return;
    // Not about an outage that is over by the time that the alert sink can be reached.
    this.#alert = this.#send(() => this.#outage === outage && this.#event('sink_failing', outage));
  }

  delivered(): void {
    const outage = this.#outage;
    const alert = this.#alert;
    if (outage === undefined) return;
    this.#outage = undefined;
    this.#alert = undefined;
    alert?.then((wasHeard) => {
      if (wasHeard) void this.#send(() => this.#event('sink_recovered', outage));
    });
  }

  /** Resolves when no attempt runs. Does not wait for the next one. */
  async flush(): Promise<void> {
    await this.#attempt;
  }

  #event(type: AlertEvent['notif_type'], outage: Omit<Outage, 'sink'>): ReceivedDelivery<AlertEvent> {
    return alertOf(type, scope, { ...outage, sink: this.#sink }, this.#settings.clock.date());
  }

  /** Delivers what `make` returns at each attempt, until that succeeds. Returns whether it was delivered. */
  #send(make: () => ReceivedDelivery<AlertEvent> | false): Promise<boolean> {
    const sent = this.#alerts.then(() => this.#deliver(make));
    this.#alerts = sent;
    return sent;
  }

  async #deliver(make: () => ReceivedDelivery<AlertEvent> | false): Promise<boolean> {
    const { clock, alertSink, onError } = this.#settings;
    const startedAt = clock.now();
    for (let attempts = 1; ; attempts++) {
      const alert = make();
      if (alert === false || !accepts(alertSink, alert)) return false;
      const attempt = this.#deliverOnce(alert);
      this.#attempt = attempt;
      const error = await attempt;
      if (error === undefined) return true;
      const waitMs = waitAfter(error, attempts, clock.now() - startedAt, backoff);
      if (waitMs === undefined) {
        onError(new Error(`the alert about "${this.#sink}" is given up: ${error.message}`, { cause: error }), {
          id: alert.delivery.id,
          type: alert.event.notif_type,
          sink: alertSink.name,
        });
        return false;
      }
      await new Promise<void>((resolve) => clock.unrefTimeout(resolve, waitMs));
    }
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
