import { createServer } from 'node:http';
import express, { type RequestHandler } from 'express';
import { keepRawBody, type VastEvent, type Verified, vastWebhook } from 'vast-webhook';
import { type ShodaiEvent, shodaiWebhook } from 'vast-webhook/shodai';
import { slack } from 'vast-webhook/sinks';
import { type Unverified, type V0Event, v0Webhook } from 'vast-webhook/v0';

const secret = 'a secret of the consumer';
const app = express();

app.use(vastWebhook(secret));
app.post('/vast/webhooks', (req, res) => {
  req.vast satisfies Verified<VastEvent>;
  if (req.vast.event.notif_type === 'outbid') req.vast.event.notif_type satisfies 'outbid';
  if (req.vast.event.notif_type === 'low_credit') req.vast.event.subject satisfies string;
  req.vast.delivery.attempt satisfies number;
  // @ts-expect-error
  req.vast.events;
  res.sendStatus(204);
});

app.post('/shodai', shodaiWebhook(secret, { sinks: [slack('https://hooks.slack.com/x')] }), (req, res) => {
  req.shodai satisfies Verified<ShodaiEvent>;
  if (req.shodai.event.type === 'agreement.notification.triggered') {
    req.shodai.event.data satisfies unknown;
  }
  res.sendStatus(204);
});
app.post('/v0', v0Webhook(secret), (req, res) => {
  req.v0 satisfies Unverified<V0Event>;
  req.v0.delivery.verified satisfies false;
  // @ts-expect-error it is not signed
  req.v0 satisfies Verified<V0Event>;
  res.sendStatus(204);
});

// The other ways to mount it.
const handler: RequestHandler = (req, res) => {
  res.json({ id: req.vast.delivery.id });
};
app.post('/x', vastWebhook(secret), handler);
app.post('/hooks/:name', vastWebhook(secret), (req, res) => {
  req.params.name satisfies string;
  req.vast.event satisfies VastEvent;
  res.sendStatus(204);
});
app.use('/x', vastWebhook(secret, { handoff: false }));
app.use([vastWebhook(secret, { path: '/x' }), handler]);
app.route('/x').post(vastWebhook(secret), handler);
const router = express.Router();
router.use(vastWebhook(secret));
router.post('/', vastWebhook(secret), handler);
app.use('/hooks', router);

app.use(express.json({ verify: keepRawBody }));

const hook = vastWebhook(secret, { path: '/vast/webhooks' });
createServer((req, res) => hook(req, res, () => app(req, res)));

// @ts-expect-error the middleware, not its maker
app.use(vastWebhook(secret, { paths: '/x' }));
