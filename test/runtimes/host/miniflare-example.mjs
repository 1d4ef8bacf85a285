// Runs examples/cloudflare-worker in workerd, with the bindings of its wrangler.json.
import { Miniflare } from 'miniflare';

const { VAST_WEBHOOK_SECRET, SLACK_WEBHOOK_URL } = process.env;
const miniflare = new Miniflare({
  host: '127.0.0.1',
  port: 0,
  modules: true,
  scriptPath: process.argv[2],
  compatibilityDate: '2026-07-01',
  compatibilityFlags: ['nodejs_compat'],
  bindings: { VAST_WEBHOOK_SECRET, SLACK_WEBHOOK_URL },
  d1Databases: ['DB'],
  queueProducers: { QUEUE: 'vast-webhook' },
  queueConsumers: { 'vast-webhook': { maxBatchTimeout: 1 } },
});
console.log(`Listening on ${new URL('/vast/webhooks', await miniflare.ready)}`);
// Otherwise workerd stays.
process.on('SIGTERM', () => miniflare.dispose().then(() => process.exit(0)));
