import { type FetchHandler, type FetchWebhook, fetchWebhook } from '../adapters/fetch.js';
import type { WebhookOptions } from '../options.js';
import type { Provider } from '../providers/provider.js';
import type { Secret } from '../receive/secrets.js';

export type { FetchHandler, FetchWebhook as Webhook, WaitUntil } from '../adapters/fetch.js';
export * from './define.js';

/** As `webhook` of `vast-webhook/provider`, from `Request` to `Response`: the event goes to the handler. */
export function webhook<Event extends object, Signs extends boolean>(
  provider: Provider<Event, Signs>,
  secret: Secret,
  options?: WebhookOptions<Event>,
  handler?: FetchHandler<Event, Signs>,
): FetchWebhook {
  return fetchWebhook(provider, secret, options, handler);
}
