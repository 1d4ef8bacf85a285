import { type KoaWebhook, koaWebhook } from '../adapters/koa.js';
import type { WebhookOptions } from '../options.js';
import type { Provider } from '../providers/provider.js';
import type { Secret } from '../receive/secrets.js';

export type { KoaContext, KoaWebhook as Webhook } from '../adapters/koa.js';
export * from './define.js';

/** As `webhook` of `vast-webhook/provider`, for Koa: the event is in `ctx.state` under the provider's name. */
export function webhook<Event extends object, Signs extends boolean>(
  provider: Provider<Event, Signs>,
  secret: Secret,
  options?: WebhookOptions<Event>,
): KoaWebhook {
  return koaWebhook(provider, secret, options);
}
