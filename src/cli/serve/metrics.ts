import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { outcomeMetrics } from 'vast-webhook/metrics';
import type { Outbox, OutboxStats } from 'vast-webhook/sinks';

/** What `GET /metrics` answers. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  close(): void;
}

/** Measures deliveries, the outbox if there is one, and the process. */
export function measure(outbox: Pick<Outbox, 'stats'> | undefined): Metrics {
  const registry = new Registry();
  const stop = outcomeMetrics(registry);
  collectDefaultMetrics({ register: registry });
  if (outbox !== undefined) {
    addGauge(registry, outbox, 'vast_webhook_outbox_waiting', 'Events that wait in the outbox.', ({ due }) => due);
    addGauge(registry, outbox, 'vast_webhook_outbox_dead_letters', 'Dead letters.', ({ dead }) => dead);
  }
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    close() {
      stop();
      registry.clear();
    },
  };
}

function addGauge(
  registry: Registry,
  outbox: Pick<Outbox, 'stats'>,
  name: string,
  help: string,
  valueIn: (stats: OutboxStats) => number,
): void {
  new Gauge({
    name,
    help: `${help} By sink, with sinks that are gone.`,
    labelNames: ['sink'],
    registers: [registry],
    collect() {
      // Without a value where the file cannot be read: the other metrics are needed then most.
      this.reset();
      try {
        for (const stats of outbox.stats()) this.set({ sink: stats.sink }, valueIn(stats));
      } catch {}
    },
  });
}
