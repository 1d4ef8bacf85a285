import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { googleChatStandIn, slackStandIn, slackWorkflowStandIn } from '../support/chat-stand-in.js';
import { runCommand, temporaryFolder } from './running.js';
import { anEvent, deliver, during, secret, serving } from './serving.js';

describe('serve knows a chat by its address wherever it is given', () => {
  it("a workflow's trigger in SLACK_WEBHOOK_URL: its shape, its console, its refusals", async () => {
    const workflow = await during(slackWorkflowStandIn());
    const env = { SLACK_WEBHOOK_URL: workflow.url, VAST_CONSOLE: 'https://console.example' };
    const { url } = await serving([], { env });
    expect((await deliver(url)).status).toBe(204);
    expect(workflow.messages[0]).toMatchObject({ vast_action_url: 'https://console.example/instances/' });
    workflow.misbehave = (res) => res.writeHead(200).end('{"ok":false,"error":"invalid_auth"}');
    expect((await deliver(url)).status).toBe(502);
  });
});

describe('serve with labelled secrets', () => {
  const env = { VAST_WEBHOOK_SECRET: '', VAST_WEBHOOK_SECRETS: `renter=${secret},host=the-secret-of-the-host` };

  it('limits a chat to the webhook whose label stands before its address', async () => {
    const renter = await during(slackStandIn());
    const host = await during(slackStandIn());
    const both = await during(googleChatStandIn());
    const SLACK_WEBHOOK_URL = `renter@${renter.url} host@${host.url}`;
    const { url } = await serving([], { env: { ...env, SLACK_WEBHOOK_URL, GOOGLE_CHAT_URL: both.url } });
    await deliver(url);
    await deliver(url, anEvent(), 'the-secret-of-the-host');
    await deliver(url, anEvent(), 'the-secret-of-the-host');
    expect([renter, host, both].map(({ messages }) => messages.length)).toEqual([1, 2, 3]);
  });

  it('refuses a label that is none, and a webhook that nobody hears', async () => {
    const slack = 'https://hooks.slack.com/services/T/B/secrettoken';
    const refused = async (SLACK_WEBHOOK_URL: string, args: string[] = []) => {
      const { status, err } = await runCommand(['serve', '--port', '0', ...args], {
        env: { ...env, SLACK_WEBHOOK_URL },
      });
      expect(status).toBe(1);
      expect(err).not.toContain('secrettoken');
      return err;
    };
    expect(await refused(`hots@${slack}`)).toContain('the labels are renter, host');
    expect(await refused(`host@${slack}`)).toContain('no chat gets the events of the webhook "renter"');
  });
});

describe("serve with a secret's file", () => {
  it("takes the secret out of the guides' vast-webhook.json", async () => {
    const cwd = temporaryFolder();
    writeFileSync(
      join(cwd, 'vast-webhook.json'),
      JSON.stringify({ success: true, webhook: { id: 1, webhook_secret: secret } }),
    );
    const { url } = await serving(['--log-events', '--secret-file', 'vast-webhook.json'], { cwd });
    expect((await deliver(url)).status).toBe(204);
  });

  it.each(['{"webhook": {"id": 1}}', '["a"]', `VAST_WEBHOOK_SECRET=${secret}\n`, 'a\u0000b'])(
    'refuses %j, which would refuse every delivery',
    async (content) => {
      const cwd = temporaryFolder();
      writeFileSync(join(cwd, 'file'), content);
      const { status, err } = await runCommand(['serve', '--log-events', '--secret-file', 'file'], { cwd });
      expect([status, err]).toEqual([1, expect.stringContaining('holds something else than secrets')]);
      expect(err).not.toContain(secret);
    },
  );
});

describe('serve takes and waits for what the adapters did', () => {
  it('a chat that takes longer than five seconds, once', async () => {
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => setTimeout(() => res.end('ok'), 6_000);
    const { url } = await serving(['--slack', slack.url]);
    expect((await deliver(url)).status).toBe(204);
    expect(slack.requests).toHaveLength(1);
  });

  it('as long as --sink-timeout says', async () => {
    const slack = await during(slackStandIn());
    slack.misbehave = () => {};
    const { url, io } = await serving(['--slack', slack.url, '--sink-timeout', '0.2']);
    expect((await deliver(url)).status).toBe(502);
    await io.printed(/no answer within 200 ms/);
  });

  it('a body of more than 64 kB, up to --limit', async () => {
    const event = anEvent({ message: 'm'.repeat(200_000) });
    const { url } = await serving(['--log-events']);
    expect((await deliver(url, event)).status).toBe(204);
    const small = await serving(['--log-events', '--limit', '64kb']);
    expect((await deliver(small.url, event)).status).toBe(413);
    expect(await runCommand(['serve', '--limit', 'much'])).toMatchObject({ status: 2 });
  });
});

describe('serve with an outbox', () => {
  it('reports the first failure of a sink, and its recovery', async () => {
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => res.writeHead(503).end();
    const { url, io } = await serving(['--slack', slack.url, '--outbox', 'outbox.db']);
    for (let i = 0; i < 3; i++) expect((await deliver(url)).status).toBe(204);
    await io.printed(/slack\S*: Slack answered 503; its events wait in the outbox/);
    await vi.waitUntil(() => slack.requests.length > 4);
    expect(io.out.match(/its events wait/g)).toHaveLength(1);
    slack.misbehave = undefined;
    await io.printed(/slack\S* takes events again; (events that wait: \d|no event waits)/);
  });
});

describe('serve with an outbox that another process has written to', () => {
  it('counts also the events that it has not taken itself', async () => {
    const slack = await during(slackStandIn());
    slack.misbehave = (res) => res.writeHead(503, { 'Retry-After': '1' }).end();
    const cwd = temporaryFolder();
    const args = ['--slack', slack.url, '--outbox', 'outbox.db', '--log', 'json'];
    const first = await serving(args, { cwd });
    for (let i = 0; i < 4; i++) expect((await deliver(first.url)).status).toBe(204);
    await first.io.printed(/its events wait/);
    await first.stop();
    let count = 0;
    // One event is taken, and the others are not yet.
    slack.misbehave = (res) => (++count === 2 ? res.end('ok') : res.writeHead(503, { 'Retry-After': '1' }).end());
    const second = await serving(args, { cwd });
    await second.io.printed(/takes events again; events that wait: 3"/);
    expect(second.io.out).toContain('"waiting":3');
  });
});
