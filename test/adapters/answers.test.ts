import { describe, expect, it } from 'vitest';
import { answerFor, type Code, senderGivesUpAfter } from '../../src/contracts/answer.js';
import { adapters, nodeAdapters, serve, signed } from '../support/adapters.js';
import { event, promised } from './cases/case.js';
import { itAnswers } from './cases/it-answers.js';

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

describe.each(adapters)('%s answers', (_name, adapter) => {
  itAnswers((_, setup) => serve(adapter, setup()));
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
