import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createForwarder, type DeliveryMessage, SinkError, type SinkMessage, verifyDelivery } from '../src/index.js';
import { sqliteOutbox } from '../src/sinks/index.js';
import { sampleEvent, signedDelivery } from '../src/testing/index.js';
import { adapters, anEvent, head, secret, serve, signed } from './support/adapters.js';
import { traceDeliveries, watchChannels } from './support/channels.js';
import { deferred } from './support/deferred.js';
import { faultyStore } from './support/faulty-store.js';
import { sqliteHandles } from './support/sqlite.js';
import { temporaryFile } from './support/temporary-file.js';

const minutes = 60_000;

describe.each(adapters)('%s: the published messages of a delivery', (_name, adapter) => {
  it('is one object from its arrival to its answer', async () => {
    const { published, nth } = watchChannels();
    const service = await serve(adapter);
    const event = anEvent();
    await service.send(signed(event));
    await nth('delivery:asyncEnd');
    expect(published.map(({ name, held }) => [name, held])).toEqual([
      ['delivery:start', { provider: 'vast' }],
      ['delivery:end', { provider: 'vast' }],
      ['delivery:asyncStart', { provider: 'vast', outcome: service.outcomes[0] }],
      ['delivery:asyncEnd', { provider: 'vast', outcome: service.outcomes[0] }],
    ]);
    expect(new Set(published.map(({ message }) => message)).size).toBe(1);
    expect(service.outcomes[0]).toMatchObject({ result: 'accepted', id: event.event_id, status: 204 });
  });

  it.each([
    ['refused before its body is read', { headers: [] }, 'invalid_signature'],
    ['forged', signed(anEvent(), { key: 'another' }), 'invalid_signature'],
    ['not JSON', signed('{'), 'invalid_json'],
    ['of another method', { method: 'GET' }, 'method_not_allowed'],
  ] as const)('has the error of one that is %s', async (_what, message, code) => {
    const { all, nth, names } = watchChannels();
    const service = await serve(adapter);
    await service.send(message);
    const { outcome, error } = await nth('delivery:asyncEnd');
    expect(error).toMatchObject({ code });
    expect(outcome).toBe(service.outcomes[0]);
    expect(all('delivery:error')).toEqual([{ provider: 'vast', outcome, error }]);
    expect(names().filter((name) => name !== 'delivery:end')).toEqual([
      'delivery:start',
      'delivery:error',
      'delivery:asyncStart',
      'delivery:asyncEnd',
    ]);
  });

  it('ends when the sender hangs up, when the handler throws, and when the service closes', async () => {
    const { all, nth } = watchChannels();
    const service = await serve(adapter, {
      handler() {
        throw new Error('handler down');
      },
    });
    const { headers, body } = signed();
    const connection = await service.connect();
    connection.write(head('POST', service.endpoint, [...headers, ['Content-Length', String(body.length)]]));
    await nth('delivery:start');
    connection.destroy();
    expect((await nth('delivery:asyncEnd')).outcome?.code).toBe('aborted');
    await service.send(signed());
    expect((await nth('delivery:asyncEnd', 2)).outcome?.code).toBe('handler_failed');
    await service.hook.close();
    await service.send(signed());
    expect((await nth('delivery:asyncEnd', 3)).outcome?.code).toBe('closing');
    expect(all('delivery:start')).toHaveLength(3);
  });

  it('contains only those parts of the request that the outcome has', async () => {
    const { published, nth } = watchChannels();
    const service = await serve(adapter, { options: { sinks: [async function audit() {}] } });
    await service.send(signed(anEvent({ message: 'confidential' })));
    await nth('delivery:asyncEnd');
    const held = JSON.stringify(published.map((one) => one.held));
    expect(held).not.toMatch(/confidential|signature|sha256/i);
    expect(held).not.toContain(secret);
  });

  it('does not exist for a delivery that began before the subscription', async () => {
    const opened = deferred();
    const service = await serve(adapter, { handler: () => opened.promise.then(() => 204) });
    const answer = service.send(signed());
    await service.handling();
    const { names } = watchChannels();
    opened.resolve();
    expect((await answer).status).toBe(204);
    await service.outcome();
    expect(names()).toEqual([]);
  });
});

describe.each(adapters)('%s: the context that a tracer starts with a delivery', (_name, adapter) => {
  const slowly = async <T>(give: () => T) => {
    await sleep(1);
    return give();
  };
  const { store, fault } = faultyStore();
  for (const operation of ['claim', 'delivered', 'complete'] as const) fault(operation, slowly);
  const parserBefore = Object.keys(adapter.parsers).find((name) => adapter.parsers[name]?.leaves !== 'nothing');
  const situations = {
    'is read from the request': {},
    'was read by a parser': { parserBefore: parserBefore as string },
    'is checked against a secret that is asked for': { secret: () => slowly(() => secret) },
    'is claimed in a store elsewhere': { options: { store } },
  };

  it.each(Object.entries(situations))('is active in sinks and the handler, when the body %s', async (_what, setup) => {
    const active = traceDeliveries();
    const seen: [string, number | undefined][] = [];
    const see = (where: string) => seen.push([where, active()]);
    const service = await serve(adapter, {
      ...setup,
      options: {
        ...('options' in setup && setup.options),
        handoff: true,
        sinks: [
          async function audit() {
            see('sink');
            await sleep(1);
            see('sink, later');
          },
        ],
        onOutcome: () => see('outcome'),
      },
      async handler() {
        see('handler');
        await sleep(1);
        see('handler, later');
        return 204;
      },
    });
    for (let delivery = 1; delivery <= 2; delivery++) {
      seen.length = 0;
      expect((await service.send(signed())).status).toBe(204);
      await service.outcome(delivery);
      expect(seen).toEqual([
        ['sink', delivery],
        ['sink, later', delivery],
        ['handler', delivery],
        ['handler, later', delivery],
        ['outcome', delivery],
      ]);
    }
  });

  it('is each one its own, also on one connection, and ends with it', async () => {
    const active = traceDeliveries();
    const service = await serve(adapter, {
      options: { handoff: true, sinks: [async function audit() {}] },
      around: (next) => {
        seen.push(['before', active()]);
        return next();
      },
      handler() {
        seen.push(['handler', active()]);
        return 204;
      },
    });
    const seen: [string, number | undefined][] = [];
    const connection = await service.connect();
    for (let delivery = 1; delivery <= 3; delivery++) {
      const { headers, body } = signed();
      const arrived = service.arrival();
      connection.write(head('POST', service.endpoint, [...headers, ['Content-Length', String(body.length)]]));
      // The body arrives in events of the socket.
      await arrived;
      connection.write(body.subarray(0, 10));
      await sleep(5);
      connection.write(body.subarray(10));
      expect((await connection.answer()).status).toBe(204);
    }
    expect(seen).toEqual(
      [1, 2, 3].flatMap((delivery) => [
        ['before', undefined],
        ['handler', delivery],
      ]),
    );
  });

  it('is active when the store records the answer of the handler', async () => {
    const active = traceDeliveries();
    const { store, fault } = faultyStore();
    const completedIn: unknown[] = [];
    fault('complete', async (complete) => {
      completedIn.push(active());
      return complete();
    });
    const service = await serve(adapter, { options: { store } });
    await service.send(signed());
    await service.outcome();
    expect(completedIn).toEqual([1]);
  });
});

describe('the published messages of a sink', () => {
  const [, adapter] = adapters[1] as (typeof adapters)[number];

  it('is one object from the call of the sink to its result, in the context of its delivery', async () => {
    const active = traceDeliveries();
    const { published, nth } = watchChannels();
    const contexts: unknown[] = [];
    const hear = () => void contexts.push(active());
    const { start, asyncEnd } = tracingChannel('vast-webhook.sink');
    for (const channel of [start, asyncEnd]) channel.subscribe(hear);
    onTestFinished(() => {
      for (const channel of [start, asyncEnd]) channel.unsubscribe(hear);
    });
    const service = await serve(adapter, { options: { sinks: [async function audit() {}] } });
    const event = anEvent();
    await service.send(signed(event));
    await nth('delivery:asyncEnd');
    const started = { sink: 'audit', provider: 'vast', id: event.event_id, type: 'outbid' };
    const ended = { ...started, result: 'delivered', durationMs: expect.any(Number) };
    const ofSink = published.filter(({ name }) => name.startsWith('sink:'));
    expect(ofSink.map(({ name, held }) => [name, held])).toEqual([
      ['sink:start', started],
      ['sink:end', started],
      ['sink:asyncStart', ended],
      ['sink:asyncEnd', ended],
    ]);
    expect(new Set(ofSink.map(({ message }) => message)).size).toBe(1);
    expect(contexts).toEqual([1, 1]);
  });

  it('is a context for the work of the sink, and for its end', async () => {
    const storage = new AsyncLocalStorage<string>();
    const { start, asyncEnd } = tracingChannel<string, SinkMessage>('vast-webhook.sink');
    start.bindStore(storage, ({ sink }) => sink);
    const ended: unknown[] = [];
    const end = ({ sink }: SinkMessage) => void ended.push([sink, storage.getStore()]);
    asyncEnd.subscribe(end as never);
    onTestFinished(() => {
      start.unbindStore(storage);
      asyncEnd.unsubscribe(end as never);
    });
    const seen: unknown[] = [];
    const see = async () => {
      await sleep(1);
      seen.push(storage.getStore());
    };
    const service = await serve(adapter, {
      options: {
        handoff: true,
        sinks: [
          { name: 'one', deliver: see },
          { name: 'other', deliver: see },
        ],
      },
      handler() {
        seen.push(storage.getStore());
        return 204;
      },
    });
    await service.send(signed());
    expect(seen).toEqual(['one', 'other', undefined]);
    expect(ended).toEqual([
      ['one', 'one'],
      ['other', 'other'],
    ]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new SinkError('no such channel', { status: 404 });
      },
    ],
    [
      'rejects',
      async () => {
        throw new SinkError('no such channel', { status: 404 });
      },
    ],
  ])('has the error of one that %s', async (_what, deliver) => {
    const { all, nth } = watchChannels();
    const service = await serve(adapter, { options: { sinks: [{ name: 'audit', deliver }] } });
    await service.send(signed());
    const { outcome } = await nth('delivery:asyncEnd');
    const failed = { sink: 'audit', result: 'failed', error: outcome?.sinks?.audit };
    expect(all('sink:error')).toEqual([expect.objectContaining(failed)]);
    expect(all('sink:asyncEnd')).toEqual([expect.objectContaining(failed)]);
    expect(failed.error).toBeInstanceOf(SinkError);
  });

  it('has the error of a predicate that throws, and does not exist for a sink that is skipped', async () => {
    const { all, nth } = watchChannels();
    const deliver = vi.fn();
    const service = await serve(adapter, {
      options: {
        sinks: [
          {
            name: 'broken',
            accepts: () => {
              throw new Error('in the predicate');
            },
            deliver,
          },
          { name: 'skipped', accepts: () => false, deliver },
        ],
      },
    });
    await service.send(signed());
    await nth('delivery:asyncEnd');
    expect(all('sink:start').map(({ sink }) => sink)).toEqual(['broken']);
    expect(all('sink:asyncEnd')).toEqual([
      expect.objectContaining({ sink: 'broken', result: 'failed', error: new Error('in the predicate') }),
    ]);
  });

  it('ends after the answer when the sink does', async () => {
    const { names, nth } = watchChannels();
    const opened = deferred();
    const service = await serve(adapter, {
      options: { deadlineMs: 30, sinks: [{ name: 'slow', deliver: () => opened.promise }] },
    });
    expect((await service.send(signed())).status).toBe(504);
    expect((await nth('delivery:asyncEnd')).outcome).toMatchObject({ code: 'deadline_exceeded' });
    expect(names()).not.toContain('sink:asyncEnd');
    opened.resolve();
    expect(await nth('sink:asyncEnd')).toMatchObject({ sink: 'slow', result: 'delivered' });
  });
});

describe('a sink that never settles', () => {
  const delivery = () => verifyDelivery({ ...signedDelivery(sampleEvent('outbid'), secret), secret }).delivery;

  it.each([
    ['its claim has lasted five minutes', true, /5 minutes/],
    ['its claim is lost', false, /lost/],
  ])('has failed when %s, and what it does later is not published', async (_what, isRenewed, reason) => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { all } = watchChannels();
    const settling = deferred();
    const { store, fault } = faultyStore();
    if (!isRenewed) fault('renew', async () => false);
    const forward = createForwarder({
      store,
      sinks: [{ name: 'hung', deliver: () => settling.promise }],
      onOutcome() {},
      onError() {},
    });
    const forwarding = forward(delivery()).catch(() => {});
    await vi.advanceTimersByTimeAsync(5 * minutes);
    await forwarding;
    expect(all('sink:asyncEnd')).toEqual([
      expect.objectContaining({
        sink: 'hung',
        result: 'failed',
        error: expect.objectContaining({ message: expect.stringMatching(reason) }),
      }),
    ]);
    settling.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(all('sink:asyncEnd')).toHaveLength(1);
  });
});

describe('sinks without a middleware', () => {
  it('are published by a forwarder, in the context that it is called in, and no delivery is', async () => {
    const { all, names } = watchChannels();
    const event = sampleEvent('outbid');
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const forward = createForwarder({
      sinks: [
        async function audit() {
          seen.push(storage.getStore());
        },
      ],
    });
    const { delivery } = verifyDelivery({ ...signedDelivery(event, secret), secret });
    await storage.run('job', () => forward(delivery));
    expect(all('sink:asyncEnd')).toEqual([
      expect.objectContaining({ sink: 'audit', id: event.event_id, type: 'outbid', result: 'delivered' }),
    ]);
    expect(names().filter((name) => name.startsWith('delivery:'))).toEqual([]);
    expect(seen).toEqual(['job']);
  });

  it.each(sqliteHandles())(
    'are published by an outbox on $client, and not in the context of a delivery that woke it',
    async ({ open }) => {
      const [, adapter] = adapters[1] as (typeof adapters)[number];
      const active = traceDeliveries();
      const { all, nth } = watchChannels();
      const seen: unknown[] = [];
      const db = open(temporaryFile('outbox.db'));
      const outbox = sqliteOutbox(db, {
        minBackoffMs: 20,
        sinks: [
          async function audit() {
            seen.push(active());
            if (seen.length === 1) throw new SinkError('busy');
          },
        ],
      });
      onTestFinished(async () => {
        await outbox.close();
        db.close();
      });
      const service = await serve(adapter, { options: { sinks: [outbox] } });
      await service.send(signed());
      await nth('sink:asyncEnd', 3);
      expect(all('sink:asyncEnd').map(({ sink, result }) => [sink, result])).toEqual([
        ['outbox', 'delivered'],
        ['audit', 'failed'],
        ['audit', 'delivered'],
      ]);
      expect(seen).toEqual([undefined, undefined]);
    },
  );
});

describe('a subscriber that throws', () => {
  it.each(['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const)(
    'on %s changes nothing of what becomes of a delivery: Node.js reports it as an uncaught exception',
    async (part) => {
      const uncaught = catchUncaught();
      const [, adapter] = adapters[1] as (typeof adapters)[number];
      for (const name of ['vast-webhook.delivery', 'vast-webhook.sink']) {
        const channel = tracingChannel<unknown, DeliveryMessage & SinkMessage>(name)[part];
        const fail = () => {
          throw new Error(`${name} ${part}`);
        };
        channel.subscribe(fail);
        onTestFinished(() => void channel.unsubscribe(fail));
      }
      const service = await serve(adapter, {
        options: {
          sinks: [
            async function audit({ notif_type }) {
              if (notif_type === 'low_credit') throw new SinkError('busy');
            },
          ],
        },
      });
      const answers = [];
      for (const message of [signed(), signed(anEvent({ notif_type: 'low_credit' })), { body: '{}' }]) {
        answers.push((await service.send(message)).status);
      }
      expect(answers).toEqual([204, 502, 401]);
      expect(service.outcomes.map(({ result }) => result)).toEqual(['accepted', 'failed', 'rejected']);
      expect(service.errors).toEqual([]);
      await vi.waitFor(() =>
        expect(new Set(uncaught.map(({ message }) => message))).toEqual(
          new Set([`vast-webhook.delivery ${part}`, `vast-webhook.sink ${part}`]),
        ),
      );
    },
  );

  it('when it makes its context changes nothing, either', async () => {
    const uncaught = catchUncaught();
    const [, adapter] = adapters[1] as (typeof adapters)[number];
    const storage = new AsyncLocalStorage();
    const { start } = tracingChannel('vast-webhook.delivery');
    start.bindStore(storage, () => {
      throw new Error('no context');
    });
    onTestFinished(() => void start.unbindStore(storage));
    const service = await serve(adapter);
    expect((await service.send(signed())).status).toBe(204);
    await vi.waitFor(() => expect(uncaught).toEqual([new Error('no context')]));
  });
});

/** In place of the test runner, to which such an exception is a failed test. */
function catchUncaught(): Error[] {
  const uncaught: Error[] = [];
  const others = process.listeners('uncaughtException');
  const hear = (error: Error) => void uncaught.push(error);
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', hear);
  onTestFinished(() => {
    process.off('uncaughtException', hear);
    for (const listener of others) process.on('uncaughtException', listener);
  });
  return uncaught;
}
