import express from 'express';
import { vastWebhook } from 'vast-webhook';
import { pager } from './pager.mjs';

const { VAST_WEBHOOK_SECRET, PAGER_URL, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET || !PAGER_URL) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook and PAGER_URL to where alarms go.');
  process.exit(1);
}

const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {
  sinks: [pager(PAGER_URL)],
  onOutcome({ result, code = result, type, sinks }) {
    const pager = sinks?.pager;
    console.log(`${type ?? 'a delivery'}: ${code}, pager: ${pager?.message ?? pager ?? 'not asked'}`);
    if (pager?.permanent) console.log('No repetition will help: see to the pager.');
    if (pager?.retryAfterMs) console.log(`The pager wants to be left alone for ${pager.retryAfterMs} ms.`);
  },
});

const app = express();
app.use(webhook);

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close(); // delivers running events first; new deliveries get a 503, and the sender retries
  });
}
