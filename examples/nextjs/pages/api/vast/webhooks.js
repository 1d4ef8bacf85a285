import { vastWebhook } from 'vast-webhook';

export const config = {
  api: {
    bodyParser: false, // signatures are over raw bytes
    externalResolver: true, // the middleware answers, not what this file returns
  },
};

const webhook = vastWebhook(() => process.env.VAST_WEBHOOK_SECRET, {
  sinks: [
    {
      name: 'log',
      async deliver(event) {
        console.log(`${event.notif_type}: ${event.subject}`);
      },
    },
  ],
});

export default function handler(req, res) {
  webhook(req, res);
}
