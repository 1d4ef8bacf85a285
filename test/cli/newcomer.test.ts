import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { proxiedHosts } from '../support/proxied-hosts.js';
import { telegramStandIn, telegramToken } from '../support/service-stand-in.js';
import { type Installed, installed } from './installed.js';

let command: Installed;
beforeAll(async () => {
  // The first command: npm install vast-webhook.
  command = await installed();
}, 120_000);
afterAll(() => command?.remove());

it('three commands lead from nothing to a Telegram message', async () => {
  const telegram = await telegramStandIn();
  onTestFinished(() => telegram.close());
  // No machine of the tests reaches api.telegram.org, so that a proxy stands for the way there.
  const proxy = await proxiedHosts({ 'api.telegram.org': telegram.url });
  onTestFinished(() => proxy.close());
  const env = { VAST_WEBHOOK_SECRET: 'a secret of the test' };
  const serve = command.start(['serve', '--port', '0'], {
    ...env,
    VAST_WEBHOOK_SINKS: `tgram://${telegramToken}/-1001234567890`,
    HTTPS_PROXY: proxy.url,
    SSL_CERT_FILE: proxy.certificate,
  });
  const [, url = ''] = await serve.printed(/listening on (http:[^\s,]*)/);
  const trigger = command.start(['trigger', 'outbid', '--url', url], env);
  expect(await trigger.exited, trigger.stdout + trigger.stderr).toBe(0);
  expect(telegram.requests).toHaveLength(1);
  const { chat_id: chat, text } = JSON.parse(telegram.requests[0]?.body ?? '{}');
  expect({ chat, text }).toEqual({ chat: '-1001234567890', text: expect.stringContaining('type=outbid') });
  serve.kill('SIGTERM');
  expect(await serve.exited).toBe(0);
  expect(serve.stdout + serve.stderr).not.toContain(telegramToken.split(':')[1]);
});
