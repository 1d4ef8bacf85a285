/** Labels by name. Undefined ones are omitted. A metric must use the same names in the same order each time. */
export type Labels = Readonly<Record<string, string | undefined>>;

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Set if it differs from the metric's own name. */
  readonly metricName?: string;
}

/** How prom-client combines the values of a cluster's workers. */
type Aggregator = 'sum' | 'average';

/** A metric in the form that a `Registry` of prom-client 15 reads. */
abstract class Metric {
  /** Not readonly, because an OpenMetrics registry removes a counter's `_total`, and adds it again when it prints. */
  name: string;
  readonly help: string;
  abstract readonly type: 'counter' | 'gauge' | 'histogram';
  readonly aggregator: Aggregator;

  constructor(name: string, help: string, aggregator: Aggregator = 'sum') {
    this.name = name;
    this.help = help;
    this.aggregator = aggregator;
  }

  get(): object {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.samples() };
  }

  /** Returns new objects each time, because the registry adds its default labels to them. */
  protected abstract samples(): Sample[];
  abstract reset(): void;
}

/** One value for each combination of labels. */
class Series<T> {
  readonly #byLabels = new Map<string, { readonly labels: Record<string, string>; readonly kept: T }>();
  readonly #begin: () => T;

  constructor(begin: () => T) {
    this.#begin = begin;
  }

  at(labels: Labels): T {
    const key = JSON.stringify(Object.values(labels));
    let series = this.#byLabels.get(key);
    if (series === undefined) {
      const given = Object.entries(labels).filter((entry): entry is [string, string] => entry[1] !== undefined);
      series = { labels: Object.fromEntries(given), kept: this.#begin() };
      this.#byLabels.set(key, series);
    }
    return series.kept;
  }

  samples(of: (labels: Record<string, string>, kept: T) => Sample[]): Sample[] {
    return [...this.#byLabels.values()].flatMap(({ labels, kept }) => of(labels, kept));
  }

  clear(): void {
    this.#byLabels.clear();
  }
}

export class Counter extends Metric {
  readonly type = 'counter';
  readonly #series = new Series(() => ({ count: 0 }));

  count(labels: Labels = {}): void {
    this.#series.at(labels).count++;
  }

  protected samples(): Sample[] {
    return this.#series.samples((labels, { count }) => [{ labels: { ...labels }, value: count }]);
  }

  reset(): void {
    this.#series.clear();
  }
}

/** Has no labels and starts at 0, so that Prometheus sees the first count as an increase. */
export class SingleCounter extends Metric {
  readonly type = 'counter';
  #count = 0;

  count(): void {
    this.#count++;
  }

  protected samples(): Sample[] {
    return [{ labels: {}, value: this.#count }];
  }

  reset(): void {
    this.#count = 0;
  }
}

export class Gauge extends Metric {
  readonly type = 'gauge';
  readonly #series = new Series(() => ({ value: 0 }));

  set(labels: Labels, value: number): void {
    this.#series.at(labels).value = value;
  }

  protected samples(): Sample[] {
    return this.#series.samples((labels, { value }) => [{ labels: { ...labels }, value }]);
  }

  reset(): void {
    this.#series.clear();
  }
}

/** How many things there are right now. A reset does not change it. */
export class SizeGauge extends Metric {
  readonly type = 'gauge';
  readonly things = new Set<unknown>();

  protected samples(): Sample[] {
    return [{ labels: {}, value: this.things.size }];
  }

  reset(): void {}
}

/** For durations from 5 ms to the minutes that a sink may take. */
const upperBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];

export class Histogram extends Metric {
  readonly type = 'histogram';
  readonly #series = new Series(() => ({ buckets: upperBounds.map(() => 0), sum: 0, count: 0 }));

  observe(labels: Labels, seconds: number): void {
    const series = this.#series.at(labels);
    series.sum += seconds;
    series.count++;
    for (const [at, bound] of upperBounds.entries()) {
      if (seconds <= bound) (series.buckets[at] as number)++;
    }
  }

  protected samples(): Sample[] {
    const { name } = this;
    return this.#series.samples((labels, { buckets, sum, count }) => [
      ...upperBounds.map((le, at) => ({
        metricName: `${name}_bucket`,
        labels: { le, ...labels },
        value: buckets[at] as number,
      })),
      { metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: count },
      { metricName: `${name}_sum`, labels: { ...labels }, value: sum },
      { metricName: `${name}_count`, labels: { ...labels }, value: count },
    ]);
  }

  reset(): void {
    this.#series.clear();
  }
}
