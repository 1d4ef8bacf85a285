import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { slack, slackWorkflow } from '../../src/sinks/index.js';
import { slackStandIn, slackWorkflowStandIn } from '../support/chat-stand-in.js';
import { proxiedHosts } from '../support/proxied-hosts.js';
import { temporaryFolder } from './running.js';
import { deliver, during, serving } from './serving.js';

describe('a sink made for the other kind of address', () => {
  it.each([
    ['slack', 'triggers', slack, 'use slackWorkflow for it', slackWorkflow],
    ['slack', 'workflows', slack, 'use slackWorkflow for it', slackWorkflow],
    ['slackWorkflow', 'services', slackWorkflow, 'use slack for it', slack],
  ])('%s() refuses what lies below /%s/, and names the sink that takes it', (_, path, make, cure, right) => {
    for (const host of ['hooks.slack.com', 'hooks.slack-gov.com']) {
      const url = `https://${host}/${path}/T0/1/secrettoken`;
      const attempt = () => make(url);
      expect(attempt).toThrow(TypeError);
      expect(attempt).toThrow(cure);
      expect(attempt).not.toThrow(/secrettoken/);
      expect(() => right(url)).not.toThrow();
    }
  });
});

describe('serve distinguishes an incoming webhook and a trigger by the address', () => {
  type Start = (address: string) => Parameters<typeof serving>;
  const places: [string, Start][] = [
    ['SLACK_WEBHOOK_URL', (SLACK_WEBHOOK_URL) => [[], { env: { SLACK_WEBHOOK_URL } }]],
    ['GOOGLE_CHAT_URL', (GOOGLE_CHAT_URL) => [[], { env: { GOOGLE_CHAT_URL } }]],
    [
      'SLACK_WEBHOOK_URL of .env',
      (address) => {
        const cwd = temporaryFolder();
        writeFileSync(join(cwd, '.env'), `SLACK_WEBHOOK_URL=${address}\n`);
        return [[], { cwd }];
      },
    ],
    ['--slack', (address) => [['--slack', address], {}]],
    ['--google-chat', (address) => [['--google-chat', address], {}]],
    ['--sink', (address) => [['--sink', address], {}]],
  ];

  it.each(places)('in %s, and links to VAST_CONSOLE', async (_, start) => {
    const incoming = await during(slackStandIn());
    const trigger = await during(slackWorkflowStandIn());
    const paths = [incoming, trigger].map(({ url }) => new URL(url).pathname);
    let chat = incoming;
    const proxy = await proxiedHosts({ 'hooks.slack.com': () => new URL(chat.url).origin });
    onTestFinished(() => proxy.close());
    const more = {
      HTTPS_PROXY: proxy.url,
      SSL_CERT_FILE: proxy.certificate,
      VAST_CONSOLE: 'https://console.example',
    };
    for (const [index, each] of [incoming, trigger as never].entries()) {
      chat = each;
      const [args, options = {}] = start(`https://hooks.slack.com${paths[index]}`);
      const { url, stop } = await serving(args, { ...options, env: { ...more, ...options.env } });
      expect((await deliver(url)).status).toBe(204);
      await stop();
    }
    expect(incoming.messages).toMatchObject([{ text: expect.any(String), blocks: expect.any(Array) }]);
    expect(JSON.stringify(incoming.messages)).toContain('https://console.example/instances/');
    expect(trigger.messages).toMatchObject([{ vast_action_url: 'https://console.example/instances/' }]);
  });
});
