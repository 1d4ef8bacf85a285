import { type ExpressWebhook, expressWebhook } from '../adapters/express.js';
import type { WebhookOptions } from '../options.js';
import type { Provider } from '../providers/provider.js';
import type { Secret } from '../receive/secrets.js';

export type { ExpressWebhook as Webhook } from '../adapters/express.js';
export * from './define.js';

/**
 * Receives events of any sender: verifies each delivery, makes each event count once, delivers it to the sinks or calls
 * the handler behind, with the event under the provider's name, as `req.acme`. Throws a `TypeError` for an invalid secret
 * or option, and for a secret that is none in the provider's scheme.
 *
 * @example
 * app.use(webhook(acme, process.env.ACME_WEBHOOK_SECRET!));
 */
export function webhook<Event extends object, Signs extends boolean>(
  provider: Provider<Event, Signs>,
  secret: Secret,
  options?: WebhookOptions<Event>,
): ExpressWebhook {
  return expressWebhook(provider, secret, options);
}
