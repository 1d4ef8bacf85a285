// Spans from the channels that vast-webhook publishes to.
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';

const store = new AsyncLocalStorage();

/** Keeps OpenTelemetry's active context where channels can be bound to it. */
export class ChannelContextManager extends AsyncLocalStorageContextManager {
  active() {
    return store.getStore() ?? ROOT_CONTEXT;
  }
  with(active, fn, thisArg, ...args) {
    return store.run(active, () => fn.apply(thisArg, args));
  }
}

export function traceWebhooks(tracer = trace.getTracer('vast-webhook')) {
  spanEach('vast-webhook.delivery', tracer, {
    name: ({ provider }) => `${provider} delivery`,
    attributes: ({ provider, outcome }) => ({ provider, ...about(outcome), code: outcome.code }),
    failed: ({ outcome }) => outcome.result === 'failed', // a rejected one is the stranger's failure
  });
  spanEach('vast-webhook.sink', tracer, {
    name: ({ sink }) => `deliver to ${sink}`,
    attributes: (message) => ({ sink: message.sink, ...about(message) }),
    failed: ({ result }) => result === 'failed',
  });
}

const about = ({ result, id, type }) => ({ result, 'event.id': id, 'event.type': type });

function spanEach(channel, tracer, { name, attributes, failed }) {
  const spans = new WeakMap();
  const { start, asyncEnd } = tracingChannel(channel);
  start.bindStore(store, (message) => {
    const span = tracer.startSpan(name(message));
    spans.set(message, span);
    return trace.setSpan(context.active(), span);
  });
  asyncEnd.subscribe((message) => {
    const span = spans.get(message);
    if (span === undefined) return; // begun before this was called
    for (const [key, value] of Object.entries(attributes(message))) {
      if (value !== undefined) span.setAttribute(`vast_webhook.${key}`, value);
    }
    if (failed(message)) span.setStatus({ code: SpanStatusCode.ERROR, message: message.error?.message });
    span.end();
  });
}
