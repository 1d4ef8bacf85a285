// The service of the long run: the middleware in Express, with a sink that misbehaves and one that is a chat.
import { setTimeout as sleep } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';
import express from 'express';
import { memoryStore, vastWebhook, when } from 'vast-webhook';
import { slack } from 'vast-webhook/sinks';
import { fateOf } from './fates.mjs';
import { config, ready, whenAsked } from './in-child.mjs';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');
const { secret, slackUrl, deadlineMs, wrong } = config;
const troubles = [];
const kept = [];
let outcomes = 0;

async function audit({ event_id: id }, { signal }) {
  switch (fateOf(id)) {
    case 'fails':
      throw new Error('refused');
    case 'is slow':
      return sleep(200);
    case 'hangs past the deadline':
      return sleep(1.5 * deadlineMs);
    case 'hangs for ever':
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
  }
}

const hook = vastWebhook(secret, {
  // Full within the first quarter of the run.
  store: memoryStore({ maxCompleted: 5_000 }),
  sinks: [audit, when(({ event_id: id }) => id.startsWith('0'), slack(slackUrl, { timeoutMs: 2_000 }))],
  deadlineMs,
  onOutcome() {
    outcomes++;
  },
  onError() {},
});

const app = express();
app.get('/measure', (_req, res) => {
  collect();
  const { heapUsed, rss } = process.memoryUsage();
  res.json({ heapUsed, rss, handles: process.getActiveResourcesInfo().length, outcomes, troubles });
});
app.use(async (_req, _res, next) => {
  if (wrong === 'keeps each request') kept.push(new Array(2_000).fill(kept.length));
  if (wrong === 'leaves a timer behind') setInterval(() => {}, 60_000);
  if (wrong === 'gets slower') await sleep(kept.push(0) / 20);
  next();
});
app.use(hook);
for (const name of ['unhandledRejection', 'uncaughtException', 'warning']) {
  process.on(name, (error) => troubles.push(`${name}: ${error?.message ?? error}`));
}
const server = app.listen(0, '127.0.0.1', () => ready(server.address().port));

whenAsked(async () => {
  server.close();
  server.closeAllConnections();
  await hook.close(3_000);
});
