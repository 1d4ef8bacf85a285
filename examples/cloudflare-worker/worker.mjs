import { createForwarder } from 'vast-webhook';
import { vastWebhook } from 'vast-webhook/fetch';
import { slack } from 'vast-webhook/sinks';
import { d1Store } from 'vast-webhook/stores';

/** Made with the first request or message of an isolate, because the bindings are not there before. */
let hook;
let forward;

/** Answers as soon as the queue has the event. */
function receiverOf(env) {
  return vastWebhook(env.VAST_WEBHOOK_SECRET, {
    path: '/vast/webhooks',
    store: d1Store(env.DB),
    sinks: [
      {
        name: 'queue',
        async deliver(_event, { delivery }) {
          await env.QUEUE.send({ ...delivery, rawBody: delivery.rawBody.toString('base64') });
        },
      },
    ],
  });
}

export default {
  fetch(request, env, context) {
    hook ??= receiverOf(env);
    return hook(request, context);
  },
  /** Delivers to the chat. A message that fails comes again, up to the queue's `max_retries`. */
  async queue(batch, env) {
    forward ??= createForwarder({ store: d1Store(env.DB), sinks: [slack(env.SLACK_WEBHOOK_URL)] });
    for (const message of batch.messages) {
      await forward(message.body).then(
        () => message.ack(),
        () => message.retry(),
      );
    }
  },
};
