import { answerFor, senderGivesUpAfter } from './contracts/answer.js';
import type { Delivery } from './contracts/delivery.js';
import type { Forwarded, Outcome } from './contracts/result.js';
import type { VerifiedRequest } from './receive/verify.js';

/** The outcome of a delivery, from what is known about it. */
export function outcomeOf(
  { duplicate, error, sinks }: Forwarded,
  status: number,
  verified: VerifiedRequest | undefined,
  delivery: Delivery | undefined,
  type: string | undefined,
  durationMs: number,
): Outcome {
  return {
    result: error === undefined ? (duplicate ? 'duplicate' : 'accepted') : answerFor(error.code).result,
    status,
    code: error?.code,
    reason: error?.reason,
    permanent: error !== undefined && senderGivesUpAfter(status),
    id: delivery?.id,
    type,
    webhook: verified?.key.label ?? delivery?.webhook,
    attempt: delivery?.attempt,
    source: delivery?.source,
    durationMs,
    skewSeconds: verified && clockSkew(verified),
    sinks,
    error,
  };
}

function clockSkew({ credentials: { timestamp }, receivedAt }: VerifiedRequest): number | undefined {
  return timestamp === undefined ? undefined : Number(timestamp) - Math.floor(receivedAt / 1000);
}
