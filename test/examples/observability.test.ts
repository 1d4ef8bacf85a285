import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type SignedDeliveryOptions, sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { parseExposition } from '../support/exposition.js';
import { type Checkout, checkout, type Program } from './checkout.js';

const secret = 'a-secret-of-the-tests';
let project: Checkout;
let running: Program | undefined;

beforeAll(async () => {
  project = await checkout();
});
afterAll(() => project?.remove());
afterEach(async () => {
  running?.kill('SIGKILL');
  await running?.exited;
});

async function readmeOf(example: string): Promise<string> {
  return readFile(new URL(`../../examples/${example}/README.md`, import.meta.url), 'utf8');
}

/** Runs the command that the README documents, on free ports. */
async function run(example: string, env: Record<string, string>): Promise<Program> {
  const [, start] = /^```sh\nnpm run build && node (.*)\n```$/m.exec(await readmeOf(example)) ?? [];
  expect(start).toBeDefined();
  running = project.start((start as string).split(' '), { PORT: '0', METRICS_PORT: '0', ...env });
  return running;
}

async function start(example: string): Promise<{ program: Program; url: string }> {
  const program = await run(example, { VAST_WEBHOOK_SECRET: secret });
  const [, url = ''] = await program.printed(/^Listening on (http:\S+)$/m);
  return { program, url };
}

async function send(url: string, event: object, options?: SignedDeliveryOptions): Promise<number> {
  const { body, headers } = signedDelivery(event, secret, options);
  return (await fetch(url, { method: 'POST', body, headers })).status;
}

describe.each([
  ['metrics', ['PORT', 'METRICS_PORT']],
  ['opentelemetry', ['PORT']],
])('examples/%s', (example, ports) => {
  it('names the missing variable in one sentence', async () => {
    const program = await run(example, {});
    expect(await program.exited).toBe(1);
    expect([program.stdout, program.stderr]).toEqual([
      '',
      expect.stringMatching(/^Set VAST_WEBHOOK_SECRET [^\n]+\.\n$/),
    ]);
  });

  it('documents the environment variables that it reads', async () => {
    const readme = await readmeOf(example);
    for (const name of ['VAST_WEBHOOK_SECRET', ...ports]) expect(readme).toContain(`\`${name}\``);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('stops on %s', async (signal) => {
    const { program } = await start(example);
    program.kill(signal);
    expect(await program.exited).toBe(0);
    expect(program.stderr).toBe('');
  });
});

describe('examples/metrics', () => {
  it('serves its counters, and on no public port', async () => {
    const { program, url } = await start('metrics');
    const [, metricsUrl = ''] = await program.printed(/^Metrics on (http:\S+)$/m);
    const event = sampleEvent('outbid');
    expect(await send(url, event)).toBe(204);
    expect(await send(url, event, { attempt: 2 })).toBe(204);
    expect(await send(url, event, { timestamp: 1 })).toBe(401);
    const response = await fetch(metricsUrl);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const { samples } = parseExposition(await response.text());
    expect(samples).toMatchObject({
      'vast_webhook_deliveries_total{provider="vast",result="accepted"}': 1,
      'vast_webhook_deliveries_total{provider="vast",result="duplicate"}': 1,
      'vast_webhook_deliveries_total{code="invalid_signature",provider="vast",result="rejected"}': 1,
      'vast_webhook_sink_deliveries_total{result="delivered",sink="log"}': 1,
      'vast_webhook_deliveries_in_flight{}': 0,
      'vast_webhook_permanent_failures_total{}': 0,
    });
    expect(samples).toHaveProperty('process_start_time_seconds{}');
    expect((await fetch(new URL('/metrics', url))).status).toBe(404);
  });

  it('has an alert on a metric that there is', async () => {
    const { program } = await start('metrics');
    const [, metricsUrl = ''] = await program.printed(/^Metrics on (http:\S+)$/m);
    const [, metric] = /increase\((\w+)\[/.exec(await readmeOf('metrics')) ?? [];
    expect(parseExposition(await (await fetch(metricsUrl)).text()).types).toHaveProperty(metric as string, 'counter');
  });
});

describe('examples/opentelemetry', () => {
  it('prints a trace of each delivery: in it the sink, and in that what the sink does', async () => {
    const { program, url } = await start('opentelemetry');
    const event = sampleEvent('outbid');
    expect(await send(url, event)).toBe(204);
    expect(await send(url, event, { timestamp: 1 })).toBe(401);
    await program.printed(/'vast_webhook\.result': 'rejected'/);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
    const [log, sink, delivery, rejected] = spansIn(program.stdout);
    expect(log).toMatchObject({ name: 'write the log', trace: delivery?.trace, parent: sink?.id });
    expect(sink).toMatchObject({ name: 'deliver to log', trace: delivery?.trace, parent: delivery?.id });
    expect(delivery).toMatchObject({ name: 'vast delivery', parent: undefined });
    expect(rejected).toMatchObject({ name: 'vast delivery', parent: undefined });
    expect(rejected?.trace).not.toBe(delivery?.trace);
    expect(sink?.text).toContain("'vast_webhook.result': 'delivered'");
    expect(delivery?.text).toContain(`'vast_webhook.event.id': '${event.event_id}'`);
    expect(rejected?.text).toContain("'vast_webhook.code': 'invalid_signature'");
    expect(rejected?.text).toContain('status: { code: 0 }');
  });
});

/** The output of the console exporter. */
function spansIn(text: string) {
  return text
    .split(/^(?=\{$)/m)
    .slice(1)
    .map((span) => ({
      text: span,
      name: /^ {2}name: '(.*)',$/m.exec(span)?.[1],
      trace: /^ {2}traceId: '(\w+)',$/m.exec(span)?.[1],
      id: /^ {2}id: '(\w+)',$/m.exec(span)?.[1],
      parent: /^ {2}parentSpanContext: \{[^}]*\bspanId: '(\w+)'/m.exec(span)?.[1],
    }));
}
