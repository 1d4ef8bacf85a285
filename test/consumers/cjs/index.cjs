const assert = require('node:assert/strict');
const root = require('vast-webhook');
const api = require('vast-webhook/api');
const catching = require('vast-webhook/catch-up');
const fetchForm = require('vast-webhook/fetch');
const koa = require('vast-webhook/koa');
const shodai = require('vast-webhook/shodai');
const metrics = require('vast-webhook/metrics');
const sinks = require('vast-webhook/sinks');
const stores = require('vast-webhook/stores');
const testing = require('vast-webhook/testing');
const v0Koa = require('vast-webhook/v0/koa');

const entries = {
  '': root,
  '/api': api,
  '/catch-up': catching,
  '/fetch': fetchForm,
  '/koa': koa,
  '/shodai': shodai,
  '/sinks': sinks,
  '/stores': stores,
  '/testing': testing,
  '/v0/koa': v0Koa,
  '/metrics': metrics,
};
const secret = 'a secret of the consumer';

function thrownBy({ verifyDelivery }) {
  try {
    verifyDelivery({ headers: {}, body: '{}', secret });
  } catch (error) {
    return error;
  }
  assert.fail('an unsigned delivery was taken');
}

async function main() {
  // The exports for an ES module in the same process, which may be another instance of the code.
  const esm = {};
  for (const path of Object.keys(entries)) esm[path] = await import(`vast-webhook${path}`);
  for (const [path, entry] of Object.entries(entries)) {
    const names = Object.keys(esm[path]).filter((name) => name !== 'default' && name !== 'module.exports');
    assert.notEqual(names.length, 0);
    assert.deepEqual(Object.keys(entry).sort(), names.sort(), `vast-webhook${path} has the same names in both builds`);
  }

  const event = testing.sampleEvent('low_credit');
  const signed = testing.signedDelivery(event, secret);
  assert.deepEqual(root.verifyDelivery({ ...signed, secret }).event, event);
  assert.equal(typeof root.vastWebhook(secret).close, 'function');
  assert.equal(typeof koa.vastWebhook(secret).close, 'function');
  assert.equal(stores.memoryStore, root.memoryStore, 'every entry shares one instance of the code');
  assert.equal(require('vast-webhook/package.json').name, 'vast-webhook');

  for (const from of [api, esm['/api']]) {
    const refused = await from
      .vastApi({ apiKey: 'key', fetch: async () => new Response('no', { status: 404 }) })
      .listTypes()
      .catch((error) => error);
    for (const { ApiError } of [api, esm['/api']]) assert.ok(refused instanceof ApiError && refused instanceof Error);
    assert.ok(!(refused instanceof root.WebhookError) && !(refused instanceof root.SinkError));
  }

  // One build catches up a middleware of the other, and knows its memory store.
  for (const [from, by] of [
    [root, esm['/catch-up']],
    [esm[''], catching],
  ]) {
    const hook = from.vastWebhook(secret, { sinks: [async function audit() {}] });
    assert.throws(() => by.catchUp(hook, { api: { inbox() {} } }), /survives a restart/);
  }

  // One build measures the messages that the other publishes.
  for (const [from, by] of [
    [root, esm['/metrics']],
    [esm[''], metrics],
  ]) {
    const registered = new Map();
    const stop = by.outcomeMetrics({
      registerMetric: (metric) => registered.set(metric.name, metric),
      getSingleMetric: (name) => registered.get(name),
      removeSingleMetric: (name) => registered.delete(name),
    });
    const { delivery } = from.verifyDelivery({ ...signed, secret });
    await from.createForwarder({ sinks: [async function audit() {}] })(delivery);
    const { values } = registered.get('vast_webhook_sink_deliveries_total').get();
    assert.deepEqual(values, [{ labels: { sink: 'audit', result: 'delivered' }, value: 1 }]);
    stop();
    assert.equal(registered.size, 0);
  }

  const builds = [root, esm['']];
  for (const from of builds) {
    for (const { WebhookError, SinkError } of builds) {
      const refused = thrownBy(from);
      const failed = new from.SinkError('no such channel', { status: 404, permanent: true });
      assert.ok(refused instanceof WebhookError && refused instanceof Error);
      assert.ok(failed instanceof SinkError && failed instanceof Error);
      assert.ok(!(refused instanceof SinkError) && !(failed instanceof WebhookError));
      assert.ok(!(new Error('any') instanceof WebhookError) && !(undefined instanceof WebhookError));
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
