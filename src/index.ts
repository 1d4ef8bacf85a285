import { type ExpressWebhook, expressWebhook } from './adapters/express.js';
import type { VerifiedDelivery } from './contracts/delivery.js';
import type { WebhookOptions } from './options.js';
import { type VastEvent, vast } from './providers/vast.js';
import type { Secret } from './receive/secrets.js';

export type { ExpressWebhook as VastWebhook } from './adapters/express.js';
export type { Code } from './contracts/answer.js';
export type { Delivery, ReceivedDelivery as Received, VerifiedDelivery as Verified } from './contracts/delivery.js';
export { type SignatureReason, SinkError, WebhookError } from './contracts/errors.js';
export type { ErrorContext, Outcome } from './contracts/result.js';
export type { Sink, SinkContext, SinkFunction, SinkResult } from './contracts/sink.js';
export type { ClaimResult, IdempotencyStore } from './contracts/store.js';
export type { DeliveryMessage, SinkMessage } from './diagnostics.js';
export type { Closable } from './endpoint.js';
export type { ForwarderOptions, WebhookOptions } from './options.js';
export type { Severity } from './providers/provider.js';
export {
  type UnknownVastEvent,
  type VastContext,
  type VastEvent,
  type VastEventOf,
  type VastTopic,
  type VastType,
  type VastTypeInfo,
  vastTypes,
} from './providers/vast.js';
export { detailsOf, type VastDetails } from './providers/vast-details.js';
export { createForwarder, type Forwarder as Forward } from './queue/create-forwarder.js';
export type { QueuedDelivery } from './queue/envelope.js';
export { keepRawBody } from './receive/raw-body.js';
export type { Secret, SecretList } from './receive/secrets.js';
export { sign } from './receive/signature.js';
export { type VerifyDeliveryInput, verifyDelivery } from './receive/verify.js';
export { when } from './sinks/when.js';
export { type MemoryStoreOptions, memoryStore } from './stores/memory/memory-store.js';

declare global {
  namespace Express {
    interface Request {
      /** The verified event and its delivery, in handlers behind `vastWebhook`. */
      vast: VerifiedDelivery<VastEvent>;
    }
  }
}

/**
 * Receives Vast.ai notifications: verifies each delivery, makes each event count once, delivers it to the sinks or
 * calls the handler behind. Throws a `TypeError` for an invalid secret or option.
 */
export function vastWebhook(secret: Secret, options?: WebhookOptions): ExpressWebhook {
  return expressWebhook(vast, secret, options);
}
