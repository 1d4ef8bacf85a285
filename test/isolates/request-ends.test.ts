import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { vastWebhook } from '../../src/fetch.js';
import type { Outcome, VastEvent, WebhookOptions } from '../../src/index.js';
import type { Secret } from '../../src/receive/secrets.js';
import { type AlertEvent, alerting, type DigestEvent, digest, quiet } from '../../src/sinks/index.js';
import { postgresStore } from '../../src/stores/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { deferred } from '../support/deferred.js';
import { faultyStore } from '../support/faulty-store.js';
import { type Isolate, type IsolatedRequest, isolate, pass } from '../support/isolate.js';

const secret = 'whsec_isolate';
const seconds = 1_000;

let worker: Isolate;
beforeEach(() => {
  worker = isolate();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A chat whose calls take as long as the test says. */
function chat(answer: (nth: number) => unknown = () => {}) {
  const got: (VastEvent & Partial<DigestEvent>)[] = [];
  let calls = 0;
  return {
    got,
    calls: () => calls,
    sink: {
      name: 'chat',
      async deliver(event: VastEvent) {
        await answer(++calls);
        got.push(event as never);
      },
    },
  };
}

function webhook(options: WebhookOptions, given: Secret = secret) {
  const outcomes: Outcome[] = [];
  const errors: string[] = [];
  const hook = vastWebhook(given, {
    onOutcome: (outcome) => outcomes.push(outcome),
    onError: ({ message }) => errors.push(message),
    ...options,
  });
  let events = 0;
  const send = (event_id = `event-${++events}`, hasContext = true): IsolatedRequest<Response> => {
    const { body, headers } = signedDelivery({ ...sampleEvent('instance_offline'), event_id }, secret);
    const request = new Request('https://worker.test/', { method: 'POST', body, headers });
    return worker.handle((context) => (hasContext ? hook(request, { SOME: 'binding' }, context) : hook(request)));
  };
  return { send, outcomes, errors };
}

const statusOf = async ({ answer }: IsolatedRequest<Response>) => (await answer).status;
const hang = () => new Promise<never>(() => {});

describe('a digest that events were answered for', () => {
  it('is delivered although there is no further request, and holds their requests until then', async () => {
    const { got, sink } = chat();
    const { send } = webhook({ sinks: [digest({ everyMs: 10 * seconds }, sink)] });
    const requests = [send(), send(), send()];
    await pass(100);
    expect(await Promise.all(requests.map(statusOf))).toEqual([204, 204, 204]);
    expect(requests.map(({ isAlive }) => isAlive())).toEqual([true, true, true]);
    await pass(10 * seconds);
    expect(got).toMatchObject([{ count: 3 }]);
    expect(requests.map(({ isAlive }) => isAlive())).toEqual([false, false, false]);
  });

  it.each([0, 1, 2])('is delivered by any of its requests when only number %i has not ended', async (survivor) => {
    const { got, sink } = chat();
    const { send } = webhook({ sinks: [digest({ everyMs: 10 * seconds }, sink)] });
    const requests = [send(), send(), send()];
    await pass(1 * seconds);
    for (const [index, request] of requests.entries()) if (index !== survivor) request.end();
    await pass(9 * seconds);
    expect(got).toMatchObject([{ count: 3 }]);
  });

  it('is delivered by another request when the one at it ends', async () => {
    const { got, sink } = chat((nth) => (nth === 1 ? hang() : undefined));
    const { send } = webhook({ sinks: [digest({ everyMs: 10 * seconds }, sink)] });
    const requests = [send(), send()];
    await pass(10 * seconds);
    requests[0]?.end();
    await pass(10 * seconds);
    expect(got).toMatchObject([{ count: 2 }]);
  });

  it('is not delivered twice while the request at it lives', async () => {
    const answer = deferred();
    const { calls, sink } = chat(() => answer.promise);
    const { send } = webhook({ sinks: [digest({ everyMs: 9 * seconds }, sink)] });
    const requests = [send(), send(), send()];
    await pass(25 * seconds);
    answer.resolve();
    await pass(1 * seconds);
    expect(calls()).toBe(1);
    expect(requests.map(({ isAlive }) => isAlive())).toEqual([false, false, false]);
  });

  it('waits for 20 seconds at most, because waitUntil lasts for 30', async () => {
    const { got, sink } = chat();
    const { send } = webhook({ sinks: [digest({ everyMs: 240 * seconds }, sink)] });
    send();
    send();
    await pass(20 * seconds);
    expect(got).toMatchObject([{ count: 2 }]);
  });

  it('is retried while its requests last, reported then, and delivered with the next request', async () => {
    let isDown = true;
    const { got, sink } = chat(() => {
      if (isDown) throw new Error('down');
    });
    const errors: string[] = [];
    const onError = ({ message }: Error) => errors.push(message);
    const { send } = webhook({ sinks: [digest({ everyMs: 10 * seconds, onError }, sink)] });
    const requests = [send(), send()];
    await pass(60 * seconds);
    expect(requests.map(({ isAlive }) => isAlive())).toEqual([false, false]);
    expect(errors).toEqual(['2 answered events could not be delivered yet, and wait for the next request: down']);
    isDown = false;
    await pass(600 * seconds);
    expect(got).toEqual([]);
    send();
    await pass(1 * seconds);
    expect(got).toMatchObject([{ count: 2 }]);
  });

  it('takes no event from a request without waitUntil, and says how to pass it on', async () => {
    const { sink } = chat();
    const { send, outcomes, errors } = webhook({ sinks: [digest({ everyMs: 10 * seconds }, sink)] });
    const requests = [send('a', false), send('b', false)];
    await pass(100);
    expect(await Promise.all(requests.map(statusOf))).toEqual([502, 502]);
    expect(outcomes[0]?.error?.message).toMatch('hook(request, env, ctx)');
    expect(errors).toEqual([expect.stringContaining('hook(request, env, ctx)')]);
  });
});

describe('a digest that requests wait for', () => {
  it('answers them when the request that began it has ended', async () => {
    const { got, sink } = chat();
    const { send } = webhook({ sinks: [digest({ everyMs: 4 * seconds }, sink)] });
    const [first, second] = [send(), send()];
    await pass(1 * seconds);
    first.end();
    await pass(3 * seconds);
    expect(got).toMatchObject([{ count: 2 }]);
    expect(await statusOf(second)).toBe(204);
  });

  it('fails none of them when an attempt fails late whose request was taken for ended', async () => {
    const [early, late] = [deferred(), deferred()];
    const { sink } = chat((nth) => (nth === 1 ? early : late).promise);
    const { send } = webhook({ deadlineMs: 25 * seconds, sinks: [digest({ everyMs: 1 * seconds }, sink)] });
    const [first, second] = [send(), send()];
    await pass(2 * seconds);
    first.end();
    await pass(8 * seconds);
    early.reject(new Error('connection lost'));
    await pass(1 * seconds);
    late.resolve();
    await pass(100);
    expect(await statusOf(second)).toBe(204);
  });

  it('begins anew with the next request', async () => {
    const { got, sink } = chat();
    const { send } = webhook({ sinks: [digest({ everyMs: 2 * seconds }, sink)] });
    for (let window = 1; window <= 3; window++) {
      const request = send();
      await pass(2 * seconds);
      expect([await statusOf(request), got.length]).toEqual([204, window]);
    }
  });
});

it('quiet delivers the events of a minute that it has kept back', async () => {
  const { got, sink } = chat();
  const { send } = webhook({ sinks: [quiet({ perMinute: 1 }, sink)] });
  for (let event = 0; event < 3; event++) send();
  await pass(100);
  expect(got).toHaveLength(1);
  await pass(20 * seconds);
  expect(got[1]).toMatchObject({ count: 2 });
});

describe('the third argument', () => {
  it('has the waitUntil for a sink that is slower than the deadline', async () => {
    const { got, sink } = chat(() => new Promise((resolve) => setTimeout(resolve, 3 * seconds)));
    const { send } = webhook({ sinks: [sink], deadlineMs: 1 * seconds });
    const late = send('slow');
    await pass(1 * seconds);
    expect(await statusOf(late)).toBe(504);
    await pass(3 * seconds);
    expect([got.length, late.isAlive()]).toEqual([1, false]);
    expect(await statusOf(send('slow'))).toBe(204);
    expect(got).toHaveLength(1);
  });
});

describe('the function for the secret', () => {
  it('is called by another request when the one that called it ends', async () => {
    let calls = 0;
    const { send } = webhook({ sinks: [chat().sink] }, () => (++calls === 1 ? hang() : secret));
    const first = send();
    await pass(100);
    const second = send();
    await pass(100);
    first.end();
    await pass(7 * seconds);
    expect([await statusOf(second), calls]).toEqual([204, 2]);
  });

  it('has answered when one of its calls has, although one that was taken for ended fails', async () => {
    const [early, late] = [deferred<string>(), deferred<string>()];
    let calls = 0;
    const { send } = webhook({ sinks: [chat().sink] }, () => (++calls === 1 ? early : late).promise);
    const [first, second] = [send(), send()];
    await pass(100);
    first.end();
    await pass(7 * seconds);
    early.reject(new Error('connection lost'));
    await pass(100);
    late.resolve(secret);
    await pass(100);
    expect([await statusOf(second), calls]).toEqual([204, 2]);
  });

  it('that hangs holds no request beyond its deadline', async () => {
    const { send } = webhook({ deadlineMs: 5 * seconds, sinks: [chat().sink] }, hang);
    const request = send();
    await pass(6 * seconds);
    expect(await statusOf(request)).toBe(503);
    expect(request.isAlive()).toBe(false);
  });

  it('is called once while the request that called it lives', async () => {
    let calls = 0;
    const slow = () => new Promise<string>((resolve) => setTimeout(() => resolve(secret), 7 * seconds));
    const { send } = webhook({ sinks: [chat().sink] }, () => {
      calls++;
      return slow();
    });
    const requests = [send(), send(), send()];
    await pass(7 * seconds);
    expect(await Promise.all(requests.map(statusOf))).toEqual([204, 204, 204]);
    expect(calls).toBe(1);
  });
});

it('claims that failed are released although the request at it has ended', async () => {
  const { store, fault, operations } = faultyStore();
  fault('claim', () => Promise.reject(new Error('down')));
  fault('release', () => hang());
  const { send } = webhook({ store, sinks: [chat().sink] });
  const first = send();
  await pass(100);
  const second = send();
  await pass(100);
  expect(await Promise.all([first, second].map(statusOf))).toEqual([503, 503]);
  first.end();
  fault('release', (release) => Promise.resolve(release()));
  await pass(8 * seconds);
  expect(operations().filter((operation) => operation === 'release')).toHaveLength(3);
  expect(second.isAlive()).toBe(false);
});

it.each([
  ['hangs', () => hang()],
  ['refuses', () => Promise.reject(new Error('Cannot perform I/O on behalf of a different request.'))],
])('a client of another request that %s is a 503 that says what to do', async (_, claim) => {
  const { store, fault } = faultyStore();
  fault('claim', claim);
  const { send, outcomes } = webhook({ store, sinks: [chat().sink] });
  const request = send();
  await pass(3 * seconds);
  expect(await statusOf(request)).toBe(503);
  expect(outcomes[0]?.error?.message).toContain('connect in each call, or use d1Store');
});

it('a check for the table of Postgres whose request has ended does not stop later ones', async () => {
  let queries = 0;
  const client = {
    query({ values }: { values?: unknown[] }) {
      if (++queries === 1) return hang();
      return Promise.resolve({
        rows: [values === undefined ? { name: 'vast_webhook' } : { answer: '[]' }],
        rowCount: 1,
      });
    },
  };
  const { send } = webhook({ store: postgresStore(client), sinks: [chat().sink] });
  const first = send();
  await pass(100);
  first.end();
  await pass(3 * seconds);
  const second = send();
  await pass(3 * seconds);
  expect(await statusOf(second)).toBe(204);
});

it('an alert that could not be delivered is retried by a later request', async () => {
  const alerts: AlertEvent['notif_type'][] = [];
  let isDown = true;
  const sinks = alerting(
    {
      afterMs: 1,
      sink: {
        name: 'alert',
        async deliver({ notif_type }) {
          if (isDown) throw new Error('down');
          alerts.push(notif_type);
        },
      },
    },
    [
      async function failing() {
        throw new Error('failed');
      },
    ],
  );
  const { send } = webhook({ sinks });
  send();
  await pass(10);
  send();
  // Longer than the longest pause between two attempts.
  await pass(1_000 * seconds);
  expect(alerts).toEqual([]);
  isDown = false;
  send();
  await pass(10 * seconds);
  expect(alerts).toEqual(['sink_failing']);
});

it.each(['succeeds', 'fails'])('an alert is not lost because an attempt at the one before it %s late', async (how) => {
  const alerts: AlertEvent['notif_type'][] = [];
  const early = deferred();
  let attempts = 0;
  let isFailing = true;
  const sinks = alerting(
    {
      afterMs: 1,
      sink: {
        name: 'alert',
        async deliver({ notif_type }) {
          const attempt = ++attempts;
          if (attempt === 1) await early.promise;
          if (attempt === 3) throw new Error('down');
          alerts.push(notif_type);
        },
      },
    },
    [
      async function failing() {
        if (isFailing) throw new Error('failed');
      },
    ],
  );
  const { send } = webhook({ sinks });
  send();
  await pass(10);
  const first = send();
  await pass(10);
  first.end();
  send();
  // Another request sees no sign of life from the first one only after it is held no more.
  await pass(30 * seconds);
  send();
  await pass(8 * seconds);
  expect([attempts, alerts]).toEqual([2, ['sink_failing']]);
  vi.spyOn(Math, 'random').mockReturnValue(0.99);
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  isFailing = false;
  send();
  await pass(100);
  expect(attempts).toBe(3);
  if (how === 'succeeds') early.resolve();
  else early.reject(new Error('connection lost'));
  await pass(5 * seconds);
  expect(alerts).toContain('sink_recovered');
});
