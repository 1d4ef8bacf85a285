import { type KoaWebhook, koaWebhook } from '../front-doors/koa.js';
import type { WebhookOptions } from '../options.js';
import { type ShodaiEvent, shodai } from '../providers/shodai.js';
import type { Verified } from '../receive/delivery.js';
import type { Secret } from '../receive/secrets.js';

export type { KoaContext, KoaWebhook as ShodaiWebhook } from '../front-doors/koa.js';
export type { ShodaiEvent, ShodaiEventOf, ShodaiType, UnknownShodaiEvent } from '../providers/shodai.js';
export type { Verified } from '../receive/delivery.js';

/** What the middleware leaves in `ctx.state`: for `new Koa<ShodaiState>()`. */
export interface ShodaiState {
  /** The verified event and its delivery, in handlers behind `shodaiWebhook`. */
  shodai: Verified<ShodaiEvent>;
}

/** As `shodaiWebhook` of `vast-webhook/shodai`, for Koa: the event is `ctx.state.shodai`. */
export function shodaiWebhook(secret: Secret, options?: WebhookOptions<ShodaiEvent>): KoaWebhook {
  return koaWebhook(shodai, secret, options);
}
