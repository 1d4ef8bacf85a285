import { type KoaWebhook, koaWebhook } from './adapters/koa.js';
import type { VerifiedDelivery } from './contracts/delivery.js';
import type { WebhookOptions } from './options.js';
import { type VastEvent, vast } from './providers/vast.js';
import type { Secret } from './receive/secrets.js';

export type { KoaContext, KoaWebhook as VastWebhook } from './adapters/koa.js';
export type { VastEvent } from './providers/vast.js';

/** What the middleware leaves in `ctx.state`: for `new Koa<VastState>()`. */
export interface VastState {
  /** The verified event and its delivery, in handlers behind `vastWebhook`. */
  vast: VerifiedDelivery<VastEvent>;
}

/**
 * Receives Vast.ai notifications in Koa: verifies each delivery, makes each event count once, tells the sinks or
 * hands it on to the handler behind, in `ctx.state.vast`. Throws a `TypeError` for a secret or an option that
 * nobody can have meant.
 */
export function vastWebhook(secret: Secret, options?: WebhookOptions): KoaWebhook {
  return koaWebhook(vast, secret, options);
}
