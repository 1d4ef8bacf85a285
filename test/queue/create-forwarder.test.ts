import { describe, expect, it, vi } from 'vitest';
import {
  createForwarder,
  type ForwarderOptions,
  memoryStore,
  type Outcome,
  SinkError,
  verifyDelivery,
} from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { deferred } from '../support/deferred.js';
import { fail, faultyStore } from '../support/faulty-store.js';

const secret = 'synthetic-webhook-secret';

function delivered(attempt = 1) {
  const event = sampleEvent('outbid');
  return { event, delivery: verifyDelivery({ ...signedDelivery(event, secret, { attempt }), secret }).delivery };
}

describe('forward(delivery), for a worker behind a queue', () => {
  it('parses the event out of the raw body, delivers it to the sinks, and resolves', async () => {
    const audit = vi.fn();
    const forward = createForwarder({ sinks: [{ name: 'audit', deliver: audit }] });
    const { event, delivery } = delivered();
    await expect(forward(delivery)).resolves.toBeUndefined();
    expect(audit).toHaveBeenCalledWith(event, expect.objectContaining({ delivery }));
  });

  it('accepts a delivery that went through a queue', async () => {
    const calls: unknown[] = [];
    const forward = createForwarder({
      sinks: [
        function audit(event, { delivery }) {
          calls.push([event, delivery.rawBody]);
        },
      ],
    });
    const throughJson = delivered();
    await forward(JSON.parse(JSON.stringify(throughJson.delivery)));
    const inBase64 = delivered();
    await forward({ ...inBase64.delivery, rawBody: inBase64.delivery.rawBody.toString('base64') });
    const asBytes = delivered();
    await forward({ ...asBytes.delivery, rawBody: new Uint8Array(asBytes.delivery.rawBody) });
    expect(calls).toEqual([throughJson, inBase64, asBytes].map(({ event, delivery }) => [event, delivery.rawBody]));
  });

  it('resolves for an event that was delivered to all sinks, and calls none again', async () => {
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

  it('rejects when a sink failed, and calls only that sink at the next attempt', async () => {
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

  it('refuses to share a store with a forwarder of other sinks, which would get no events', async () => {
    const store = memoryStore();
    const audit = { name: 'audit', deliver: vi.fn() };
    const pager = { name: 'pager', deliver: vi.fn() };
    const first = createForwarder({ store, sinks: [audit] });
    createForwarder({ store, sinks: [audit] });
    expect(() => createForwarder({ store, sinks: [pager] })).toThrow(
      /share one store and the scope "forwarder".*scope/,
    );
    const second = createForwarder({ store, sinks: [pager], scope: 'pagers' });
    const { delivery } = delivered();
    await first(delivery);
    await second(delivery);
    expect([audit.deliver.mock.calls.length, pager.deliver.mock.calls.length]).toEqual([1, 1]);
  });

  it('refuses a value that is no delivery', async () => {
    const forward = createForwarder({ sinks: [] });
    const { delivery } = delivered();
    await expect(forward({ ...delivery, rawBody: undefined as never })).rejects.toThrow(/must be a delivery/);
    await expect(forward({ ...delivery, provider: 'toString' })).rejects.toThrow(/unknown provider "toString"/);
    await expect(forward({ ...delivery, rawBody: Buffer.from('{') })).rejects.toMatchObject({ code: 'invalid_json' });
  });

  it('refuses unknown options at creation', () => {
    expect(() => createForwarder({ sinks: [], deadlineMs: 1 } as never)).toThrow(/unknown option "deadlineMs"/);
    expect(() => createForwarder({ sinks: [async () => {}] })).toThrow(/has no name/);
    expect(() => createForwarder({ leaseMs: 0 })).toThrow(/leaseMs must be/);
  });
});

describe('the error for a queue', () => {
  const permanent = new SinkError('gone', { status: 410, permanent: true });
  const transient = new SinkError('busy', { status: 503 });

  /** How `forward` rejects when its sinks fail so. */
  async function rejection(failures: unknown[], options: ForwarderOptions = {}): Promise<Error> {
    const forward = createForwarder({
      sinks: failures.map((failure, i) => ({ name: `chat ${i}`, deliver: () => Promise.reject(failure) })),
      onOutcome: () => {},
      onError: () => {},
      ...options,
    });
    return forward(delivered().delivery).then(
      () => expect.unreachable(),
      (error) => error,
    );
  }

  it.each([
    ['the only sink failed for good', [permanent]],
    ['all sinks failed for good', [permanent, Object.assign(new Error('gone'), { permanent: true })]],
    ['a 429 is for good, and the queue knows no limit', [new SinkError('no', { status: 429, permanent: true })]],
  ])('is that no other attempt will help when %s', async (_, failures) => {
    expect(await rejection(failures)).toMatchObject({ name: 'UnrecoverableError', code: 'sink_failed' });
  });

  it.each([
    ['a sink can be helped by it', [transient]],
    ['one sink of two can be helped by it', [permanent, transient]],
    ['a sink says nothing', [permanent, new Error('timeout')]],
    ['a sink does not say it with true', [Object.assign(new Error('gone'), { permanent: 'yes' })]],
    ['a sink answers 429, and the queue knows no limit', [new SinkError('busy', { status: 429 })]],
  ])('asks for a retry when %s', async (_, failures) => {
    expect(await rejection(failures)).toMatchObject({ name: 'WebhookError', code: 'sink_failed' });
  });

  it('asks for a retry when the store fails, or the lease is lost before all sinks have settled', async () => {
    const unavailable = faultyStore();
    unavailable.fault('claim', fail);
    expect(await rejection([permanent], { store: unavailable.store })).toMatchObject({
      name: 'WebhookError',
      code: 'store_unavailable',
    });

    const lost = faultyStore();
    lost.fault('renew', () => Promise.resolve(false));
    const sinks = [
      { name: 'gone', deliver: () => Promise.reject(permanent) },
      { name: 'slow', deliver: () => new Promise<void>(() => {}) },
    ];
    expect(await rejection([], { sinks, store: lost.store, leaseMs: 60 })).toMatchObject({
      name: 'WebhookError',
      code: 'in_flight',
    });
  });

  it.each([
    ['as long as it was asked', 2_000, 2_000],
    ['5 s, without a time', undefined, 5_000],
    ['5 s, with a useless time', Number.NaN, 5_000],
    ['5 s, with a time of 0', 0, 5_000],
    ['whole milliseconds, the next ones', 1_234.5, 1_235],
  ])('is after a 429 to wait %s', async (_, retryAfterMs, ms) => {
    const rateLimit = vi.fn();
    const error = await rejection([new SinkError('busy', { status: 429, retryAfterMs })], { rateLimit });
    expect(rateLimit.mock.calls).toEqual([[ms]]);
    expect(error).toMatchObject({
      message: 'bullmq:rateLimitExceeded',
      cause: { code: 'sink_failed', cause: { status: 429 } },
    });
  });

  it('asks to wait also when another sink failed for good, and only after a 429', async () => {
    const rateLimit = vi.fn();
    const busy = new SinkError('busy', { status: 429, retryAfterMs: 10 });
    expect((await rejection([permanent, busy], { rateLimit })).message).toBe('bullmq:rateLimitExceeded');
    expect((await rejection([permanent, transient], { rateLimit })).message).not.toMatch(/bullmq/);
    expect(rateLimit).toHaveBeenCalledTimes(1);
  });

  it('is said when the limit has been set, and otherwise why it could not be', async () => {
    const set = deferred();
    let settled = false;
    const busy = new SinkError('busy', { status: 429 });
    const rejecting = rejection([busy], { rateLimit: () => set.promise }).finally(() => {
      settled = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(settled).toBe(false);
    set.resolve();
    await rejecting;

    const down = new Error('Connection is closed.');
    expect(await rejection([busy], { rateLimit: () => Promise.reject(down) })).toBe(down);
  });

  it('reports the true outcome, whatever error the queue gets', async () => {
    const outcomes: Outcome[] = [];
    const busy = new SinkError('busy', { status: 429 });
    await rejection([busy], { rateLimit: () => {}, onOutcome: (outcome) => outcomes.push(outcome) });
    expect(outcomes).toMatchObject([{ result: 'failed', code: 'sink_failed', error: { message: 'chat 0: busy' } }]);
  });
});

describe('close()', () => {
  it('waits for running calls and refuses later ones', async () => {
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
