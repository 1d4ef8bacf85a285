import { type ExpressWebhook, expressWebhook } from '../adapters/express.js';
import type { VerifiedDelivery } from '../contracts/delivery.js';
import type { WebhookOptions } from '../options.js';
import { type ShodaiEvent, shodai } from '../providers/shodai.js';
import type { Secret } from '../receive/secrets.js';

export type { ExpressWebhook as ShodaiWebhook } from '../adapters/express.js';
export type { VerifiedDelivery as Verified } from '../contracts/delivery.js';
export type { ShodaiEvent, ShodaiEventOf, ShodaiType, UnknownShodaiEvent } from '../providers/shodai.js';

declare global {
  namespace Express {
    interface Request {
      /** The verified event and its delivery, in handlers behind `shodaiWebhook`. */
      shodai: VerifiedDelivery<ShodaiEvent>;
    }
  }
}

/**
 * Receives Shodai events: verifies each delivery, makes each event count once, delivers it to the sinks or calls the
 * handler behind, with the event in `req.shodai`. The secret is Shodai's as it is, with its `whsec_`.
 * Throws a `TypeError` for an invalid secret or option.
 */
export function shodaiWebhook(secret: Secret, options?: WebhookOptions<ShodaiEvent>): ExpressWebhook {
  return expressWebhook(shodai, secret, options);
}
