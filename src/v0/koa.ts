import { type KoaWebhook, koaWebhook } from '../adapters/koa.js';
import type { UnverifiedDelivery } from '../contracts/delivery.js';
import type { WebhookOptions } from '../options.js';
import { type V0Event, v0 } from '../providers/v0.js';
import type { Secret } from '../receive/secrets.js';

export type { KoaContext, KoaWebhook as V0Webhook } from '../adapters/koa.js';
export type { UnverifiedDelivery as Unverified } from '../contracts/delivery.js';
export type { V0Event } from '../providers/v0.js';

/** What the middleware sets in `ctx.state`, for `new Koa<V0State>()`. */
export interface V0State {
  /** The unsigned event and its delivery, in handlers behind `v0Webhook`. */
  v0: UnverifiedDelivery<V0Event>;
}

/** As `v0Webhook` of `vast-webhook/v0`, for Koa: the event is `ctx.state.v0`. */
export function v0Webhook(token: Secret, options?: WebhookOptions<V0Event>): KoaWebhook {
  return koaWebhook(v0, token, options);
}
