import { AggregatorRegistry, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { outcomeMetrics } from 'vast-webhook/metrics';
import type { Outbox, OutboxStats } from 'vast-webhook/sinks';
import type { Snapshot, WorkerLink } from '../shared/context.js';

/** What `GET /metrics` answers. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  close(): unknown;
}

/** Measures deliveries, the outbox if there is one, and the process. Of a worker, the text is the sum over all. */
export function measure(outbox: Pick<Outbox, 'stats'> | undefined, worker?: WorkerLink): Metrics {
  const registry = new Registry();
  const stop = outcomeMetrics(registry);
  collectDefaultMetrics({ register: registry });
  if (outbox !== undefined) {
    const stats = sharedStats(outbox);
    addGauge(registry, stats, 'vast_webhook_outbox_waiting', 'Events that wait in the outbox.', ({ due }) => due);
    addGauge(registry, stats, 'vast_webhook_outbox_dead_letters', 'Dead letters.', ({ dead }) => dead);
  }
  const shared = worker?.shareMetrics(() => registry.getMetricsAsJSON());
  return {
    contentType: registry.contentType,
    text: () => shared?.text() ?? registry.metrics(),
    async close() {
      await shared?.leave();
      stop();
      registry.clear();
    },
  };
}

/** The sums over processes, in the format of Prometheus. */
export function sumsOf(snapshots: readonly Snapshot[]): Promise<string> {
  return sumOf(snapshots).metrics();
}

/** Several snapshots as one. */
export function merged(snapshots: readonly Snapshot[]): Promise<Snapshot> {
  return sumOf(snapshots).getMetricsAsJSON();
}

function sumOf(snapshots: readonly Snapshot[]): Registry {
  return AggregatorRegistry.aggregate([...snapshots]);
}

/** Counts once for both gauges. */
function sharedStats(outbox: Pick<Outbox, 'stats'>): Outbox['stats'] {
  let counting: ReturnType<Outbox['stats']> | undefined;
  return () => {
    counting ??= outbox.stats().finally(() => {
      counting = undefined;
    });
    return counting;
  };
}

function addGauge(
  registry: Registry,
  stats: Outbox['stats'],
  name: string,
  help: string,
  valueIn: (stats: OutboxStats) => number,
): void {
  new Gauge({
    name,
    help: `${help} By sink, with sinks that are gone.`,
    labelNames: ['sink'],
    registers: [registry],
    // Workers read the same file.
    aggregator: 'max',
    async collect() {
      // Without a value where the file cannot be read: the other metrics are needed then most.
      const all = await stats().catch(() => []);
      this.reset();
      for (const each of all) this.set({ sink: each.sink }, valueIn(each));
    },
  });
}
