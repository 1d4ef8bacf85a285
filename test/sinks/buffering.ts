import { vi } from 'vitest';
import type { Delivery, Sink, SinkContext, VastEvent } from '../../src/index.js';
import type { DigestEvent } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type Deferred, deferred } from '../support/deferred.js';

let events = 0;

/** An event and its delivery, as the middleware or an outbox gives them to a sink. */
export function anEvent(fields: object = {}, delivery: Partial<Delivery> = {}) {
  const id = `event-${String(++events).padStart(6, '0')}`;
  const event = { ...sampleEvent('instance_offline'), event_id: id, ...fields } as VastEvent;
  const rawBody = Buffer.from(JSON.stringify(event));
  const sent = { provider: 'vast', id, attempt: 1, timestamp: 1_800_000_000, receivedAt: 1_800_000_000_250, rawBody };
  return { event, delivery: { ...sent, ...delivery } as Delivery };
}

/** How one delivery to a sink has ended so far. */
export interface Told {
  readonly event: VastEvent;
  readonly delivery: Delivery;
  readonly abort: AbortController;
  /** Undefined while it is held. */
  readonly result: 'told' | Error | undefined;
}

/** Tells a sink of an event. `withinMs`: when the sender wants its answer, if somebody waits for one. */
export function tell(sink: Sink<VastEvent>, { event, delivery } = anEvent(), withinMs?: number): Told {
  const abort = new AbortController();
  const told = { event, delivery, abort, result: undefined as Told['result'] };
  const deadlineAt = withinMs === undefined ? undefined : performance.now() + withinMs;
  const failed = (error: Error) => {
    told.result = error;
  };
  try {
    const telling = sink.deliver(event, { delivery, signal: abort.signal, deadlineAt });
    if (telling === undefined) told.result = 'told';
    else {
      telling.then(() => {
        told.result = 'told';
      }, failed);
    }
  } catch (error) {
    failed(error as Error);
  }
  return told;
}

export const resultsOf = (all: readonly Told[]) => [...new Set(all.map(({ result }) => result))];

/** A sink that writes down what it is told, and settles when the test says so if it is slow. */
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
