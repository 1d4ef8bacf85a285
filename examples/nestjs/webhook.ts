import { vastWebhook } from 'vast-webhook';

const { VAST_WEBHOOK_SECRET } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

export const webhook = vastWebhook(VAST_WEBHOOK_SECRET);
