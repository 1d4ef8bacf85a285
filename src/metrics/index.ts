import { type DeliveryMessage, deliveries, type SinkMessage, sinks } from '../diagnostics.js';
import { checkOptions, isFunction } from '../util/check-options.js';
import { Counter, Gauge, Histogram, SingleCounter, SizeGauge } from './metric.js';

/** A `Registry` of prom-client 15, as far as it is used here: `register`, say. */
export interface MetricRegistry {
  /** Throws when there is a metric of that name. */
  registerMetric(metric: never): unknown;
  /** The metric of that name, if there is one. */
  getSingleMetric(name: string): unknown;
  /** Takes the metric of that name away. */
  removeSingleMetric(name: string): unknown;
}

/** What `outcomeMetrics` takes beside the registry. */
export interface OutcomeMetricsOptions {
  /** What the names of the metrics begin with: `vast_webhook_`. */
  readonly prefix?: string;
}

const registryMethods = ['registerMetric', 'getSingleMetric', 'removeSingleMetric'] as const;

/**
 * Measures the deliveries of all middlewares of the process, and all sinks that are told in it, and puts the metrics into
 * a registry of prom-client. Takes nobody's `onOutcome`. Nothing that a stranger can choose becomes a label. Gives a
 * function that stops it and takes the metrics away again. Throws a `TypeError` for what is no registry and for a prefix
 * that metrics cannot have, and whatever the registry throws when it has metrics of these names already.
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
    deliveries: new Counter(`${prefix}deliveries_total`, 'Requests on the endpoint, by how they ended.'),
    durations: new Histogram(`${prefix}delivery_duration_seconds`, "From a request's arrival to its answer."),
    inFlight: new SizeGauge(`${prefix}deliveries_in_flight`, 'Requests on the endpoint that have no answer yet.'),
    permanentFailures: new SingleCounter(
      `${prefix}permanent_failures_total`,
      'Genuine events that were not taken and will not be sent again: they are lost.',
    ),
    skew: new Gauge(
      `${prefix}clock_skew_seconds`,
      "The sender's clock minus ours, by the latest first attempt at a new event.",
      'average',
    ),
    sinkDeliveries: new Counter(`${prefix}sink_deliveries_total`, 'Times that a sink was told of an event.'),
    sinkDurations: new Histogram(`${prefix}sink_duration_seconds`, 'How long a sink took to be told of an event.'),
  };
}

/** Gives a function that takes them away again. Puts in all or none. */
function register(registry: MetricRegistry, metrics: readonly Metrics[keyof Metrics][]): () => void {
  const registered = new Map<string, unknown>();
  const unregister = () => {
    for (const [name, metric] of registered) {
      // Cleared meanwhile, the registry may hold another one of that name.
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

/** Gives a function that ends it. */
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
    // What is sent again may carry the time of its first attempt.
    if (skewSeconds !== undefined && attempt === 1 && result !== 'duplicate')
      metrics.skew.set({ provider }, skewSeconds);
  };
  const told = (message: unknown) => {
    const { sink, result, durationMs } = message as SinkMessage;
    if (durationMs === undefined) return;
    metrics.sinkDeliveries.count({ sink, result });
    metrics.sinkDurations.observe({ sink }, durationMs / 1000);
  };
  deliveries.start.subscribe(arrived);
  deliveries.asyncEnd.subscribe(answered);
  sinks.asyncEnd.subscribe(told);
  return () => {
    deliveries.start.unsubscribe(arrived);
    deliveries.asyncEnd.unsubscribe(answered);
    sinks.asyncEnd.unsubscribe(told);
  };
}
