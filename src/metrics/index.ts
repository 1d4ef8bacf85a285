import { type DeliveryMessage, deliveries, type SinkMessage, sinks } from '../diagnostics.js';
import { checkOptions, isFunction } from '../util/check-options.js';
import { Counter, Gauge, Histogram, SingleCounter, SizeGauge } from './metric.js';

/** The part of a prom-client 15 `Registry` that is used here, such as `register`. */
export interface MetricRegistry {
  /** Adds a metric. Throws if there is one of the same name. */
  registerMetric(metric: never): unknown;
  /** Returns the metric of that name, if there is one. */
  getSingleMetric(name: string): unknown;
  /** Removes the metric of that name. */
  removeSingleMetric(name: string): unknown;
}

/** Options of `outcomeMetrics`. */
export interface OutcomeMetricsOptions {
  /** Prefix of the metrics' names. Default: `vast_webhook_`. */
  readonly prefix?: string;
}

const registryMethods = ['registerMetric', 'getSingleMetric', 'removeSingleMetric'] as const;

/**
 * Measures all deliveries and all attempts to deliver to a sink in this process, and adds the metrics to a registry of
 * prom-client. It does not use `onOutcome`, which stays free for you. No label has a value that a stranger can choose.
 * Returns a function that stops measuring and removes the metrics. Throws a `TypeError` for an invalid registry or
 * prefix. Throws the registry's error if it already has metrics of these names.
 */
export function outcomeMetrics(registry: MetricRegistry, options: OutcomeMetricsOptions = {}): () => void {
  if (!registryMethods.every((name) => isFunction(Object(registry)[name]))) {
    throw new TypeError('outcomeMetrics(registry): registry must be a Registry of prom-client, such as its `register`');
  }
  checkOptions(options, { prefix: [isPrefix, "the beginning of a metric's name, such as 'vast_webhook_'"] });
  const metrics = metricsOf(options.prefix ?? 'vast_webhook_');
  const unregister = register(registry, Object.values(metrics));
  const stopMeasuring = measure(metrics);
  return () => {
    stopMeasuring();
    unregister();
  };
}

function isPrefix(value: unknown): boolean {
  return typeof value === 'string' && /^([a-z_:][\w:]*)?$/i.test(value);
}

type Metrics = ReturnType<typeof metricsOf>;

function metricsOf(prefix: string) {
  return {
    deliveries: new Counter(`${prefix}deliveries_total`, 'Requests to the endpoint, by result.'),
    durations: new Histogram(`${prefix}delivery_duration_seconds`, 'Time from the arrival of a request to its answer.'),
    inFlight: new SizeGauge(`${prefix}deliveries_in_flight`, 'Requests to the endpoint that are not answered yet.'),
    permanentFailures: new SingleCounter(
      `${prefix}permanent_failures_total`,
      'Genuine events that failed and that the sender will not send again: they are lost.',
    ),
    skew: new Gauge(
      `${prefix}clock_skew_seconds`,
      "The sender's clock minus ours, at the latest first attempt of a new event.",
      'average',
    ),
    sinkDeliveries: new Counter(`${prefix}sink_deliveries_total`, 'Attempts to deliver an event to a sink.'),
    sinkDurations: new Histogram(
      `${prefix}sink_duration_seconds`,
      'Duration of an attempt to deliver an event to a sink.',
    ),
  };
}

/** Adds all metrics or none. Returns a function that removes them. */
function register(registry: MetricRegistry, metrics: readonly Metrics[keyof Metrics][]): () => void {
  const registered = new Map<string, unknown>();
  const unregister = () => {
    for (const [name, metric] of registered) {
      // If the registry was cleared meanwhile, it may have another metric of that name.
      if (registry.getSingleMetric(name) === metric) registry.removeSingleMetric(name);
    }
  };
  try {
    for (const metric of metrics) {
      registry.registerMetric(metric as never);
      registered.set(metric.name, metric);
    }
  } catch (error) {
    unregister();
    throw error;
  }
  return unregister;
}

/** Starts measuring. Returns a function that stops it. */
function measure(metrics: Metrics): () => void {
  const arrived = (message: unknown) => {
    metrics.inFlight.things.add(message);
  };
  const answered = (message: unknown) => {
    metrics.inFlight.things.delete(message);
    const { provider, outcome } = message as DeliveryMessage;
    if (outcome === undefined) return;
    const { result, code, webhook, durationMs, permanent, skewSeconds, attempt } = outcome;
    metrics.deliveries.count({ provider, result, code, webhook });
    metrics.durations.observe({ provider, result }, durationMs / 1000);
    if (result === 'failed' && permanent) metrics.permanentFailures.count();
    // First attempts only, because a retry may have the timestamp of the first attempt.
    if (skewSeconds !== undefined && attempt === 1 && result !== 'duplicate')
      metrics.skew.set({ provider }, skewSeconds);
  };
  const attempted = (message: unknown) => {
    const { sink, result, durationMs } = message as SinkMessage;
    if (durationMs === undefined) return;
    metrics.sinkDeliveries.count({ sink, result });
    metrics.sinkDurations.observe({ sink }, durationMs / 1000);
  };
  deliveries.start.subscribe(arrived);
  deliveries.asyncEnd.subscribe(answered);
  sinks.asyncEnd.subscribe(attempted);
  return () => {
    deliveries.start.unsubscribe(arrived);
    deliveries.asyncEnd.unsubscribe(answered);
    sinks.asyncEnd.unsubscribe(attempted);
  };
}
