import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { signedDelivery } from 'vast-webhook/testing';

const vectors = new URL('../../test/fixtures/vectors.json', import.meta.url);
const hour = 3_600;

/**
 * What is sent to a service, in this order, and what should become of each: the deliveries of the test vectors, then
 * a duplicate and three that are not genuine.
 */
export function deliveries(secret) {
  const { vast } = JSON.parse(readFileSync(vectors, 'utf8'));
  const ids = new Map();
  const list = vast.map(({ body }) => {
    const { event_id, notif_type } = JSON.parse(body);
    // Two vectors of one type and id are one event; where only the id is the same, it was reused for another sample.
    const key = `${notif_type} ${event_id}`;
    const isKnown = ids.has(key);
    if (!isKnown) ids.set(key, randomBytes(16).toString('hex'));
    const fresh = body.replace(event_id, ids.get(key));
    return isKnown
      ? genuine(`${notif_type}, re-encoded`, fresh, '204 duplicate', [])
      : genuine(notif_type, fresh, '204 accepted', hearersOf(notif_type));
  });

  const outbid = list.find(({ sent }) => sent === 'outbid').body;
  const another = () => outbid.replace(idOf(outbid), randomBytes(16).toString('hex'));
  const changed = genuine('outbid, changed on its way', another(), '401 signature_mismatch', []);
  const unsigned = genuine('outbid, without signature', another(), '401 missing_signature', []);
  delete unsigned.headers['X-Vast-Signature-256'];
  return [
    ...list,
    genuine('outbid, sent again', outbid, '204 duplicate', [], { attempt: 2 }),
    { ...changed, body: changed.body.replace('$0.06/hr', '$0.01/hr') },
    genuine('outbid, signed an hour ago', another(), '401 stale_timestamp', [], { timestamp: now() - hour }),
    unsigned,
  ];

  function genuine(sent, text, answered, delivered, options) {
    const { headers, body } = signedDelivery(text, secret, options);
    const id = idOf(text);
    return { sent, id, body, headers: { ...headers, 'X-Vast-Event-Id': id }, expected: { answered, delivered } };
  }
}

/** The sinks that accept a type, as the services are set up. */
function hearersOf(type) {
  return type === 'outbid' || type.startsWith('instance_') ? ['Slack', 'Google Chat', 'log'] : ['Slack', 'log'];
}

function idOf(body) {
  return JSON.parse(body).event_id;
}

function now() {
  return Math.floor(Date.now() / 1000);
}
