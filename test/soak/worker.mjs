// The process behind the queue.
import { createForwarder } from 'vast-webhook';
import { openStore, startWorker } from './backends-in-service.mjs';
import { chatSinks, config, logError, logOutcome, ready, whenAsked } from './in-child.mjs';

const { backend, leaseMs, storeTimeoutMs } = config;
let worker;
const forward = createForwarder({
  sinks: chatSinks(),
  store: await openStore(backend),
  leaseMs,
  storeTimeoutMs,
  rateLimit: (ms) => worker.rateLimit(ms),
  onOutcome: logOutcome,
  onError: logError,
});
worker = await startWorker(backend, (job) => forward(job.data));
ready();

whenAsked(async () => {
  await worker.close();
  await forward.close(3_000);
});
