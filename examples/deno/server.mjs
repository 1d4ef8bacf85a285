import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { vastWebhook } from 'vast-webhook/fetch';
import { slack } from 'vast-webhook/sinks';
import { sqliteStore } from 'vast-webhook/stores';

const { VAST_WEBHOOK_SECRET, SLACK_WEBHOOK_URL, DATABASE = 'events.db', PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET || !SLACK_WEBHOOK_URL) {
  console.error('Set VAST_WEBHOOK_SECRET and SLACK_WEBHOOK_URL.');
  process.exit(1);
}

const hook = vastWebhook(VAST_WEBHOOK_SECRET, {
  path: '/vast/webhooks',
  store: sqliteStore(new DatabaseSync(DATABASE)),
  sinks: [slack(SLACK_WEBHOOK_URL)],
});
const server = Deno.serve({ hostname: '127.0.0.1', port: Number(PORT), onListen() {} }, hook);
console.log(`Listening on http://127.0.0.1:${server.addr.port}/vast/webhooks`);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await hook.close(); // what is in flight finishes first; new deliveries get a 503, and the sender retries
    await server.shutdown();
  });
}
