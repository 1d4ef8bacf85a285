import Router from '@koa/router';
import type { VastEvent } from 'vast-webhook';
import { type VastState, vastWebhook } from 'vast-webhook/koa';

const secret = 'a secret of the consumer';

const router = new Router<VastState>();
router.post('/x', vastWebhook(secret), (ctx) => {
  ctx.state.vast.event satisfies VastEvent;
  ctx.status = 204;
});
router.use(vastWebhook(secret));
