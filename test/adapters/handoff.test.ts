import { describe, expect, it } from 'vitest';
import { type IdempotencyStore, memoryStore } from '../../src/index.js';
import {
  adapters,
  anEvent,
  bytesOf,
  type Handled,
  nodeAdapters,
  nowMs,
  nowSeconds,
  type Service,
  secret,
  serve,
  signed,
} from '../support/adapters.js';

/** A memory store that records its calls, which a test can wait for. */
function watchedStore() {
  const store = memoryStore();
  const calls: string[] = [];
  const waiting = new Set<() => void>();
  const watched = (name: keyof IdempotencyStore) =>
    ((key: string, token: string, last: never) => {
      const result = store[name](key, token, last);
      calls.push(name);
      for (const check of waiting) check();
      return result;
    }) as never;
  return {
    calls,
    store: {
      claim: watched('claim'),
      renew: watched('renew'),
      delivered: watched('delivered'),
      complete: watched('complete'),
      release: watched('release'),
    } satisfies IdempotencyStore,
    /** Resolves when it has been asked this so many times. */
    asked: (name: keyof IdempotencyStore, times: number) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (calls.filter((call) => call === name).length < times) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
  };
}

/** Sends a delivery and hangs up as soon as the handler has it. */
async function hangUpDuring(service: Service, message: ReturnType<typeof signed>, nth = 1): Promise<void> {
  const connection = await service.connect();
  connection.write(bytesOf({ target: service.endpoint, ...message }));
  await service.handling(nth);
  connection.destroy();
}

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe.each(adapters)('%s: the handler behind the middleware', (_name, adapter) => {
  it('gets the event as sent, and all that is known of its delivery', async () => {
    const service = await serve(adapter, { secret: { host: 'another', renter: secret } });
    const event = anEvent({ notif_type: 'new_type', extra: { nested: [1, null] } });
    const message = signed(event, { attempt: '4', timestamp: nowSeconds - 20 });
    await service.send(message);
    expect(service.handled.map(({ vast, body }) => ({ vast, body }))).toEqual([
      {
        vast: {
          event,
          delivery: {
            provider: 'vast',
            source: 'webhook',
            verified: true,
            id: event.event_id,
            type: 'new_type',
            attempt: 4,
            webhook: 'renter',
            timestamp: nowSeconds - 20,
            receivedAt: nowMs,
            rawBody: message.body,
          },
        },
        body: event,
      },
    ]);
  });

  it('runs once for an event, however often and at once it is delivered', async () => {
    const { open, opened } = gate();
    const service = await serve(adapter, { handler: () => opened.then(() => 200) });
    const message = signed();
    const answers = Promise.all(Array.from({ length: 8 }, () => service.send(message)));
    await service.handling();
    await service.outcome(7);
    open();
    expect((await answers).map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(503)]);
    expect((await service.send(message)).status).toBe(204);
    expect(service.handled).toHaveLength(1);
  });

  it('runs for each of several events at a time', async () => {
    const { open, opened } = gate();
    const service = await serve(adapter, { handler: () => opened.then(() => 204) });
    const answers = Promise.all([signed(), signed(), signed()].map((message) => service.send(message)));
    await service.handling(3);
    open();
    expect((await answers).map(({ status }) => status)).toEqual([204, 204, 204]);
  });

  it.each([200, 201, 202, 204, 299])('takes the event by answering %i', async (status) => {
    const { store, calls } = watchedStore();
    const service = await serve(adapter, { handler: () => status, options: { store } });
    const message = signed();
    expect((await service.send(message)).status).toBe(status);
    await service.outcome();
    expect(calls).toEqual(['claim', 'complete']);
    expect((await service.send(message)).status).toBe(204);
    expect(await service.outcome(2)).toMatchObject({ result: 'duplicate' });
    expect(service.handled).toHaveLength(1);
    expect(calls).toEqual(['claim', 'complete', 'claim']);
  });

  it.each([302, 304, 400, 404, 408, 429, 500, 503])('releases the event by answering %i', async (status) => {
    const { store, calls } = watchedStore();
    const statuses = [status, 204];
    const service = await serve(adapter, { handler: () => statuses.shift() as number, options: { store } });
    const message = signed();
    expect((await service.send(message)).status).toBe(status);
    expect(await service.outcome()).toMatchObject({ result: 'failed', code: 'handler_failed', status });
    expect(calls).toEqual(['claim', 'release']);
    expect((await service.send(message)).status).toBe(204);
    expect(service.handled).toHaveLength(2);
  });

  it('is the only one that answers: not even the deadline does in its place', async () => {
    const { store, asked } = watchedStore();
    const { open, opened } = gate();
    const service = await serve(adapter, {
      handler: () => opened.then(() => 201),
      options: { store, deadlineMs: 20, leaseMs: 60 },
    });
    const answer = service.send(signed());
    // Renewed at a third of the lease: the deadline is long over by then.
    await asked('renew', 3);
    expect(service.outcomes).toHaveLength(0);
    open();
    expect((await answer).status).toBe(201);
    expect(await service.outcome()).toMatchObject({ result: 'accepted', status: 201 });
  });

  it('does not run with handoff: false', async () => {
    const service = await serve(adapter, { options: { handoff: false } });
    expect((await service.send(signed())).status).toBe(204);
    expect(service.handled).toHaveLength(0);
    expect(await service.outcome()).toMatchObject({ result: 'accepted' });
  });

  it('does not run when there are sinks and nothing is said of handoff', async () => {
    const service = await serve(adapter, { options: { sinks: [async function audit() {}] } });
    expect((await service.send(signed())).status).toBe(204);
    expect(service.handled).toHaveLength(0);
  });
});

describe.each(adapters)('%s: a sender that hangs up while the handler runs', (_name, adapter) => {
  const endings: Record<string, { handler: (handled: Handled) => Promise<number>; taken: boolean }> = {
    '204': { handler: ({ closed }) => closed().then(() => 204), taken: true },
    '500': { handler: ({ closed }) => closed().then(() => 500), taken: false },
    '404': { handler: ({ closed }) => closed().then(() => 404), taken: false },
    'an error': {
      handler: ({ closed }) =>
        closed().then(() => {
          throw new Error('rebid failed');
        }),
      taken: false,
    },
  };

  it.each(Object.entries(endings))('and is answered by %s', async (_, { handler, taken }) => {
    const { store, calls } = watchedStore();
    let first = true;
    const service = await serve(adapter, {
      options: { store },
      handler(handled) {
        if (!first) return 204;
        first = false;
        return handler(handled);
      },
    });
    const message = signed();
    await hangUpDuring(service, message);
    expect(await service.outcome()).toMatchObject(
      taken ? { result: 'accepted', status: 204 } : { result: 'failed', code: 'handler_failed' },
    );
    expect(calls).toEqual(['claim', taken ? 'complete' : 'release']);

    expect((await service.send(message)).status).toBe(204);
    expect(await service.outcome(2)).toMatchObject({ result: taken ? 'duplicate' : 'accepted' });
    expect(service.handled).toHaveLength(taken ? 1 : 2);
    expect(service.outcomes).toHaveLength(2);
  });

  it('leaves the event to the handler, also beyond the lease: a retry meanwhile gets in_flight', async () => {
    const { store, asked } = watchedStore();
    const { open, opened } = gate();
    const service = await serve(adapter, {
      options: { store, leaseMs: 60 },
      handler: ({ closed }) =>
        closed()
          .then(() => opened)
          .then(() => 204),
    });
    const message = signed();
    await hangUpDuring(service, message);
    await asked('renew', 5);
    expect(await service.send(message)).toMatchObject({
      status: 503,
      body: '{"ok":false,"error":"in_flight"}',
      headers: { 'retry-after': '1' },
    });
    open();
    expect(await service.outcome(2)).toMatchObject({ result: 'accepted' });
    expect((await service.send(message)).status).toBe(204);
    expect(service.handled).toHaveLength(1);
  });
});

describe.each(nodeAdapters)('%s: a sender that hangs up', (_name, adapter) => {
  it('in the middle of the answer has not received it, so the event is released', async () => {
    const { store, calls } = watchedStore();
    let first = true;
    const service = await serve(adapter, {
      options: { store },
      handler({ write }) {
        if (!first) return 204;
        first = false;
        write('a part');
        return new Promise(() => {});
      },
    });
    const message = signed();
    await hangUpDuring(service, message);
    expect(await service.outcome()).toMatchObject({ result: 'failed', code: 'handler_failed', permanent: false });
    expect(calls).toEqual(['claim', 'release']);
    expect((await service.send(message)).status).toBe(204);
    expect(service.handled).toHaveLength(2);
  });
});

describe.each(adapters)('%s: a sender that pipelines, and hangs up while the first handler runs', (_name, adapter) => {
  it.each(['before', 'after'])('has the event settled that another handler takes %s that', async (when) => {
    const hungUp = gate();
    const first = gate();
    const second = when === 'before' ? Promise.resolve() : hungUp.opened;
    const service = await serve(adapter, {
      handler: () => (service.handled.length === 1 ? first.opened : second).then(() => 204),
    });
    const [one, two] = [signed(), signed()];
    const connection = await service.connect();
    connection.write(Buffer.concat([one, two].map((message) => bytesOf({ target: service.endpoint, ...message }))));
    await service.handling(2);
    const closed = service.handled[0]?.closed();
    connection.destroy();
    await closed;
    hungUp.open();
    expect(await service.outcome(1)).toMatchObject({ result: 'accepted', status: 204 });
    first.open();
    expect(await service.outcome(2)).toMatchObject({ result: 'accepted', status: 204 });
    expect((await service.send(two)).status).toBe(204);
    expect(service.handled).toHaveLength(2);
    await service.hook.close();
  });
});

describe.each(adapters)('%s: a handler behind sinks', (_name, adapter) => {
  it('runs after all of them', async () => {
    const order: string[] = [];
    const service = await serve(adapter, {
      handler() {
        order.push('handler');
        return 204;
      },
      options: {
        handoff: true,
        sinks: [
          async function slow() {
            await new Promise(setImmediate);
            order.push('slow');
          },
          function fast() {
            order.push('fast');
          },
        ],
      },
    });
    expect((await service.send(signed())).status).toBe(204);
    expect(order).toEqual(['fast', 'slow', 'handler']);
    expect(await service.outcome()).toMatchObject({ sinks: { slow: 'delivered', fast: 'delivered' } });
  });

  it('does not run when one of them fails', async () => {
    const service = await serve(adapter, {
      options: {
        handoff: true,
        sinks: [
          async function broken() {
            throw new Error('no');
          },
        ],
      },
    });
    expect((await service.send(signed())).status).toBe(502);
    expect(service.handled).toHaveLength(0);
  });

  it('runs again after it has failed, while the sinks are not called again', async () => {
    let calls = 0;
    const statuses = [500, 204];
    const service = await serve(adapter, {
      handler: () => statuses.shift() as number,
      options: {
        handoff: true,
        sinks: [
          async function audit() {
            calls++;
          },
        ],
      },
    });
    const message = signed();
    expect((await service.send(message)).status).toBe(500);
    expect(await service.outcome()).toMatchObject({ code: 'handler_failed', sinks: { audit: 'delivered' } });
    expect((await service.send(message)).status).toBe(204);
    expect(await service.outcome(2)).toMatchObject({ result: 'accepted', sinks: { audit: 'already' } });
    expect([calls, service.handled.length]).toEqual([1, 2]);
  });

  it('does not run when they took longer than the deadline: the sender has its answer', async () => {
    const { store, asked } = watchedStore();
    const { open, opened } = gate();
    const service = await serve(adapter, {
      options: {
        store,
        deadlineMs: 30,
        handoff: true,
        sinks: [
          async function slow() {
            await opened;
          },
        ],
      },
    });
    const message = signed();
    expect((await service.send(message)).status).toBe(504);
    expect((await service.send(message)).status).toBe(503);
    open();
    await asked('release', 1);
    expect(service.handled).toHaveLength(0);
    // The next attempt knows that the sink was delivered to, and calls the handler.
    expect((await service.send(message)).status).toBe(204);
    expect(await service.outcome(3)).toMatchObject({ result: 'accepted', sinks: { slow: 'already' } });
    expect(service.handled).toHaveLength(1);
  });
});

describe.each(adapters)('%s: close()', (_name, adapter) => {
  it('waits for a running handler, and then resolves', async () => {
    const { open, opened } = gate();
    const service = await serve(adapter, { handler: () => opened.then(() => 204) });
    const answer = service.send(signed());
    await service.handling();
    let closed = false;
    const closing = service.hook.close().then(() => {
      closed = true;
    });
    expect((await service.send(signed())).status).toBe(503);
    expect(closed).toBe(false);
    open();
    expect((await answer).status).toBe(204);
    await closing;
  });

  it('waits no longer than its timeout', async () => {
    const { open, opened } = gate();
    const service = await serve(adapter, { handler: () => opened.then(() => 204) });
    const answer = service.send(signed());
    await service.handling();
    await service.hook.close(10);
    expect(service.outcomes).toHaveLength(0);
    open();
    expect((await answer).status).toBe(204);
  });

  it('waits for a sink that still runs after the answer', async () => {
    const { open, opened } = gate();
    const service = await serve(adapter, {
      options: {
        deadlineMs: 30,
        sinks: [
          async function slow() {
            await opened;
          },
        ],
      },
    });
    expect((await service.send(signed())).status).toBe(504);
    let closed = false;
    const closing = service.hook.close().then(() => {
      closed = true;
    });
    expect((await service.send(signed())).status).toBe(503);
    expect(closed).toBe(false);
    open();
    await closing;
  });

  it('resolves at once when nothing runs, as Symbol.asyncDispose does', async () => {
    const service = await serve(adapter);
    await service.hook.close();
    await service.hook[Symbol.asyncDispose]();
    expect((await service.send(signed())).status).toBe(503);
    expect((await service.send({ target: '/elsewhere' })).status).toBe(200);
  });
});
