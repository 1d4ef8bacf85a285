import { type FetchHandler as AnyFetchHandler, type FetchWebhook, fetchWebhook } from '../adapters/fetch.js';
import type { WebhookOptions } from '../options.js';
import { type ShodaiEvent, shodai } from '../providers/shodai.js';
import type { Secret } from '../receive/secrets.js';

export type { FetchWebhook as ShodaiWebhook, WaitUntil } from '../adapters/fetch.js';
export type { VerifiedDelivery as Verified } from '../contracts/delivery.js';
export type { ShodaiEvent, ShodaiEventOf, ShodaiType, UnknownShodaiEvent } from '../providers/shodai.js';

/** The user's handler. Its answer settles the event and goes to the sender. */
export type FetchHandler = AnyFetchHandler<ShodaiEvent, true>;

/** As `shodaiWebhook` of `vast-webhook/shodai`, from `Request` to `Response`: the event goes to the handler. */
export function shodaiWebhook(
  secret: Secret,
  options?: WebhookOptions<ShodaiEvent>,
  handler?: FetchHandler,
): FetchWebhook {
  return fetchWebhook(shodai, secret, options, handler);
}
