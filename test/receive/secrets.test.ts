import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { vastWebhook } from '../../src/index.js';
import { vastWebhook as koaVastWebhook } from '../../src/koa.js';
import { adapters, anEvent, secret, serve, signed } from '../support/adapters.js';
import { deferred } from '../support/deferred.js';

/** Time stands still but for what the test lets pass: how long the machine takes for a request changes nothing. */
function steerClock(): { pass(ms: number): void } {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  return { pass: (ms) => void vi.advanceTimersByTime(ms) };
}

/** A function, and a promise that is resolved when it is called. */
function awaitable<T>(run: () => T): { run: () => T; called: Promise<void> } {
  const { promise, resolve } = deferred<void>();
  return {
    called: promise,
    run() {
      resolve();
      return run();
    },
  };
}

const forged = () => signed(anEvent(), { key: 'forged' });
const by = (key: string) => signed(anEvent(), { key });

it('of an environment that is there at run time only is shown as a function', () => {
  const { NO_SUCH_SECRET } = process.env;
  expect(() => vastWebhook(NO_SUCH_SECRET as string)).toThrow('give a function: () => process.env.NAME');
  expect(() => vastWebhook([NO_SUCH_SECRET as string])).toThrow('give a function: () => process.env.NAME');
  expect(() => vastWebhook(() => NO_SUCH_SECRET as string)).not.toThrow();
});

describe.each([
  ['vast-webhook', vastWebhook],
  ['vast-webhook/koa', koaVastWebhook],
])('%s: vastWebhook(secret)', (_name, create) => {
  const unusable: [what: string, secret: unknown][] = [
    ['nothing', undefined],
    ['null', null],
    ['a number', 42],
    ['an empty string', ''],
    ['nothing but white space', '  '],
    ['white space in front', ' hunter2'],
    ['white space behind', 'hunter2 '],
    ['a newline behind', 'hunter2\n'],
    ['an empty list', []],
    ['a list with an empty string', ['hunter2', '']],
    ['a list with a newline', ['hunter2', 'hunter3\r\n']],
    ['a list with undefined', ['hunter2', undefined]],
    ['a list in a list', [['hunter2']]],
    ['an empty object', {}],
    ['an object with an empty secret', { renter: '' }],
    ['an object with white space', { renter: 'hunter2\t' }],
    ['an object with undefined', { renter: undefined }],
  ];

  it.each(unusable)('throws a TypeError for %s, which says what is wrong without the secret', (_, given) => {
    const make = () => create(given as string);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/secret/);
    expect(make).not.toThrow(/hunter/);
  });

  it.each([
    ['an empty string', '', /^the secret is empty/],
    ['an empty list', [], /empty/],
    ['white space', 'x ', /white space/],
    ['nothing', undefined, /environment variable/],
    ['a label', { renter: '' }, /^the secret of "renter" is empty/],
  ])('says what is wrong: %s', (_, given, message) => {
    expect(() => create(given as string)).toThrow(message);
  });

  it('accepts white space inside, and any other text', () => {
    for (const given of ['a b', 'ключ', '🔑', 'x']) expect(() => create(given)).not.toThrow();
  });

  it('does not ask a function yet', () => {
    const ask = vi.fn(() => secret);
    create(ask);
    expect(ask).not.toHaveBeenCalled();
  });
});

describe.each(adapters)('%s: a function for the secret', (_name, adapter) => {
  it.each([
    ['a string', () => secret, undefined],
    ['a list', () => ['old', secret], undefined],
    ['labelled ones', () => ({ renter: secret }), 'renter'],
    ['a promise', async () => secret, undefined],
    ['a promise of labelled ones', async () => ({ host: 'other', renter: secret }), 'renter'],
  ])('may give %s', async (_, ask, webhook) => {
    const service = await serve(adapter, { secret: ask });
    expect((await service.send(signed())).status).toBe(204);
    expect((await service.outcome()).webhook).toBe(webhook);
  });

  it('is asked once for all deliveries that match', async () => {
    const clock = steerClock();
    const ask = vi.fn(async () => secret);
    const service = await serve(adapter, { secret: ask });
    await Promise.all(Array.from({ length: 10 }, () => service.send(signed())));
    clock.pass(60_000);
    expect((await service.send(signed())).status).toBe(204);
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it('is not called for requests that fail earlier, because anyone could cause calls', async () => {
    const ask = vi.fn(() => secret);
    const service = await serve(adapter, { secret: ask });
    const { headers } = signed(anEvent(), { timestamp: 1 });
    await service.send({ headers });
    await service.send({});
    await service.send({ method: 'GET' });
    expect(ask).not.toHaveBeenCalled();
  });

  it('shares one call in flight among deliveries', async () => {
    let give = (_: string) => {};
    const ask = vi.fn(
      () =>
        new Promise<string>((resolve) => {
          give = resolve;
        }),
    );
    const service = await serve(adapter, { secret: ask });
    const answers = [service.send(signed()), service.send(signed()), service.send(forged())];
    await vi.waitFor(() => expect(ask).toHaveBeenCalled());
    // An answered delivery shows that the others have come as far, because all take the same way.
    expect((await service.send({})).status).toBe(401);
    give(secret);
    expect((await Promise.all(answers)).map(({ status }) => status).slice(0, 2)).toEqual([204, 204]);
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it('has just been asked by the first delivery: if that does not match, it is forged', async () => {
    const ask = vi.fn(() => secret);
    const service = await serve(adapter, { secret: ask });
    expect((await service.send(forged())).status).toBe(401);
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it('is not called again within 10 s; a mismatch asks the sender to retry, so that no event is lost', async () => {
    const clock = steerClock();
    const ask = vi.fn(() => secret);
    const service = await serve(adapter, { secret: ask });
    await service.send(signed());
    clock.pass(7_000);
    expect(await service.send(forged())).toMatchObject({
      status: 503,
      body: '{"ok":false,"error":"secret_unavailable"}',
      headers: { 'retry-after': '3' },
    });
    expect(await service.outcome(2)).toMatchObject({
      result: 'failed',
      code: 'secret_unavailable',
      permanent: false,
      error: { message: expect.stringMatching(/no secret matches.*too early to ask/) },
    });
    expect((await service.send(signed())).status).toBe(204);
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it('is asked again after 10 s when nothing matched: a rotated secret is picked up', async () => {
    const clock = steerClock();
    let current = 'first';
    const ask = vi.fn(() => current);
    const service = await serve(adapter, { secret: ask });
    expect((await service.send(by('first'))).status).toBe(204);
    current = 'second';
    clock.pass(10_000);
    expect((await service.send(by('second'))).status).toBe(204);
    expect(ask).toHaveBeenCalledTimes(2);
    clock.pass(10_000);
    expect((await service.send(by('first'))).status).toBe(401);
    expect(ask).toHaveBeenCalledTimes(3);
  });

  it('is also called for a forgery, which does not make a genuine delivery fail', async () => {
    const clock = steerClock();
    let current = 'first';
    const ask = vi.fn(() => current);
    const service = await serve(adapter, { secret: ask });
    await service.send(by('first'));
    clock.pass(10_000);
    expect((await service.send(forged())).status).toBe(401);
    current = 'second';
    clock.pass(2_000);
    const rotated = by('second');
    expect((await service.send(rotated)).status).toBe(503);
    expect(ask).toHaveBeenCalledTimes(2);
    clock.pass(8_000);
    expect((await service.send(rotated)).status).toBe(204);
    expect(ask).toHaveBeenCalledTimes(3);
  });

  const failures: [what: string, fail: () => never][] = [
    [
      'throws',
      () => {
        throw new Error('vault is sealed');
      },
    ],
    ['rejects', () => Promise.reject(new Error('vault is sealed')) as never],
    ['rejects with nothing', () => Promise.reject(undefined) as never],
    ['gives nothing', () => undefined as never],
    ['gives null', (async () => null) as never],
    ['gives an empty string', () => '' as never],
    ['gives an empty list', () => [] as never],
    ['gives an empty object', (async () => ({})) as never],
    ['gives white space at an end', () => `${secret}\n` as never],
    ['gives a number', () => 42 as never],
    ['hangs until the deadline', () => new Promise(() => {}) as never],
  ];

  it.each(failures)('%s: 503, and it is asked again by the next delivery after a second', async (_, fail) => {
    const clock = steerClock();
    const failing = awaitable(fail);
    const ask = vi.fn((): string => secret).mockImplementationOnce(failing.run);
    const service = await serve(adapter, { secret: ask, options: { deadlineMs: 60 } });
    const message = signed();
    const failed = service.send(message);
    await failing.called;
    clock.pass(60);
    expect(await failed).toMatchObject({
      status: 503,
      body: '{"ok":false,"error":"secret_unavailable"}',
      headers: { 'retry-after': expect.stringMatching(/^[1-5]$/) },
    });
    expect(await service.outcome()).toMatchObject({ result: 'failed', code: 'secret_unavailable', permanent: false });
    const { error } = await service.outcome();
    expect(error?.message).toMatch(/^the function for the secret failed: ./);
    expect(error?.message).not.toContain(secret);
    expect(service.handled).toHaveLength(0);
    expect((await service.send(message)).status).toBe(503);
    expect(ask).toHaveBeenCalledTimes(1);
    clock.pass(1_000);
    expect((await service.send(message)).status).toBe(204);
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it.each(failures)('%s when asked again: what it gave before goes on to count', async (_, fail) => {
    const clock = steerClock();
    const ask = vi.fn((): string => secret);
    const service = await serve(adapter, { secret: ask, options: { deadlineMs: 60 } });
    await service.send(signed());
    clock.pass(10_000);
    const failing = awaitable(fail);
    ask.mockImplementationOnce(failing.run);
    const failed = service.send(forged());
    await failing.called;
    clock.pass(60);
    expect((await failed).status).toBe(503);
    expect((await service.send(signed())).status).toBe(204);
    expect(ask).toHaveBeenCalledTimes(2);
    expect((await service.send(forged())).status).toBe(503);
    expect(ask).toHaveBeenCalledTimes(2);
    clock.pass(1_000);
    expect((await service.send(forged())).status).toBe(401);
    expect(ask).toHaveBeenCalledTimes(3);
  });

  it('that goes on failing is asked after 1, 2, 4, 8 and then every 10 s, however many forgeries come', async () => {
    const clock = steerClock();
    const ask = vi.fn((): string => {
      throw new Error('too many requests');
    });
    const service = await serve(adapter, { secret: ask });
    const forgeries = async () => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => service.send(forged())));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
    };
    await forgeries();
    let asked = 1;
    for (const seconds of [1, 2, 4, 8, 10, 10]) {
      clock.pass(seconds * 1_000 - 100);
      await forgeries();
      expect(ask).toHaveBeenCalledTimes(asked);
      // A little more, because sums of times are rounded.
      clock.pass(101);
      await forgeries();
      expect(ask).toHaveBeenCalledTimes(++asked);
    }
    ask.mockImplementation(() => secret);
    clock.pass(10_001);
    expect((await service.send(signed())).status).toBe(204);
    // From then on, a failure is the first one again.
    clock.pass(10_001);
    ask.mockImplementation(() => {
      throw new Error('too many requests');
    });
    await forgeries();
    clock.pass(1_001);
    await forgeries();
    expect(ask).toHaveBeenCalledTimes(asked + 3);
  });

  it('that fails or hangs is why the outcome’s error says so', async () => {
    const clock = steerClock();
    const hanging = awaitable((): Promise<string> => new Promise(() => {}));
    const ask = vi
      .fn((): string | Promise<string> => hanging.run())
      .mockImplementationOnce(() => {
        throw new Error('vault is sealed');
      });
    const service = await serve(adapter, { secret: ask, options: { deadlineMs: 60 } });
    await service.send(signed());
    clock.pass(1_000);
    const hung = service.send(signed());
    await hanging.called;
    clock.pass(60);
    await hung;
    expect((await service.outcome(1)).error).toMatchObject({
      message: 'the function for the secret failed: vault is sealed',
      cause: { message: 'vault is sealed' },
    });
    expect((await service.outcome(2)).error?.message).toMatch(/: it returned nothing within \d+ ms$/);
  });

  it('that answers after it was given up does not bring an old secret back', async () => {
    const clock = steerClock();
    const late = deferred<string>();
    const hanging = awaitable(() => late.promise);
    const ask = vi.fn((): string | Promise<string> => 'second').mockImplementationOnce(hanging.run);
    const service = await serve(adapter, { secret: ask, options: { deadlineMs: 60 } });
    const hung = service.send(by('first'));
    await hanging.called;
    clock.pass(60);
    expect((await hung).status).toBe(503);
    clock.pass(1_000);
    expect((await service.send(by('second'))).status).toBe(204);
    late.resolve('first');
    await new Promise(setImmediate);
    expect((await service.send(by('second'))).status).toBe(204);
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it('does not hold up deliveries that match while it is asked again', async () => {
    const clock = steerClock();
    const ask = vi.fn((): string | Promise<string> => secret);
    const service = await serve(adapter, { secret: ask });
    await service.send(signed());
    clock.pass(10_000);
    const slow = deferred<string>();
    const asking = awaitable(() => slow.promise);
    ask.mockImplementationOnce(asking.run);
    const waiting = service.send(forged());
    await asking.called;
    expect((await service.send(signed())).status).toBe(204);
    slow.resolve(secret);
    expect((await waiting).status).toBe(401);
  });
});
