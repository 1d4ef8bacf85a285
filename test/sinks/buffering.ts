import { vi } from 'vitest';
import { DispatchContext } from '../../src/forward/dispatch-context.js';
import type { Delivery, Sink, SinkContext, VastEvent } from '../../src/index.js';
import type { DigestEvent } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type Deferred, deferred } from '../support/deferred.js';

let events = 0;

/** An event and its delivery, as the middleware or an outbox passes them to a sink. */
export function anEvent(fields: object = {}, delivery: Partial<Delivery> = {}) {
  const id = `event-${String(++events).padStart(6, '0')}`;
  const event = { ...sampleEvent('instance_offline'), event_id: id, ...fields } as VastEvent;
  const rawBody = Buffer.from(JSON.stringify(event));
  const sent = { provider: 'vast', id, attempt: 1, timestamp: 1_800_000_000, receivedAt: 1_800_000_000_250, rawBody };
  return { event, delivery: { ...sent, ...delivery } as Delivery };
}

/** One attempt to deliver to a sink, and its result so far. */
export interface Attempt {
  readonly event: VastEvent;
  readonly delivery: Delivery;
  readonly context: SinkContext;
  /** What the dispatch does when its lease is lost. */
  abort(reason?: Error): void;
  /** Undefined until the sink settles. */
  readonly result: 'delivered' | Error | undefined;
}

/** Delivers an event to a sink. `withinMs`: the time until the request's deadline, if a request waits. */
export function deliverTo(sink: Sink<VastEvent>, { event, delivery } = anEvent(), withinMs?: number): Attempt {
  const deadlineAt = withinMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + withinMs;
  const context = new DispatchContext(delivery, deadlineAt, undefined);
  const abort = (reason = new Error('the lease was lost')) => context.abort(reason);
  const attempt = { event, delivery, context, abort, result: undefined as Attempt['result'] };
  const failed = (error: Error) => {
    attempt.result = error;
  };
  try {
    const delivering = sink.deliver(event, context);
    if (delivering === undefined) attempt.result = 'delivered';
    else {
      delivering.then(() => {
        attempt.result = 'delivered';
      }, failed);
    }
  } catch (error) {
    failed(error as Error);
  }
  return attempt;
}

export const resultsOf = (all: readonly Attempt[]) => [...new Set(all.map(({ result }) => result))];

/** A sink that records its calls. If it is slow, it settles when the test says so. */
export function recorder({ isSlow = false } = {}) {
  const calls: (Deferred & { event: VastEvent & Partial<DigestEvent>; context: SinkContext; at: number })[] = [];
  let answer: (nth: number) => unknown = () => {};
  const sink: Sink<VastEvent> = {
    name: 'slack',
    async deliver(event, context) {
      const settling = deferred();
      calls.push({ ...settling, event: event as never, context, at: performance.now() });
      if (isSlow) await settling.promise;
      await answer(calls.length);
    },
  };
  return {
    sink,
    calls,
    events: () => calls.map(({ event }) => event),
    subjects: () => calls.map(({ event }) => event.subject),
    answers(give: (nth: number) => unknown) {
      answer = give;
    },
  };
}

export const after = (ms: number) => vi.advanceTimersByTimeAsync(ms);
