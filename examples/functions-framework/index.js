import functions from '@google-cloud/functions-framework';
import { vastWebhook } from 'vast-webhook';

const { VAST_WEBHOOK_SECRET } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

// Created once for all requests. Without `path`, signed requests are accepted on every path.
const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {
  path: '/vast/webhooks',
  sinks: [
    async function log(event) {
      console.log(`${event.notif_type}: ${event.subject}`);
    },
  ],
});

functions.http('service', (req, res) => {
  // The body is parsed already. Its bytes are in req.rawBody, where the middleware finds them.
  webhook(req, res, () => {
    if (req.path === '/orders') res.json({ ordered: req.body });
    else res.sendStatus(404);
  });
});
