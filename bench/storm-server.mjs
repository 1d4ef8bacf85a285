// One service of the storm part, on a loopback port. It watches its own turns of the event loop and its memory.
import { once } from 'node:events';
import { createServer } from 'node:http';
import express from 'express';
import { vastWebhook } from 'vast-webhook';
import { slack } from 'vast-webhook/sinks';
import { serve } from './child.mjs';
import { path, secret } from './deliveries.mjs';
import { services } from './storm-services.mjs';

const [name, chatUrl, redisUrl] = process.argv.slice(2);
const chat = slack(chatUrl);
const { options = {}, waiting, hasHandler = false } = await services[name].make(chat, redisUrl);
let handled = 0;
const app = express();
app.use(vastWebhook(secret, { path, onOutcome() {}, ...options }));
if (hasHandler) {
  app.post(path, (_req, res) => {
    handled++;
    res.status(204).end();
  });
}
const server = createServer(app);
await once(server.listen(0, '127.0.0.1'), 'listening');

const turns = watchTurns();

serve(async () => {
  const seen = {
    port: server.address().port,
    turnMs: turns.longestMs,
    turnCpuMs: turns.longestCpuMs,
    rssMb: process.resourceUsage().maxRSS / 1024,
    handled: hasHandler ? handled : undefined,
  };
  const result = { ...seen, waiting: await waiting() };
  turns.skip();
  return result;
});

/**
 * The longest time between two ticks of a timer of a millisecond, and the most CPU time. The first includes waiting for
 * the disk and for other processes of the machine, the second includes V8's own threads.
 */
function watchTurns() {
  const watch = { longestMs: 0, longestCpuMs: 0, skip: () => {} };
  let at = performance.now();
  let cpu = process.cpuUsage();
  const next = () => {
    const [now, cpuNow] = [performance.now(), process.cpuUsage()];
    const result = [now - at, (cpuNow.user - cpu.user + cpuNow.system - cpu.system) / 1000];
    [at, cpu] = [now, cpuNow];
    return result;
  };
  setInterval(() => {
    const [ms, cpuMs] = next();
    watch.longestMs = Math.max(watch.longestMs, ms);
    watch.longestCpuMs = Math.max(watch.longestCpuMs, cpuMs);
  }, 1).unref();
  // What the measurement itself asks for does not count.
  watch.skip = next;
  return watch;
}
