/** A fleet goes offline, and a real service with a chat gets its events. In real time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
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

/** A service whose Slack sink is wrapped by `wrap`. */
async function serviceWith(wrap: (sink: Sink<VastEvent>) => Sink<VastEvent>, options: WebhookOptions = {}) {
  const chat = await slackStandIn();
  onTestFinished(() => chat.close());
  const service = await serve(express5, { options: { sinks: [wrap(slack(chat.url))], ...options } });
  const sendAll = (storm: readonly ReturnType<typeof signed>[]) =>
    Promise.all(storm.map(async (message) => (await service.send(message)).status));
  return { chat, service, sendAll, textsOf: () => chat.messages.map(textIn) };
}

const textIn = ({ text }: SlackStandInMessage) => text.replaceAll('\u200B', '');

describe('500 instances that go offline at once', () => {
  it('are one message, whose request answers each request with 204 and completes each event', async () => {
    const { chat, service, sendAll, textsOf } = await serviceWith((sink) => digest({ everyMs: 20_000 }, sink), {
      deadlineMs: 120_000,
    });
    const storm = aStorm(500);
    const sending = sendAll(storm);
    await sleep(3_000);
    expect(service.outcomes).toHaveLength(0);
    expect(new Set(await sending)).toEqual(new Set([204]));
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
    const { chat, sendAll, textsOf } = await serviceWith((sink) => digest({ everyMs: 2_000 }, sink), {
      deadlineMs: 40_000,
    });
    chat.misbehave = (res) => res.writeHead(503).end();
    const storm = aStorm(15);
    expect(new Set(await sendAll(storm))).toEqual(new Set([502]));
    expect(chat.requests.length).toBeLessThan(15);
    chat.misbehave = undefined;
    expect(new Set(await sendAll(storm))).toEqual(new Set([204]));
    for (let n = 0; n < 15; n++) expect(textsOf().join('\n')).toContain(`Instance #${String(n).padStart(3, '0')} `);
  });

  it('mention no one, whatever their subjects are', async () => {
    const { sendAll, chat } = await serviceWith((sink) => digest({ everyMs: 1_000 }, sink));
    await sendAll(aStorm(5, { subject: '<!channel> <@U0123ABCD> *now*' }));
    expect(chat.messages.length).toBeGreaterThan(0);
    expect(JSON.stringify(chat.messages)).not.toMatch(/<[!@]|\*now\*[^"]*mrkdwn/);
  });

  it('are one message of a worker’s forwarder, which resolves when that is delivered, and at once when it is closed', async () => {
    const chat = await slackStandIn();
    onTestFinished(() => chat.close());
    const forward = createForwarder({ sinks: [digest({ everyMs: 2_000 }, slack(chat.url))] });
    const jobs = () => Array.from({ length: 500 }, () => forward(anEventAndDelivery().delivery));
    await Promise.all(jobs());
    expect(chat.messages.map(textIn)).toEqual([expect.stringMatching(/^500 notifications/)]);

    const patient = createForwarder({ sinks: [digest({ everyMs: 240_000 }, slack(chat.url))] });
    const held = Array.from({ length: 10 }, () => patient(anEventAndDelivery().delivery));
    await patient.close();
    await Promise.all(held);
    expect(chat.messages.map(textIn)[1]).toMatch(/^10 notifications/);
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
