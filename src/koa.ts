import { type KoaWebhook, koaWebhook } from './adapters/koa.js';
import type { VerifiedDelivery } from './contracts/delivery.js';
import type { WebhookOptions } from './options.js';
import { type VastEvent, vast } from './providers/vast.js';
import type { Secret } from './receive/secrets.js';

export type { KoaContext, KoaWebhook as VastWebhook } from './adapters/koa.js';
export type { VastEvent } from './providers/vast.js';

/** What the middleware sets in `ctx.state`, for `new Koa<VastState>()`. */
export interface VastState {
  /** The verified event and its delivery, in handlers behind `vastWebhook`. */
  vast: VerifiedDelivery<VastEvent>;
}

/**
 * Receives Vast.ai notifications in Koa: verifies each delivery, makes each event count once, delivers it to the sinks or
 * calls the handler behind, with the event in `ctx.state.vast`. Throws a `TypeError` for an invalid secret or option.
 */
export function vastWebhook(secret: Secret, options?: WebhookOptions): KoaWebhook {
  return koaWebhook(vast, secret, options);
}
