import { type ExpressWebhook, expressWebhook } from '../adapters/express.js';
import type { UnverifiedDelivery } from '../contracts/delivery.js';
import type { WebhookOptions } from '../options.js';
import { type V0Event, v0 } from '../providers/v0.js';
import type { Secret } from '../receive/secrets.js';

export type { ExpressWebhook as V0Webhook } from '../adapters/express.js';
export type { UnverifiedDelivery as Unverified } from '../contracts/delivery.js';
export type { V0Event } from '../providers/v0.js';

declare global {
  namespace Express {
    interface Request {
      /** The unsigned event and its delivery, in handlers behind `v0Webhook`. */
      v0: UnverifiedDelivery<V0Event>;
    }
  }
}

/**
 * Receives v0 hooks: checks the token in the URL of each delivery, makes each event count once, tells the sinks or hands it on to the
 * handler behind, as `req.v0`. The token is what stands as `?token=` in the URL that was registered.
 * Nobody has signed what it says: take it for a wake-up, and read the chat again through the API.
 * Throws a `TypeError` for a token or an option that nobody can have meant.
 */
export function v0Webhook(token: Secret, options?: WebhookOptions<V0Event>): ExpressWebhook {
  return expressWebhook(v0, token, options);
}
