import { type FetchHandler as AnyFetchHandler, type FetchWebhook, fetchWebhook } from './adapters/fetch.js';
import type { VerifiedDelivery } from './contracts/delivery.js';
import type { WebhookOptions } from './options.js';
import { type VastEvent, vast } from './providers/vast.js';
import type { Secret } from './receive/secrets.js';

export type { FetchWebhook as VastWebhook, WaitUntil } from './adapters/fetch.js';
export type { VastEvent } from './providers/vast.js';

/** The service's own code: what it answers settles the event, and is answered to the sender. */
export type FetchHandler = AnyFetchHandler<VastEvent, VerifiedDelivery<VastEvent>>;

/**
 * Receives Vast.ai notifications as a function from `Request` to `Response`: verifies each delivery, makes each event
 * count once, tells the sinks or calls the handler. Its answer goes out when the event is settled in the store. What
 * the handler throws is answered 500, so that the event is sent again. Throws a `TypeError` for a secret or an option
 * that nobody can have meant, for a handler that would never be called, and for one that is missing.
 */
export function vastWebhook(secret: Secret, options?: WebhookOptions, handler?: FetchHandler): FetchWebhook {
  return fetchWebhook(vast, secret, options, handler as AnyFetchHandler<VastEvent>);
}
