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
 * Receives v0 hooks: checks the token in the URL of each delivery, makes each event count once, delivers it to the sinks
 * or calls the handler behind, with the event in `req.v0`. The token is the `?token=` of the registered URL.
 * The event is not signed: use it as a hint, and fetch the chat from the API.
 * Throws a `TypeError` for an invalid token or option.
 */
export function v0Webhook(token: Secret, options?: WebhookOptions<V0Event>): ExpressWebhook {
  return expressWebhook(v0, token, options);
}
