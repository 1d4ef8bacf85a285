import Koa from 'koa';
import type { VastEvent, Verified } from 'vast-webhook';
import { type VastState, vastWebhook } from 'vast-webhook/koa';

const secret = 'a secret of the consumer';

const app = new Koa();
app.use(vastWebhook(secret));
app.use(vastWebhook(secret, { path: '/x', handoff: false }));

const typed = new Koa<VastState>();
typed.use(vastWebhook(secret));
typed.use((ctx) => {
  ctx.state.vast satisfies Verified<VastEvent>;
  if (ctx.state.vast.event.notif_type === 'outbid') ctx.state.vast.event.notif_type satisfies 'outbid';
  // @ts-expect-error
  ctx.state.vast.events;
  ctx.status = 204;
});

// @ts-expect-error
app.use(vastWebhook(secret, { tolerance: 300 }));
