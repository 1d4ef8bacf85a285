import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { endpointStandIn, slackStandIn } from '../../support/chat-stand-in.js';
import { runCommand, temporaryFolder } from '../running.js';
import { anEvent, deliver, during, secret, serving } from '../serving.js';

/** A chat that is down, and an address that hears of it, as CloudEvents. */
async function standIns() {
  const chat = await during(slackStandIn());
  chat.misbehave = (res) => res.writeHead(503).end();
  const alert = await during(endpointStandIn('application/cloudevents+json'));
  return {
    chat,
    alertUrl: `cloudevents+${alert.url}`,
    heard: () => alert.requests.map(({ body }) => JSON.parse(body).data),
  };
}

describe('the alert sink of serve', () => {
  it.each([
    ['with an outbox', ['--outbox', 'outbox.db'], 204],
    ['without one', [], 502],
  ])('%s hears once of a sink that keeps failing, and once of its recovery', async (_, args, status) => {
    const { chat, alertUrl, heard } = await standIns();
    const { url, io } = await serving(['--slack', chat.url, '--alert-after', '0.2', ...args], {
      env: { VAST_WEBHOOK_ALERT: `pager=${alertUrl}` },
    });
    // Like the sender, which tries again.
    await vi.waitUntil(async () => {
      expect((await deliver(url, anEvent({ event_id: 'one' }))).status).toBe(status);
      return heard().length > 0;
    });
    const name = /delivering to (slack-[\da-f]{8})/.exec(io.out)?.[1];
    expect(heard()).toMatchObject([
      { notif_type: 'sink_failing', sink: name, message: expect.stringContaining('503') },
    ]);
    if (args.length > 0) expect(heard()[0].message).toContain('1 event waits in the outbox');
    chat.misbehave = undefined;
    if (args.length === 0) expect((await deliver(url, anEvent({ event_id: 'one' }))).status).toBe(204);
    await vi.waitUntil(() => heard().length > 1);
    expect(heard().map(({ notif_type }) => notif_type)).toEqual(['sink_failing', 'sink_recovered']);
    expect(chat.messages).toHaveLength(1);
  });

  it('is one of a config, too, in JSON and of a module', async () => {
    const { chat, alertUrl, heard } = await standIns();
    const cwd = temporaryFolder();
    const sinks = [{ url: `cloudevents+${chat.url}`, name: 'chat' }];
    writeFileSync(join(cwd, 'vast.json'), JSON.stringify({ sinks, alert: { url: 'env:ALERT', afterSeconds: 0.05 } }));
    const json = await serving(['--config', 'vast.json'], { cwd, env: { ALERT: alertUrl } });
    await vi.waitUntil(async () => {
      await deliver(json.url, anEvent({ event_id: 'one' }));
      return heard().length > 0;
    });
    await json.stop();
    writeFileSync(
      join(cwd, 'vast.config.mjs'),
      `export default {
         sinks: [function down() { throw new Error('it is down'); }],
         alert: {
           sink: async function tell(event) {
             await fetch(process.env.ALERT_OF_THE_TEST, { method: 'POST', body: JSON.stringify({ data: event }) });
           },
           afterMs: 50,
         },
       };`,
    );
    writeFileSync(join(cwd, '.env'), `ALERT_OF_THE_TEST=${alertUrl.replace('cloudevents+', '')}\n`);
    const made = await serving(['--config', 'vast.config.mjs', '--outbox', 'outbox.db'], { cwd });
    await deliver(made.url, anEvent({ event_id: 'two' }));
    await vi.waitUntil(() => heard().length > 1);
    await made.stop();
    delete process.env.ALERT_OF_THE_TEST;
    expect(heard().map(({ sink }) => sink)).toEqual(['chat', 'down']);
  });

  it('may have the address of a sink, and appears in no log', async () => {
    const { chat, alertUrl } = await standIns();
    const both = ['--sink', alertUrl, '--alert', alertUrl, '--outbox', 'outbox.db', '--log', 'json'];
    const { url, io, stop } = await serving(both);
    await deliver(url);
    await stop();
    expect(io.out + io.err).not.toContain('secretENDPOINTtoken');
    expect(chat.requests).toEqual([]);
  });

  it('is named when serve starts', async () => {
    const { chat, alertUrl } = await standIns();
    const { io } = await serving(['--slack', chat.url, '--alert', `pager=${alertUrl}`]);
    expect(io.out).toMatch(/store: memory; alerts to pager\n/);
  });

  it('is one: several in a variable are refused', async () => {
    const { status, err } = await runCommand(['serve', '--port', '0', '--log-events'], {
      env: {
        VAST_WEBHOOK_SECRET: secret,
        VAST_WEBHOOK_ALERT: 'x=slack://T/B/secretslacktoken y=discord://1/secretslacktoken',
      },
    });
    expect([status, err]).toEqual([1, 'vast-webhook: VAST_WEBHOOK_ALERT: give one address\n']);
  });

  it.each([
    [['--alert', 'slack://T/B/secretslacktoken', '--alert', 'discord://1/AbC'], 1, '--alert: give one address'],
    [['--alert-after', '5'], 2, '--alert-after needs an alert sink'],
    [['--alert', 'https://example.com/secretslacktoken'], 1, '--alert: example.com is not known'],
    [['--alert', 'host@slack://T/B/secretslacktoken'], 1, '--alert: before the @ there must be the label'],
    [['--alert', 'slack://T/B/secretslacktoken', '--alert-after', '1e9'], 2, '86400 at most'],
    [['--alert', 'slack://T/B/secretslacktoken', '--alert-after', '0'], 2, 'a number above 0'],
  ])('is refused in %j', async (args, status, message) => {
    const all = ['serve', '--port', '0', '--log-events', '--sink', 'slack://T/B/x', ...args];
    const called = await runCommand(all, { env: { VAST_WEBHOOK_SECRET: secret } });
    expect(called.err).toContain(message);
    expect(called.status).toBe(status);
    expect(called.err).not.toContain('secretslacktoken');
  });
});
