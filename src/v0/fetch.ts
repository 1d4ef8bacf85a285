import { type FetchHandler as AnyFetchHandler, type FetchWebhook, fetchWebhook } from '../adapters/fetch.js';
import type { WebhookOptions } from '../options.js';
import { type V0Event, v0 } from '../providers/v0.js';
import type { Secret } from '../receive/secrets.js';

export type { FetchWebhook as V0Webhook, WaitUntil } from '../adapters/fetch.js';
export type { UnverifiedDelivery as Unverified } from '../contracts/delivery.js';
export type { V0Event } from '../providers/v0.js';

/** The user's handler. Its answer settles the event and goes to the sender. */
export type FetchHandler = AnyFetchHandler<V0Event, false>;

/** As `v0Webhook` of `vast-webhook/v0`, from `Request` to `Response`: the event goes to the handler. */
export function v0Webhook(token: Secret, options?: WebhookOptions<V0Event>, handler?: FetchHandler): FetchWebhook {
  return fetchWebhook(v0, token, options, handler);
}
