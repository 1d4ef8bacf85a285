import Koa from 'koa';
import type { VastEvent, Verified } from 'vast-webhook';
import { type VastState, vastWebhook } from 'vast-webhook/koa';
import { type ShodaiState, shodaiWebhook } from 'vast-webhook/shodai/koa';
import { type V0State, v0Webhook } from 'vast-webhook/v0/koa';

const secret = 'a secret of the consumer';

const app = new Koa();
app.use(vastWebhook(secret));
app.use(vastWebhook(secret, { path: '/x', handoff: false }));

const typed = new Koa<VastState>();
typed.use(vastWebhook(secret));
const others = new Koa<ShodaiState & V0State>();
others.use(shodaiWebhook(secret)).use(v0Webhook(secret));
others.use((ctx) => {
  ctx.state.shodai.delivery.verified satisfies true;
  ctx.state.v0.delivery.verified satisfies false;
});
typed.use((ctx) => {
  ctx.state.vast satisfies Verified<VastEvent>;
  if (ctx.state.vast.event.notif_type === 'outbid') ctx.state.vast.event.notif_type satisfies 'outbid';
  // @ts-expect-error
  ctx.state.vast.events;
  ctx.status = 204;
});

// @ts-expect-error
app.use(vastWebhook(secret, { tolerance: 300 }));
