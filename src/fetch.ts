import { type FetchHandler as AnyFetchHandler, type FetchWebhook, fetchWebhook } from './adapters/fetch.js';
import type { WebhookOptions } from './options.js';
import { type VastEvent, vast } from './providers/vast.js';
import type { Secret } from './receive/secrets.js';

export type { FetchWebhook as VastWebhook, WaitUntil } from './adapters/fetch.js';
export type { VastEvent } from './providers/vast.js';

/** The user's handler. Its answer settles the event and goes to the sender. */
export type FetchHandler = AnyFetchHandler<VastEvent, true>;

/**
 * Receives Vast.ai notifications as a function from `Request` to `Response`: verifies each delivery, makes each event
 * count once, delivers it to the sinks or calls the handler. The handler's answer goes out when the event is settled in
 * the store. If the handler throws, the answer is 500, so that the sender tries again. Throws a `TypeError` for an
 * invalid secret or option, for a missing handler, and for a handler that would never be called.
 */
export function vastWebhook(secret: Secret, options?: WebhookOptions, handler?: FetchHandler): FetchWebhook {
  return fetchWebhook(vast, secret, options, handler);
}
