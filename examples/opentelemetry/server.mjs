import { trace } from '@opentelemetry/api';
import { ConsoleSpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import express from 'express';
import { vastWebhook } from 'vast-webhook';
import { ChannelContextManager, traceWebhooks } from './tracing.mjs';

const { VAST_WEBHOOK_SECRET, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}

const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())] });
provider.register({ contextManager: new ChannelContextManager() });
traceWebhooks();

const tracer = trace.getTracer('example');
const webhook = vastWebhook(VAST_WEBHOOK_SECRET, {
  sinks: [
    // Instrumented clients make such a span by themselves.
    async function log(event) {
      await tracer.startActiveSpan('write the log', async (span) => {
        console.log(`${event.notif_type}: ${event.subject}`);
        span.end();
      });
    },
  ],
});

const app = express();
app.use(webhook);

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close();
    await provider.shutdown();
  });
}
