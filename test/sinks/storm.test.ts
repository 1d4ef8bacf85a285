/** A fleet goes offline, and a real service with a chat gets its events. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createForwarder, type Sink, type VastEvent, when } from '../../src/index.js';
import type { WebhookOptions } from '../../src/options.js';
import { digest, quiet, slack } from '../../src/sinks/index.js';
import { type Adapter, adapters, anEvent, bytesOf, nowSeconds, serve, signed } from '../support/adapters.js';
import { type SlackStandInMessage, slackStandIn } from '../support/chat-stand-in.js';
import { anEvent as anEventAndDelivery } from './buffering.js';

const [, express5] = adapters.find(([name]) => name === 'Express 5') as readonly [string, Adapter];

const aStorm = (count: number, fields: object = {}) =>
  Array.from({ length: count }, (_, n) => {
    const number = String(n).padStart(3, '0');
    return signed(anEvent({ notif_type: 'instance_offline', subject: `Instance #${number} Is Offline`, ...fields }));
  });

/** Windows and deadlines pass when the test says so, however long the machine takes for a storm. */
function steerTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
}

/** Without `vi.waitFor` and `expect.poll`, which let fake time pass. */
async function called(mock: { mock: { calls: unknown[] } }, times: number): Promise<void> {
  while (mock.mock.calls.length < times) await new Promise((resolve) => setImmediate(resolve));
}

/** A service whose Slack sink is wrapped by `wrap`. */
async function serviceWith(wrap: (sink: Sink<VastEvent>) => Sink<VastEvent>, options: WebhookOptions = {}) {
  const chat = await slackStandIn();
  onTestFinished(() => chat.close());
  const sink = wrap(slack(chat.url));
  const deliver = vi.spyOn(sink, 'deliver');
  const service = await serve(express5, { options: { sinks: [sink], ...options } });
  const sendAll = (storm: readonly ReturnType<typeof signed>[]) =>
    Promise.all(storm.map(async (message) => (await service.send(message)).status));
  /** Sends them, and ends the window when all have come. */
  const sendWithin = async (windowMs: number, storm: readonly ReturnType<typeof signed>[]) => {
    const before = deliver.mock.calls.length;
    const sending = sendAll(storm);
    await called(deliver, before + storm.length);
    await vi.advanceTimersByTimeAsync(windowMs - 10);
    expect(service.outcomes).toHaveLength(before);
    // A little more, because timers round the time that is left.
    await vi.advanceTimersByTimeAsync(20);
    return new Set(await sending);
  };
  return { chat, service, sendAll, sendWithin, textsOf: () => chat.messages.map(textIn) };
}

const textIn = ({ text }: SlackStandInMessage) => text.replaceAll('\u200B', '');

describe('500 instances that go offline at once', () => {
  it('are one message, whose request answers each request with 204 and completes each event', async () => {
    steerTime();
    const { chat, service, sendAll, sendWithin, textsOf } = await serviceWith(
      (sink) => digest({ everyMs: 20_000 }, sink),
      { deadlineMs: 120_000 },
    );
    const storm = aStorm(500);
    expect(await sendWithin(20_000, storm)).toEqual(new Set([204]));
    expect(chat.requests).toHaveLength(1);
    expect(textsOf()[0]).toMatch(/^500 notifications: 500 × instance_offline\nInstance #/);
    expect(textsOf()[0]).toContain('and 480 more');

    expect(new Set(await sendAll(storm))).toEqual(new Set([204]));
    expect(chat.requests).toHaveLength(1);
    expect(service.outcomes.slice(500).map(({ result }) => result)).toEqual(Array(500).fill('duplicate'));
  });

  it('are accepted at once if the digest is due after the deadline, and close() delivers them at the latest', async () => {
    const { chat, service, sendAll, textsOf } = await serviceWith((sink) =>
      when('*', digest({ everyMs: 240_000 }, sink)),
    );
    expect(new Set(await sendAll(aStorm(500)))).toEqual(new Set([204]));
    expect(chat.requests).toHaveLength(0);
    await service.hook.close();
    expect(textsOf()).toEqual([expect.stringMatching(/^500 notifications: /)]);
  });

  it('are delivered by close(), also those that are still arriving then', async () => {
    const { service, sendAll, textsOf } = await serviceWith((sink) => digest({ everyMs: 240_000 }, sink));
    await sendAll(aStorm(3));
    const connection = await service.connect();
    const bytes = bytesOf({ target: service.endpoint, ...(aStorm(1)[0] as ReturnType<typeof signed>) });
    const arrival = service.arrival();
    connection.write(bytes.subarray(0, -1));
    await arrival;
    const closing = service.hook.close();
    await expect.poll(textsOf).toEqual([expect.stringMatching(/^3 notifications: /)]);
    connection.write(bytes.subarray(-1));
    expect((await connection.answer()).status).toBe(204);
    await closing;
    expect(textsOf()[1]).toMatch(/^Instance #000 Is Offline/);
  });

  it('are a message each as far as quiet lets them through, and one more', async () => {
    const { service, sendAll, textsOf } = await serviceWith((sink) => quiet({ perMinute: 3 }, sink));
    expect(new Set(await sendAll(aStorm(500)))).toEqual(new Set([204]));
    expect(textsOf()).toEqual(Array(3).fill(expect.stringMatching(/^Instance #/)));
    await service.hook.close();
    expect(textsOf()[3]).toMatch(/^497 notifications: /);
    expect(textsOf()).toHaveLength(4);
  });

  it('are all sent again and delivered after the chat has failed', async () => {
    steerTime();
    const { chat, sendWithin, textsOf } = await serviceWith((sink) => digest({ everyMs: 2_000 }, sink), {
      deadlineMs: 40_000,
    });
    chat.misbehave = (res) => res.writeHead(503).end();
    const storm = aStorm(15);
    expect(await sendWithin(2_000, storm)).toEqual(new Set([502]));
    expect(chat.requests).toHaveLength(1);
    chat.misbehave = undefined;
    expect(await sendWithin(2_000, storm)).toEqual(new Set([204]));
    for (let n = 0; n < 15; n++) expect(textsOf().join('\n')).toContain(`Instance #${String(n).padStart(3, '0')} `);
  });

  it('mention no one, whatever their subjects are', async () => {
    steerTime();
    const { sendWithin, chat } = await serviceWith((sink) => digest({ everyMs: 1_000 }, sink));
    await sendWithin(1_000, aStorm(5, { subject: '<!channel> <@U0123ABCD> *now*' }));
    expect(chat.messages.length).toBeGreaterThan(0);
    expect(JSON.stringify(chat.messages)).not.toMatch(/<[!@]|\*now\*[^"]*mrkdwn/);
  });

  it('are one message of a worker’s forwarder, which resolves when that is delivered, and at once when it is closed', async () => {
    const chat = await slackStandIn();
    onTestFinished(() => chat.close());
    const forward = createForwarder({ sinks: [digest({ everyMs: 2_000 }, slack(chat.url))] });
    const jobs = () => Array.from({ length: 500 }, () => forward(anEventAndDelivery().delivery));
    await Promise.all(jobs());
    // On a busy machine, some come after the first window.
    const counts = chat.messages.map((message) => Number.parseInt(textIn(message), 10));
    expect(counts.reduce((sum, count) => sum + count)).toBe(500);
    expect(counts.length).toBeLessThan(10);

    const patient = createForwarder({ sinks: [digest({ everyMs: 240_000 }, slack(chat.url))] });
    const held = Array.from({ length: 10 }, () => patient(anEventAndDelivery().delivery));
    await patient.close();
    await Promise.all(held);
    expect(chat.messages.map(textIn).at(-1)).toMatch(/^10 notifications/);
  });
});

describe('the labels of the secrets', () => {
  it('route to the one side and the other, through a real service', async () => {
    const delivered: string[] = [];
    const sinkOf = (name: string): Sink<VastEvent> => ({
      name,
      deliver({ subject }) {
        delivered.push(`${name}: ${subject}`);
      },
    });
    const keys = { client: 'the-secret-of-the-client-webhook', host: 'the-secret-of-the-host-webhook' };
    const service = await serve(express5, {
      secret: keys,
      options: {
        sinks: [when('client:*', sinkOf('renter')), when(['host:low_disk_space', 'outbid'], sinkOf('hoster'))],
      },
    });
    for (const [key, type] of [
      [keys.client, 'low_disk_space'],
      [keys.host, 'low_disk_space'],
      [keys.host, 'machine_offline'],
      [keys.client, 'outbid'],
    ] as const) {
      const message = signed(anEvent({ notif_type: type, subject: type }), { key, timestamp: nowSeconds });
      expect((await service.send(message)).status).toBe(204);
    }
    expect(delivered).toEqual(['renter: low_disk_space', 'hoster: low_disk_space', 'renter: outbid', 'hoster: outbid']);
    expect(service.outcomes[0]?.sinks).toEqual({ renter: 'delivered', hoster: 'skipped' });
  });
});
