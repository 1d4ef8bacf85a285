import { type Delivery, summarized } from '../contracts/delivery.js';
import type { Sink } from '../contracts/sink.js';
import { vast } from '../providers/vast.js';
import { checkOptions } from '../util/check-options.js';
import { happenedAt } from './happened-at.js';
import { type HttpSinkOptions, httpSinkChecks, poster } from './post.js';
import { checkAddress } from './service-address.js';

/** Name of the service in errors. */
const service = 'CloudEvents endpoint';

/**
 * Posts events as CloudEvents 1.0 in structured mode (`application/cloudevents+json`), for Knative, Azure Event Grid
 * and other brokers. `data` is the event as sent, `type` is `ai.vast.notification.<slug>`, and `source` is the account,
 * `https://vast.ai/users/<user_id>`. Throws a `TypeError` for an invalid URL or option, and for the URL of a chat.
 */
export function cloudEvents<Event extends object>(url: string, options: HttpSinkOptions = {}): Sink<Event> {
  checkOptions(options, httpSinkChecks, service);
  const { name = 'cloudEvents' } = options;
  checkAddress(service, url);
  const post = poster(service, url, options);
  return {
    name,
    async deliver(event, context) {
      const headers = { 'Content-Type': 'application/cloudevents+json; charset=utf-8' };
      await post(JSON.stringify(cloudEventOf(event, context.delivery)), context, { headers });
    },
  };
}

/** Source: github.com/cloudevents/spec, JSON event format 1.0. */
function cloudEventOf(event: object, delivery: Delivery): object {
  const { type } = summarized(event, delivery);
  // CloudEvents allows no control characters in strings.
  const slug = type.replace(/\p{Cc}/gu, '');
  const isVast = delivery.provider === vast.name;
  const prefix = isVast ? 'ai.vast.notification' : delivery.provider;
  return {
    specversion: '1.0',
    id: delivery.id,
    source: isVast ? `https://vast.ai/${accountOf(event)}` : `/${delivery.provider}`,
    type: [prefix, slug].filter(Boolean).join('.'),
    time: happenedAt(event, delivery),
    datacontenttype: 'application/json',
    data: event,
  };
}

function accountOf(event: object): string {
  const { user_id: id } = event as { user_id?: unknown };
  return Number.isSafeInteger(id) ? `users/${id}` : '';
}
