import { AggregatorRegistry, Counter, Gauge, Histogram, Registry, type RegistryContentType } from 'prom-client';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createForwarder, SinkError, verifyDelivery } from '../../src/index.js';
import { type MetricRegistry, type OutcomeMetricsOptions, outcomeMetrics } from '../../src/metrics/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { adapters, anEvent, head, headersWith, nowSeconds, secret, serve, signed } from '../support/adapters.js';
import { watchChannels } from '../support/channels.js';
import { deferred } from '../support/deferred.js';
import { parseExposition } from '../support/exposition.js';

const [, adapter] = adapters[1] as (typeof adapters)[number];

/** Metrics in a real registry, until the test is over. */
function measure(
  registry: MetricRegistry & Pick<Registry, 'metrics'> = new Registry(),
  options?: OutcomeMetricsOptions,
) {
  const stop = outcomeMetrics(registry, options);
  onTestFinished(stop);
  const read = async () => parseExposition(await registry.metrics());
  const samplesOf = async (name: string) =>
    Object.fromEntries(
      Object.entries((await read()).samples)
        .filter(([key]) => key.startsWith(`vast_webhook_${name}{`))
        .map(([key, value]) => [key.slice(`vast_webhook_${name}`.length), value]),
    );
  return {
    stop,
    read,
    samplesOf,
    inFlight: async () => (await samplesOf('deliveries_in_flight'))['{}'],
  };
}

describe.each(adapters)('%s: deliveries', (_name, adapter) => {
  it('are counted by provider, result, code and webhook, beside onOutcome', async () => {
    const { samplesOf } = measure();
    const service = await serve(adapter, { secret: { renter: secret, host: 'another' }, handler: () => status });
    let status = 204;
    const event = anEvent();
    await service.send(signed(event));
    await service.send(signed(event, { attempt: '2' }));
    await service.send(signed(anEvent(), { key: 'another' }));
    await service.send({});
    await service.send({ method: 'GET' });
    await service.send(signed(anEvent(), { key: 'unknown' }));
    status = 503;
    await service.send(signed(anEvent()));
    await service.outcome(7);
    expect(await samplesOf('deliveries_total')).toEqual({
      '{provider="vast",result="accepted",webhook="renter"}': 1,
      '{provider="vast",result="duplicate",webhook="renter"}': 1,
      '{provider="vast",result="accepted",webhook="host"}': 1,
      '{code="invalid_signature",provider="vast",result="rejected"}': 2,
      '{code="method_not_allowed",provider="vast",result="rejected"}': 1,
      '{code="handler_failed",provider="vast",result="failed",webhook="renter"}': 1,
    });
  });

  it('are timed, by result', async () => {
    const { samplesOf } = measure();
    const opened = deferred();
    const service = await serve(adapter, { handler: () => opened.promise.then(() => 204) });
    const answer = service.send(signed());
    await service.handling();
    await service.send({});
    opened.resolve();
    await answer;
    const { durationMs } = await service.outcome(2);
    const seconds = durationMs / 1000;
    expect((await samplesOf('delivery_duration_seconds_sum'))['{provider="vast",result="accepted"}']).toBe(seconds);
    expect(await samplesOf('delivery_duration_seconds_count')).toEqual({
      '{provider="vast",result="accepted"}': 1,
      '{provider="vast",result="rejected"}': 1,
    });
    const buckets = await samplesOf('delivery_duration_seconds_bucket');
    for (const le of [0.005, 0.1, 1, 120, Number.POSITIVE_INFINITY]) {
      const bound = le === Number.POSITIVE_INFINITY ? '+Inf' : le;
      expect(buckets[`{le="${bound}",provider="vast",result="accepted"}`]).toBe(seconds <= le ? 1 : 0);
    }
  });

  it('are in flight until they are answered, however that ends', async () => {
    const { inFlight } = measure();
    const opened = deferred();
    let handle = (): Promise<number> => opened.promise.then(() => 204);
    const service = await serve(adapter, { handler: () => handle() });
    expect(await inFlight()).toBe(0);
    const answers = [service.send(signed()), service.send(signed())];
    await service.handling(2);
    expect(await inFlight()).toBe(2);
    opened.resolve();
    await Promise.all(answers);
    await service.outcome(2);
    expect(await inFlight()).toBe(0);

    const { headers, body } = signed();
    const connection = await service.connect();
    const arrived = service.arrival();
    connection.write(head('POST', service.endpoint, [...headers, ['Content-Length', String(body.length)]]));
    await arrived;
    await vi.waitFor(async () => expect(await inFlight()).toBe(1));
    connection.destroy();
    expect((await service.outcome(3)).code).toBe('aborted');
    expect(await inFlight()).toBe(0);

    handle = async () => {
      throw new Error('handler down');
    };
    await service.send(signed());
    await service.send(signed(anEvent(), { key: 'forged' }));
    await service.hook.close();
    await service.send(signed());
    expect((await service.outcome(6)).code).toBe('closing');
    expect(await inFlight()).toBe(0);
  });

  it('are in flight no longer than to the deadline when a sink hangs', async () => {
    const { inFlight, samplesOf } = measure();
    const service = await serve(adapter, {
      options: { deadlineMs: 30, sinks: [{ name: 'hung', deliver: () => new Promise<void>(() => {}) }] },
    });
    expect((await service.send(signed())).status).toBe(504);
    await service.outcome();
    expect(await inFlight()).toBe(0);
    expect(await samplesOf('sink_deliveries_total')).toEqual({});
  });
});

describe('an event that is lost', () => {
  it('is counted, from 0 on, and rejected or repeated deliveries are not', async () => {
    const { samplesOf } = measure();
    expect(await samplesOf('permanent_failures_total')).toEqual({ '{}': 0 });
    let status = 503;
    const service = await serve(adapter, { handler: () => status });
    await service.send(signed());
    await service.send({});
    await service.outcome(2);
    expect(await samplesOf('permanent_failures_total')).toEqual({ '{}': 0 });
    status = 404;
    await service.send(signed());
    expect(await service.outcome(3)).toMatchObject({ result: 'failed', permanent: true });
    expect(await samplesOf('permanent_failures_total')).toEqual({ '{}': 1 });
  });
});

describe('the clock skew', () => {
  it('is that of the latest first attempt at a new event, and nothing before there was one', async () => {
    const { samplesOf } = measure();
    const service = await serve(adapter);
    const skew = () => samplesOf('clock_skew_seconds');
    await service.send(signed(anEvent(), { key: 'forged', timestamp: nowSeconds - 7 }));
    await service.outcome();
    expect(await skew()).toEqual({});
    const event = anEvent();
    await service.send(signed(event, { timestamp: nowSeconds + 4 }));
    await service.outcome(2);
    expect(await skew()).toEqual({ '{provider="vast"}': 4 });
    await service.send(signed(anEvent(), { timestamp: nowSeconds - 3 }));
    await service.outcome(3);
    expect(await skew()).toEqual({ '{provider="vast"}': -3 });
    // These may have been signed long ago.
    await service.send(signed(anEvent(), { timestamp: nowSeconds - 60, attempt: '2' }));
    await service.send(signed(event, { timestamp: nowSeconds - 200 }));
    await service.outcome(5);
    expect(await skew()).toEqual({ '{provider="vast"}': -3 });
  });
});

describe('sinks', () => {
  it('are counted by name and result, and timed, also those that outlive the answer', async () => {
    const { samplesOf } = measure();
    const { all } = watchChannels();
    const opened = deferred();
    const service = await serve(adapter, {
      options: {
        deadlineMs: 30,
        sinks: [
          async function audit() {},
          async function broken() {
            throw new SinkError('no such channel', { status: 404 });
          },
          { name: 'slow', deliver: () => opened.promise },
          { name: 'skipped', accepts: () => false, deliver() {} },
        ],
      },
    });
    expect((await service.send(signed())).status).toBe(504);
    opened.resolve();
    await vi.waitFor(async () =>
      expect(await samplesOf('sink_deliveries_total')).toEqual({
        '{result="delivered",sink="audit"}': 1,
        '{result="failed",sink="broken"}': 1,
        '{result="delivered",sink="slow"}': 1,
      }),
    );
    expect(await samplesOf('sink_duration_seconds_count')).toEqual({
      '{sink="audit"}': 1,
      '{sink="broken"}': 1,
      '{sink="slow"}': 1,
    });
    const { durationMs = 0 } = all('sink:asyncEnd').find(({ sink }) => sink === 'slow') ?? {};
    expect(durationMs).toBeGreaterThan(0);
    expect((await samplesOf('sink_duration_seconds_sum'))['{sink="slow"}']).toBe(durationMs / 1000);
  });

  it('of a forwarder are also counted, and are no deliveries', async () => {
    const { samplesOf } = measure();
    const forward = createForwarder({ sinks: [async function audit() {}] });
    await forward(verifyDelivery({ ...signedDelivery(sampleEvent('outbid'), secret), secret }).delivery);
    expect(await samplesOf('sink_deliveries_total')).toEqual({ '{result="delivered",sink="audit"}': 1 });
    expect(await samplesOf('deliveries_total')).toEqual({});
  });

  it('may have any name', async () => {
    const { samplesOf } = measure();
    const forward = createForwarder({ sinks: [{ name: 'a "quoted"\n\\ name', deliver() {} }] });
    await forward(verifyDelivery({ ...signedDelivery(sampleEvent('outbid'), secret), secret }).delivery);
    expect(await samplesOf('sink_deliveries_total')).toEqual({
      '{result="delivered",sink="a \\"quoted\\"\\n\\\\ name"}': 1,
    });
  });
});

describe('text from a stranger or the sender', () => {
  it('never becomes a label: there are no more series after any number of requests', async () => {
    const { read } = measure();
    const service = await serve(adapter, { options: { sinks: [async function audit() {}] } });
    const strange = async (text: string) => {
      await service.send(signed(anEvent({ notif_type: text, subject: text, user_id: text })));
      const { headers, body } = signed();
      await service.send({
        method: 'PUT',
        target: `${service.endpoint}?${text}`,
        headers: [['X-Vast-Event-Id', text]],
      });
      await service.send({ body, headers: headersWith(headers, { 'X-Vast-Signature-256': text }) });
      await service.send({ body, headers: headersWith(headers, { 'X-Vast-Delivery-Attempt': text }) });
    };
    await strange('first');
    await service.outcome(4);
    const before = Object.keys((await read()).samples);
    for (let nth = 0; nth < 20; nth++) await strange(`text-${nth}`);
    await service.outcome(84);
    const after = await read();
    expect(Object.keys(after.samples)).toEqual(before);
    expect(JSON.stringify(after)).not.toMatch(/text-|first/);
  });
});

describe('in a registry of prom-client', () => {
  function registryOf(contentType: RegistryContentType): Registry {
    const registry = new Registry<RegistryContentType>();
    registry.setContentType(contentType);
    return registry as Registry;
  }

  /** The same observations in our metrics and in its own. */
  async function both(contentType: RegistryContentType) {
    const ours = registryOf(contentType);
    const theirs = registryOf(contentType);
    const { read } = measure(ours);
    const service = await serve(adapter, { options: { sinks: [async function audit() {}] } });
    for (const message of [signed(), signed(), {}]) await service.send(message);
    await service.outcome(3);
    const registers = [theirs];
    const prefix = 'vast_webhook_';
    const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];
    const provider = 'vast';
    const deliveries = new Counter({
      name: `${prefix}deliveries_total`,
      help: 'x',
      registers,
      labelNames: ['provider', 'result', 'code'],
    });
    const durations = new Histogram({
      name: `${prefix}delivery_duration_seconds`,
      help: 'x',
      registers,
      buckets,
      labelNames: ['provider', 'result'],
    });
    for (const { result, code, durationMs } of service.outcomes) {
      deliveries.inc(code === undefined ? { provider, result } : { provider, result, code });
      durations.observe({ provider, result }, durationMs / 1000);
    }
    new Gauge({ name: `${prefix}deliveries_in_flight`, help: 'x', registers });
    new Counter({ name: `${prefix}permanent_failures_total`, help: 'x', registers });
    new Gauge({ name: `${prefix}clock_skew_seconds`, help: 'x', registers, labelNames: ['provider'] }).set(
      { provider },
      0,
    );
    return { ours, theirs, read };
  }

  it.each([
    ['Prometheus text', Registry.PROMETHEUS_CONTENT_TYPE],
    ['OpenMetrics', Registry.OPENMETRICS_CONTENT_TYPE],
  ] as const)('they read as its own do: %s', async (_what, contentType) => {
    const { theirs, read } = await both(contentType);
    const { types, samples } = await read();
    const expected = parseExposition(await theirs.metrics());
    expect(types).toMatchObject(expected.types);
    const withoutSinks = Object.entries(samples).filter(([key]) => !key.startsWith('vast_webhook_sink'));
    expect(Object.fromEntries(withoutSinks)).toEqual(expected.samples);
    expect(Object.keys(types)).toHaveLength(7);
    // And so they do when they are read again.
    expect(await read()).toEqual({ types, samples });
  });

  it('they go through JSON as its own do, so that the workers of a cluster add up', async () => {
    const { ours, theirs } = await both(Registry.PROMETHEUS_CONTENT_TYPE);
    const aggregate = async (registry: Registry) => {
      const json = JSON.parse(JSON.stringify(await registry.getMetricsAsJSON()));
      return parseExposition(await AggregatorRegistry.aggregate([json, json]).metrics()).samples;
    };
    const together = await aggregate(ours);
    const expected = await aggregate(theirs);
    const name = 'vast_webhook_clock_skew_seconds{provider="vast"}';
    expect(together['vast_webhook_deliveries_total{provider="vast",result="accepted"}']).toBe(4);
    for (const [key, value] of Object.entries(expected))
      expect([key, together[key]]).toEqual([key, key === name ? 0 : value]);
  });

  it('the skew of a cluster is the average of its workers', async () => {
    const registry = new Registry();
    measure(registry);
    const service = await serve(adapter);
    const json = async () => JSON.parse(JSON.stringify(await registry.getMetricsAsJSON()));
    await service.send(signed(anEvent(), { timestamp: nowSeconds + 2 }));
    await service.outcome();
    const one = await json();
    await service.send(signed(anEvent(), { timestamp: nowSeconds + 4 }));
    await service.outcome(2);
    const aggregated = parseExposition(await AggregatorRegistry.aggregate([one, await json()]).metrics());
    expect(aggregated.samples['vast_webhook_clock_skew_seconds{provider="vast"}']).toBe(3);
  });

  it('they take its default labels, without keeping them', async () => {
    const registry = new Registry();
    registry.setDefaultLabels({ app: 'rebidder' });
    const { samplesOf } = measure(registry);
    await registry.getMetricsAsJSON();
    expect(await samplesOf('permanent_failures_total')).toEqual({ '{app="rebidder"}': 0 });
    registry.setDefaultLabels({});
    expect(await samplesOf('permanent_failures_total')).toEqual({ '{}': 0 });
  });

  it('resetMetrics() resets the counters, and not the gauge of running deliveries', async () => {
    const registry = new Registry();
    const { read, inFlight } = measure(registry);
    const opened = deferred();
    const service = await serve(adapter, { handler: () => opened.promise.then(() => 404) });
    const answer = service.send(signed());
    await service.handling();
    await service.send({});
    await service.outcome();
    registry.resetMetrics();
    expect((await read()).samples).toEqual({
      'vast_webhook_deliveries_in_flight{}': 1,
      'vast_webhook_permanent_failures_total{}': 0,
    });
    opened.resolve();
    await answer;
    await service.outcome(2);
    expect(await inFlight()).toBe(0);
    expect((await read()).samples['vast_webhook_permanent_failures_total{}']).toBe(1);
  });

  it.each([Registry.PROMETHEUS_CONTENT_TYPE, Registry.OPENMETRICS_CONTENT_TYPE])(
    'stopping takes them away: %s',
    async (type) => {
      const registry = registryOf(type);
      const stop = outcomeMetrics(registry);
      await registry.metrics();
      stop();
      expect(registry.getMetricsAsArray()).toEqual([]);
      const { samplesOf } = measure(registry);
      const service = await serve(adapter);
      await service.send(signed());
      await service.outcome();
      expect(await samplesOf('deliveries_total')).toEqual({ '{provider="vast",result="accepted"}': 1 });
      // The first one has no say any more.
      stop();
      expect(registry.getMetricsAsArray()).toHaveLength(7);
    },
  );

  it('two registries are served side by side, and one with two prefixes', async () => {
    const one = measure();
    const registry = new Registry();
    const other = measure(registry);
    measure(registry, { prefix: 'hooks_' });
    const service = await serve(adapter);
    await service.send(signed());
    await service.outcome();
    const counted = { '{provider="vast",result="accepted"}': 1 };
    expect(await one.samplesOf('deliveries_total')).toEqual(counted);
    expect(await other.samplesOf('deliveries_total')).toEqual(counted);
    expect((await other.read()).samples['hooks_deliveries_total{provider="vast",result="accepted"}']).toBe(1);
  });

  it('names that are in use are refused, and nothing stays registered', () => {
    const registry = new Registry();
    const taken = new Counter({ name: 'vast_webhook_sink_deliveries_total', help: 'x', registers: [registry] });
    expect(() => outcomeMetrics(registry)).toThrow(/already been registered/);
    expect(registry.getMetricsAsArray()).toEqual([taken]);
  });
});

describe('outcomeMetrics', () => {
  it.each([undefined, null, {}, 'register', { registerMetric() {} }])('refuses %j as a registry', (registry) => {
    expect(() => outcomeMetrics(registry as never)).toThrow(
      /must be a Registry of prom-client, such as its `register`/,
    );
  });

  it.each([{ prefix: '1st_' }, { prefix: 'with-hyphen' }, { prefix: 7 }, { prefixes: 'x' }])(
    'refuses %j',
    (options) => {
      expect(() => outcomeMetrics(new Registry(), options as never)).toThrow(/the option prefix|unknown option/);
    },
  );
});
