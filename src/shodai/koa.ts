import { type KoaWebhook, koaWebhook } from '../adapters/koa.js';
import type { VerifiedDelivery } from '../contracts/delivery.js';
import type { WebhookOptions } from '../options.js';
import { type ShodaiEvent, shodai } from '../providers/shodai.js';
import type { Secret } from '../receive/secrets.js';

export type { KoaContext, KoaWebhook as ShodaiWebhook } from '../adapters/koa.js';
export type { VerifiedDelivery as Verified } from '../contracts/delivery.js';
export type { ShodaiEvent, ShodaiEventOf, ShodaiType, UnknownShodaiEvent } from '../providers/shodai.js';

/** What the middleware sets in `ctx.state`, for `new Koa<ShodaiState>()`. */
export interface ShodaiState {
  /** The verified event and its delivery, in handlers behind `shodaiWebhook`. */
  shodai: VerifiedDelivery<ShodaiEvent>;
}

/** As `shodaiWebhook` of `vast-webhook/shodai`, for Koa: the event is `ctx.state.shodai`. */
export function shodaiWebhook(secret: Secret, options?: WebhookOptions<ShodaiEvent>): KoaWebhook {
  return koaWebhook(shodai, secret, options);
}
