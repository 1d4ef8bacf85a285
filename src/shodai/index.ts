import { type ExpressWebhook, expressWebhook } from '../front-doors/express.js';
import type { WebhookOptions } from '../options.js';
import { type ShodaiEvent, shodai } from '../providers/shodai.js';
import type { Verified } from '../receive/delivery.js';
import type { Secret } from '../receive/secrets.js';

export type { ExpressWebhook as ShodaiWebhook } from '../front-doors/express.js';
export type { ShodaiEvent, ShodaiEventOf, ShodaiType, UnknownShodaiEvent } from '../providers/shodai.js';
export type { Verified } from '../receive/delivery.js';

declare global {
  namespace Express {
    interface Request {
      /** The verified event and its delivery, in handlers behind `shodaiWebhook`. */
      shodai: Verified<ShodaiEvent>;
    }
  }
}

/**
 * Receives Shodai events: verifies each delivery, makes each event count once, tells the sinks or hands it on to the
 * handler behind, as `req.shodai`. The secret is Shodai's as it is, with its `whsec_`.
 * Throws a `TypeError` for a secret or an option that nobody can have meant.
 */
export function shodaiWebhook(secret: Secret, options?: WebhookOptions<ShodaiEvent>): ExpressWebhook {
  return expressWebhook(shodai, secret, options);
}
