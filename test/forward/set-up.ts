/** A dispatcher over a store that can fail, in fake time. */
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { VerifiedDelivery } from '../../src/contracts/delivery.js';
import type { Forwarded } from '../../src/contracts/result.js';
import { type Sink, type SinkContext, type SinkFunction, toSinks } from '../../src/contracts/sink.js';
import type { Handler } from '../../src/forward/dispatch.js';
import { Dispatcher } from '../../src/forward/dispatcher.js';
import { Drain } from '../../src/forward/drain.js';
import type { VastEvent } from '../../src/providers/vast.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type Deferred, deferred } from '../support/deferred.js';
import { deliveryOf } from '../support/delivery.js';
import { faultyStore } from '../support/faulty-store.js';

export const leaseMs = 30_000;
export const minutes = 60_000;
export const key = 'receiver:vast:event-1';

/** Called at the top of each file, because a thread that runs several files loads this module once. */
export function useFakeTime(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    // At 0, times and durations would be the same.
    vi.advanceTimersByTime(60 * minutes);
  });
  afterEach(() => {
    vi.useRealTimers();
    expect(secondResults.splice(0)).toEqual([]);
  });
}

/** Results of deliveries that had a result already, which must not happen. */
const secondResults: Forwarded[] = [];

export const verified: VerifiedDelivery<VastEvent> = {
  event: sampleEvent('outbid'),
  delivery: deliveryOf({}, { id: 'event-1' }),
};

/** A dispatcher over a faulty store, with the errors that it reported. */
export function setUp(...sinks: (Sink<VastEvent> | SinkFunction<VastEvent>)[]) {
  const faulty = faultyStore();
  const errors: { message: string; sink?: string; id?: string }[] = [];
  const drain = new Drain();
  const dispatcher = new Dispatcher<VastEvent>({
    scope: 'receiver',
    sinks: toSinks(sinks),
    store: faulty.store,
    leaseMs,
    storeTimeoutMs: 2_000,
    completedTtlMs: 7 * 24 * 60 * minutes,
    drain,
    onError: ({ message }, { id, sink }) => errors.push(sink === undefined ? { message, id } : { message, id, sink }),
  });
  return {
    ...faulty,
    errors,
    drain,
    forward: (handler?: Handler) => forwarded(dispatcher, Number.POSITIVE_INFINITY, handler),
    forwardWithin: (ms: number, handler?: Handler) => forwarded(dispatcher, performance.now() + ms, handler),
    /** The answer of the store to another claim now. */
    state: () => faulty.real.claim(key, 'probe', 1),
  };
}

export function forwarded(
  dispatcher: Dispatcher<VastEvent>,
  deadlineAt: number,
  handler?: Handler,
): Promise<Forwarded> {
  return new Promise((resolve) => {
    // Resolves in a later microtask, so that errors which `forward` throws after `done` are seen.
    let isDone = false;
    const done = (result: Forwarded) => {
      if (isDone) secondResults.push(result);
      isDone = true;
      queueMicrotask(() => resolve(result));
    };
    dispatcher.forward(verified, deadlineAt, handler, done);
  });
}

/** A sink whose attempts settle when the test says so. */
export function slow(name: string) {
  const attempts: (Deferred & SinkContext)[] = [];
  const sink: Sink<VastEvent> = {
    name,
    deliver(_event, { delivery, signal }) {
      const settling = deferred();
      attempts.push({ ...settling, delivery, signal });
      return settling.promise;
    },
  };
  return { sink, attempts };
}

export const settled = () => vi.advanceTimersByTimeAsync(0);
