import { after } from 'next/server';
import { vastWebhook } from 'vast-webhook/fetch';

// A function, because `next build` also loads this file and need not know the secret.
const webhook = vastWebhook(() => process.env.VAST_WEBHOOK_SECRET, {
  sinks: [
    {
      name: 'log', // which stays when Next.js shortens the names of functions
      async deliver(event) {
        console.log(`${event.notif_type}: ${event.subject}`);
      },
    },
  ],
});

// Work after the answer is passed to `after`, so that the platform does not freeze it.
export const POST = (request) => webhook(request, { waitUntil: after });
