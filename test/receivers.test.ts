import { describe, expect, it, onTestFinished } from 'vitest';
import { vastWebhook as fetchWebhook } from '../src/fetch.js';
import { memoryStore, type Sink, vastWebhook } from '../src/index.js';
import { sampleEvent, signedDelivery } from '../src/testing/index.js';

const secret = 'a secret of the tests';
const shared = /share one store and the scope "receiver".*give one of them the option scope/;

function aSink(name: string): Sink & { readonly ids: string[] } {
  const ids: string[] = [];
  return { name, ids, deliver: async (event) => void ids.push(event.event_id as string) };
}

/** Closed with the test. */
function hook(...[given, options, handler]: Parameters<typeof fetchWebhook>) {
  const made = fetchWebhook(given, { onOutcome() {}, ...options }, handler);
  onTestFinished(() => made.close());
  return made;
}

async function send(to: ReturnType<typeof hook>, event: object): Promise<number> {
  const { body, headers } = signedDelivery(event, secret);
  return (await to(new Request('http://h/vast/webhooks', { method: 'POST', body, headers }))).status;
}

describe('two receivers on one store', () => {
  it('with different sinks are refused, because the second would answer 204 and deliver nothing', () => {
    const store = memoryStore();
    hook(secret, { store, sinks: [aSink('slack')] });
    expect(() => vastWebhook(secret, { store, sinks: [aSink('pager')] })).toThrow(shared);
    expect(() => vastWebhook(secret, { store })).toThrow(shared);
  });

  it('with a scope each deliver the event once each', async () => {
    const store = memoryStore();
    const [slack, pager] = [aSink('slack'), aSink('pager')];
    const first = hook(secret, { store, sinks: [slack] });
    const second = hook(secret, { store, sinks: [pager], scope: 'pagers' });
    const event = sampleEvent('outbid');
    for (let n = 0; n < 2; n++) {
      expect(await send(first, event)).toBe(204);
      expect(await send(second, event)).toBe(204);
    }
    expect([slack.ids, pager.ids]).toEqual([[event.event_id], [event.event_id]]);
  });

  it('with the same sinks share their memory', async () => {
    const store = memoryStore();
    const slack = aSink('slack');
    const both = [hook(secret, { store, sinks: [slack] }), hook(secret, { store, sinks: [slack] })];
    const event = sampleEvent('outbid');
    for (const each of both) expect(await send(each, event)).toBe(204);
    expect(slack.ids).toEqual([event.event_id]);
  });

  it('may follow one another, once the first is closed', async () => {
    const store = memoryStore();
    const first = hook(secret, { store, sinks: [aSink('slack')] });
    await first.close();
    expect(() => hook(secret, { store, sinks: [aSink('pager')] })).not.toThrow();
  });
});
