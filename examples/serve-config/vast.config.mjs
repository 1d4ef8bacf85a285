// vast-webhook serve --config vast.config.mjs --outbox outbox.db
import { when } from 'vast-webhook';
import { cloudEvents, digest } from 'vast-webhook/sinks';

export default {
  sinks: [
    digest({ everyMs: 1_000 }, cloudEvents(process.env.BROKER_URL, { name: 'broker' })),
    // A function of your own.
    when('outbid', async function rebid(event) {
      console.log(`bid again: ${event.subject}`);
    }),
  ],
};
