import { describe, expect, it, vi } from 'vitest';
import { createForwarder, memoryStore, type Outcome, SinkError, verifyDelivery } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { deferred } from '../support/deferred.js';

const secret = 'synthetic-webhook-secret';

function delivered(attempt = 1) {
  const event = sampleEvent('outbid');
  return { event, delivery: verifyDelivery({ ...signedDelivery(event, secret, { attempt }), secret }).delivery };
}

describe('forward(delivery), for a worker behind a queue', () => {
  it('parses the event out of the raw body, tells the sinks, and resolves', async () => {
    const audit = vi.fn();
    const forward = createForwarder({ sinks: [{ name: 'audit', deliver: audit }] });
    const { event, delivery } = delivered();
    await expect(forward(delivery)).resolves.toBeUndefined();
    expect(audit).toHaveBeenCalledWith(event, expect.objectContaining({ delivery }));
  });

  it('takes what a queue made of a delivery', async () => {
    const told: unknown[] = [];
    const forward = createForwarder({
      sinks: [
        function audit(event, { delivery }) {
          told.push([event, delivery.rawBody]);
        },
      ],
    });
    const throughJson = delivered();
    await forward(JSON.parse(JSON.stringify(throughJson.delivery)));
    const inBase64 = delivered();
    await forward({ ...inBase64.delivery, rawBody: inBase64.delivery.rawBody.toString('base64') });
    const asBytes = delivered();
    await forward({ ...asBytes.delivery, rawBody: new Uint8Array(asBytes.delivery.rawBody) });
    expect(told).toEqual([throughJson, inBase64, asBytes].map(({ event, delivery }) => [event, delivery.rawBody]));
  });

  it('resolves for an event that all sinks have had, and tells nobody again', async () => {
    const audit = vi.fn();
    const outcomes: Outcome[] = [];
    const forward = createForwarder({
      sinks: [{ name: 'audit', deliver: audit }],
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    const { delivery } = delivered();
    await forward(delivery);
    await forward(delivery);
    expect(audit).toHaveBeenCalledTimes(1);
    expect(outcomes.map(({ result }) => result)).toEqual(['accepted', 'duplicate']);
  });

  it('rejects when a sink has failed, and tells only that one at the next attempt', async () => {
    const slack = vi.fn(() => Promise.reject(new SinkError('busy', { status: 429, retryAfterMs: 1_000 })));
    const audit = vi.fn();
    const outcomes: Outcome[] = [];
    const forward = createForwarder({
      sinks: [
        { name: 'slack', deliver: slack },
        { name: 'audit', deliver: audit },
      ],
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    const { delivery } = delivered();
    const failure = await forward(delivery).catch((error) => error);
    expect(failure).toMatchObject({ code: 'sink_failed', cause: { status: 429, retryAfterMs: 1_000 } });
    slack.mockImplementation(() => Promise.resolve() as never);
    await forward(delivery);
    expect([slack.mock.calls.length, audit.mock.calls.length]).toEqual([2, 1]);
    expect(outcomes).toMatchObject([
      { result: 'failed', code: 'sink_failed', id: delivery.id, type: 'outbid', error: failure },
      { result: 'accepted', sinks: { slack: 'delivered', audit: 'already' } },
    ]);
  });

  it('has a scope of its own, so that receiver and worker can share a store', async () => {
    const store = memoryStore();
    const { delivery } = delivered();
    store.claim(`receiver:vast:${delivery.id}`, 'receiver', 60_000);
    const audit = vi.fn();
    await createForwarder({ store, sinks: [{ name: 'audit', deliver: audit }] })(delivery);
    expect(audit).toHaveBeenCalledTimes(1);
  });

  it('refuses what is no delivery', async () => {
    const forward = createForwarder({ sinks: [] });
    const { delivery } = delivered();
    await expect(forward({ ...delivery, rawBody: undefined as never })).rejects.toThrow(/takes a delivery/);
    await expect(forward({ ...delivery, provider: 'toString' })).rejects.toThrow(/unknown provider "toString"/);
    await expect(forward({ ...delivery, rawBody: Buffer.from('{') })).rejects.toMatchObject({ code: 'invalid_json' });
  });

  it('refuses at creation what is no option of it', () => {
    expect(() => createForwarder({ sinks: [], deadlineMs: 1 } as never)).toThrow(/no option "deadlineMs"/);
    expect(() => createForwarder({ sinks: [async () => {}] })).toThrow(/has no name/);
    expect(() => createForwarder({ leaseMs: 0 })).toThrow(/leaseMs must be/);
  });
});

describe('close()', () => {
  it('waits for what is in flight and refuses what comes after', async () => {
    const sent = deferred();
    const forward = createForwarder({ sinks: [{ name: 'slack', deliver: () => sent.promise }], onOutcome: () => {} });
    const forwarding = forward(delivered().delivery);
    let closed = false;
    const closing = forward.close().then(() => {
      closed = true;
    });
    await expect(forward(delivered().delivery)).rejects.toMatchObject({ code: 'closing' });
    expect(closed).toBe(false);
    sent.resolve();
    await forwarding;
    await closing;
  });
});
