import { vastWebhook } from 'vast-webhook/fetch';

// Made once for all requests of an instance.
const webhook = vastWebhook(process.env.VAST_WEBHOOK_SECRET, {
  sinks: [
    async function log(event) {
      console.log(`${event.notif_type}: ${event.subject}`);
    },
  ],
});

/** For HTTP APIs and function URLs (payload format 2.0) and REST APIs (1.0). API Gateway's route says which path it is on. */
export async function handler(event) {
  const method = event.requestContext.http?.method ?? event.httpMethod;
  if (method !== 'POST') return { statusCode: 405, headers: { allow: 'POST' } };
  const response = await webhook(
    new Request('https://lambda.invalid/vast/webhooks', { method, headers: headersOf(event), body: bodyOf(event) }),
  );
  return {
    statusCode: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.text(),
  };
}

/** If a header was sent twice, `headers` of a REST API holds only the last value, which could be forged. */
function headersOf({ headers, multiValueHeaders }) {
  const pairs = Object.entries(multiValueHeaders ?? headers ?? {});
  return new Headers(pairs.flatMap(([name, values]) => [values].flat().map((value) => [name, value])));
}

function bodyOf({ body, isBase64Encoded }) {
  return Buffer.from(body ?? '', isBase64Encoded ? 'base64' : 'utf8');
}
