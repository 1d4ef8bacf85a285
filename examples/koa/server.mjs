import Koa from 'koa';
import { vastWebhook } from 'vast-webhook/koa';
import { googleChat } from 'vast-webhook/sinks';

const { VAST_WEBHOOK_SECRET, GOOGLE_CHAT_URL, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET || !GOOGLE_CHAT_URL) {
  console.error(
    'Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook and GOOGLE_CHAT_URL to the Google Chat one.',
  );
  process.exit(1);
}

const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {
  sinks: [
    googleChat(GOOGLE_CHAT_URL),
    async function log(event) {
      console.log(`${event.notif_type}: ${event.subject}`);
    },
  ],
});

const app = new Koa();
app.use(webhook); // before any body parser: signatures are over raw bytes
app.use((ctx) => {
  if (ctx.path === '/health') ctx.body = { ok: true };
});

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close(); // delivers running events first; new deliveries get a 503, and the sender retries
  });
}
