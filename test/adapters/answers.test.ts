import { describe, expect, it } from 'vitest';
import { answerFor, type Code, senderGivesUpAfter } from '../../src/contracts/answer.js';
import { adapters, nodeAdapters, nowSeconds, type Setup, serve, signed } from '../support/adapters.js';
import { type Case, event, failed, genuine, good, itAnswers, promised } from './answer-cases.js';

describe('the table of answers', () => {
  it.each(Object.entries(promised))('%s is answered as promised', (code, { status, result, lost }) => {
    expect(answerFor(code as Code)).toMatchObject({ status, result });
    expect(senderGivesUpAfter(status)).toBe(lost);
  });

  it('makes only rejections permanent, so that no event is lost that a retry could save', () => {
    for (const [code, { result, lost }] of Object.entries(promised))
      expect([code, lost]).toEqual([code, result === 'rejected']);
  });

  it.each([
    [200, false],
    [204, false],
    [299, false],
    [300, true],
    [302, true],
    [399, true],
    [400, true],
    [404, true],
    [407, true],
    [408, false],
    [409, true],
    [428, true],
    [429, false],
    [430, true],
    [499, true],
    [500, false],
    [599, false],
  ])('the sender gives up after %i: %s', (status, permanent) => {
    expect(senderGivesUpAfter(status)).toBe(permanent);
  });
});

const handlerFails = (status: number, permanent: boolean, setup: () => Setup): Case => ({
  setup,
  message: good,
  answer: { status },
  outcome: { ...failed('handler_failed', genuine), status, permanent },
  handled: 1,
});

itAnswers({
  'accepted: 204 without a body': {
    message: good,
    answer: { status: 204, headers: { 'content-type': undefined } },
    outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
    handled: 1,
  },
  'accepted by sinks: 204 without a handler': {
    setup: () => ({
      options: {
        sinks: [async function audit() {}, { name: 'never', accepts: () => false, deliver() {} }],
      },
    }),
    message: good,
    answer: { status: 204 },
    outcome: {
      result: 'accepted',
      status: 204,
      permanent: false,
      ...genuine,
      sinks: { audit: 'delivered', never: 'skipped' },
    },
  },
  'accepted on the third attempt, signed by a clock 7 s behind': {
    message: () => signed(event, { attempt: '3', timestamp: nowSeconds - 7 }),
    answer: { status: 204 },
    outcome: { result: 'accepted', status: 204, permanent: false, ...genuine, attempt: 3, skewSeconds: -7 },
    handled: 1,
  },
  'accepted: the handler’s own 2xx': {
    setup: () => ({ handler: () => 202 }),
    message: good,
    answer: { status: 202 },
    outcome: { result: 'accepted', status: 202, permanent: false, ...genuine },
    handled: 1,
  },
  'duplicate of a completed event: 204, and the handler does not run again': {
    send: async (service) => {
      await service.send(good());
      return service.send(signed(event, { attempt: '2' }));
    },
    answer: { status: 204, headers: { 'content-type': undefined } },
    outcome: { result: 'duplicate', status: 204, permanent: false, ...genuine, attempt: 2 },
    outcomes: 2,
    handled: 1,
  },

  // ------------------------------------------------------------ the handler's own
  'handler_failed: it answers 500': handlerFails(500, false, () => ({ handler: () => 500 })),
  'handler_failed: it answers 503': handlerFails(503, false, () => ({ handler: () => 503 })),
  'handler_failed: it answers 429, which the sender retries': handlerFails(429, false, () => ({ handler: () => 429 })),
  'handler_failed: it answers 408, which the sender retries': handlerFails(408, false, () => ({ handler: () => 408 })),
  'handler_failed: it answers 404, after which the event is lost': handlerFails(404, true, () => ({
    handler: () => 404,
  })),
  'handler_failed: it answers 302, after which the event is lost': handlerFails(302, true, () => ({
    handler: () => 302,
  })),
  'handler_failed: it throws': handlerFails(500, false, () => ({
    handler() {
      throw new Error('rebid failed');
    },
  })),
  'handler_failed: it rejects': handlerFails(500, false, () => ({
    handler: () => Promise.reject(new Error('rebid failed')),
  })),
});

describe.each(adapters)('%s: the outcome', (_name, adapter) => {
  it('names the missing handler when nothing answers behind the middleware', async () => {
    const service = await serve(adapter, { handler: () => 404 });
    await service.send(signed());
    expect((await service.outcome()).error?.message).toMatch(/404.*gives the event up.*handler/s);
  });

  it('has a duration above 0 and not longer than the request', async () => {
    const service = await serve(adapter);
    const from = performance.now();
    await service.send(signed());
    const { durationMs } = await service.outcome();
    expect(durationMs).toBeGreaterThan(0);
    expect(durationMs).toBeLessThanOrEqual(performance.now() - from);
  });
});

// Express does not show the middleware the error of a handler.
describe.each(adapters.filter(([, adapter]) => adapter.showsErrors))(
  '%s: the outcome of a handler that throws',
  (_name, adapter) => {
    it('has the error as its cause', async () => {
      const service = await serve(adapter, { handler: () => Promise.reject(new Error('rebid failed')) });
      await service.send(signed());
      expect((await service.outcome()).error?.cause).toMatchObject({ message: 'rebid failed' });
    });
  },
);

describe.each(adapters)('%s: a listener that fails', (_name, adapter) => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('the listener’s own trouble');
      },
    ],
    ['rejects', () => Promise.reject(new Error('the listener’s own trouble'))],
  ])('does not change the answer when it %s', async (_, onOutcome) => {
    const service = await serve(adapter, { options: { onOutcome } });
    expect((await service.send(signed())).status).toBe(204);
    expect((await service.send({})).status).toBe(401);
    expect(service.outcomes).toHaveLength(2);
  });
});

describe.each(nodeAdapters)('%s: a request that earlier middleware has answered', (_name, adapter) => {
  it('keeps that answer and has an outcome', async () => {
    const service = await serve(adapter, {
      around(next, req, res) {
        if (req.url === '/elsewhere') return next();
        res.statusCode = 202;
        res.end('by somebody else');
        return next();
      },
    });
    const answer = await service.send(signed(event, { key: 'forged' }));
    expect(answer).toMatchObject({ status: 202, body: 'by somebody else' });
    expect(await service.outcome()).toMatchObject({ result: 'rejected', reason: 'signature_mismatch' });
    expect((await service.send({ target: '/elsewhere' })).status).toBe(200);
    expect([service.errors, service.handled]).toEqual([[], []]);
  });
});
