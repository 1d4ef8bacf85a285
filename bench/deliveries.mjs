import { createHmac, randomBytes } from 'node:crypto';

export const secret = '9f2c6d1e5b7a48c3a0d4f86b21e97c53';
export const path = '/vast/webhooks';

/** Signed deliveries of distinct events, each as the bytes that a keep-alive connection carries. */
export function signedDeliveries(count, key = secret, target = path) {
  const timestamp = Math.floor(Date.now() / 1000);
  return newEvents(count).map((event) => signedDelivery(event, { timestamp, key, target }));
}

/** Distinct events: their ids and bodies. */
export function newEvents(count) {
  const timestamp = Math.floor(Date.now() / 1000);
  return Array.from({ length: count }, () => {
    const id = randomBytes(16).toString('hex');
    return { id, body: outbid(id, timestamp) };
  });
}

/** An attempt to deliver an event, signed for this time. */
export function signedDelivery({ id, body }, { timestamp, attempt = 1, key = secret, target = path } = {}) {
  timestamp ??= Math.floor(Date.now() / 1000);
  const signature = createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex');
  return Buffer.from(
    [
      `POST ${target} HTTP/1.1`,
      'Host: hooks.example.com',
      'User-Agent: python-requests/2.32.3',
      'Accept-Encoding: gzip, deflate',
      'Accept: */*',
      'Connection: keep-alive',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Vast-Signature-256: sha256=${signature}`,
      `X-Vast-Timestamp: ${timestamp}`,
      `X-Vast-Event-Id: ${id}`,
      `X-Vast-Delivery-Attempt: ${attempt}`,
      '',
      body,
    ].join('\r\n'),
  );
}

/** A notification of the usual kind and length, about 450 bytes. */
function outbid(id, timestamp) {
  return JSON.stringify({
    event_id: id,
    user_id: 123,
    notif_type: 'outbid',
    subject: 'Your Interruptible Instance #48926820 Has Been Outbid',
    message:
      'Your interruptible instance 48926820 on machine 101502 has been outbid and will be stopped. ' +
      'Your bid was $0.03/hr and the current minimum bid is $0.06/hr. ' +
      'Update your bid at https://cloud.vast.ai/instances/ to keep it running.',
    timestamp: timestamp - 0.796,
  });
}
