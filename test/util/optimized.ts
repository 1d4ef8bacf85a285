// Delivers until V8 has compiled the way of a delivery, collects all garbage, and delivers on. With --trace-deopt, V8
// prints the functions whose code it discards.
import { vastWebhook } from '../../src/fetch.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';

declare const gc: () => void;
const secret = 'the-secret';
const hook = vastWebhook(secret, {}, () => new Response(null, { status: 204 }));
for (let round = 0; round < 3; round++) {
  for (let n = 0; n < 5_000; n++) {
    const { body, headers } = signedDelivery({ ...sampleEvent('outbid'), event_id: `event-${round}-${n}` }, secret);
    const request = new Request('http://localhost/', {
      method: 'POST',
      headers: { ...headers, 'Content-Length': String(body.length) },
      body,
    });
    const { status } = await hook(request, { waitUntil() {} });
    if (status !== 204) throw new Error(`the answer was ${status}`);
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  gc();
}
