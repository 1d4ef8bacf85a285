import type { LoggedDelivery } from '../../../src/cli/dev/delivery-log.js';

/** A delivery as `dev` keeps it: accepted, unless `changes` say otherwise. */
export function deliveryOf(body: string, changes: Partial<LoggedDelivery> = {}): LoggedDelivery {
  return {
    number: 1,
    at: Date.UTC(2026, 10, 21, 12),
    method: 'POST',
    path: '/vast/webhooks',
    headers: [
      ['Host', '127.0.0.1:8787'],
      ['Content-Type', 'application/json'],
      ['X-Vast-Timestamp', '1795262400'],
      ['X-Vast-Signature-256', `sha256=${'a'.repeat(64)}`],
    ],
    body,
    isBase64: false,
    bytes: body.length,
    isCut: false,
    cannotResend: undefined,
    result: 'accepted',
    status: 204,
    code: undefined,
    reason: undefined,
    permanent: false,
    message: undefined,
    id: undefined,
    type: undefined,
    subject: undefined,
    attempt: 1,
    durationMs: 1,
    skewSeconds: 0,
    forwarded: undefined,
    sinks: {},
    isEarlier: false,
    ...changes,
  };
}
