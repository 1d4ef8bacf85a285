import { isPermanent, rowOf } from './contracts/answer.js';
import type { Delivery } from './contracts/delivery.js';
import type { Forwarded, Outcome } from './contracts/result.js';
import type { Authentic } from './receive/verify.js';

/** The outcome of a delivery, from as much as became known of it. */
export function outcomeOf(
  { duplicate, error, sinks }: Forwarded,
  status: number,
  authentic: Authentic | undefined,
  delivery: Delivery | undefined,
  type: string | undefined,
  durationMs: number,
): Outcome {
  return {
    result: error === undefined ? (duplicate ? 'duplicate' : 'accepted') : rowOf(error.code).result,
    status,
    code: error?.code,
    reason: error?.reason,
    permanent: error !== undefined && isPermanent(status),
    id: delivery?.id,
    type,
    webhook: authentic?.key.label ?? delivery?.webhook,
    attempt: delivery?.attempt,
    durationMs,
    skewSeconds: authentic && skewOf(authentic),
    sinks,
    error,
  };
}

function skewOf({ timestamp, receivedAt }: Authentic): number | undefined {
  return timestamp === undefined ? undefined : Number(timestamp) - Math.floor(receivedAt / 1000);
}
