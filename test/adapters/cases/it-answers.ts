import { expect, it, onTestFinished } from 'vitest';
import { slackStandIn } from '../../support/chat-stand-in.js';
import type { Setup } from '../../support/service.js';
import { type Case, type CaseService, setupOf } from './case.js';
import { cases } from './index.js';

/** Starts the service of a case, for the running test. */
export type StartCase = (name: string, setup: () => Setup, chatUrl: string) => Promise<CaseService>;

/** Every case as a test, on services that the function starts. */
export function itAnswers(start: StartCase, chosen: Readonly<Record<string, Case>> = cases): void {
  it.each(Object.entries(chosen))('%s', async (name, one) => {
    const { send, message, answer, outcome, outcomes = 1, handled = 0 } = one;
    const chat = await slackStandIn();
    onTestFinished(() => chat.close());
    const service = await start(name, () => setupOf(one, chat.url), chat.url);
    const method = message?.().method;

    const got = await (send ? send(service, chat) : service.send((message as NonNullable<typeof message>)()));

    const expected = { ...outcome, durationMs: expect.any(Number) };
    if (outcomes === 'some') await expect.poll(() => lastOutcome(service)).toEqual(expected);
    else expect(await service.outcome(outcomes)).toEqual(expected);
    if (got !== undefined) {
      expect(got.status).toBe(answer.status);
      const { error, sinks } = answer;
      if (error !== undefined) {
        const body = JSON.stringify({ ok: false, error, sinks });
        expect(got.body).toBe(method === 'HEAD' ? '' : body);
        expect(got.headers['content-type']).toBe('application/json');
      } else if (got.status === 204) {
        expect(got.body).toBe('');
      }
      for (const [header, value] of Object.entries(answer.headers ?? {})) {
        if (value instanceof RegExp) expect(got.headers[header]).toMatch(value);
        else expect(got.headers[header]).toBe(value);
      }
    }
    expect(service.handled).toHaveLength(handled);
    // Another request shows that the service still runs and that no outcome came twice.
    expect((await service.send({ target: '/elsewhere' })).status).toBe(200);
    if (outcomes !== 'some') expect(service.outcomes).toHaveLength(outcomes);
  });
}

/** Looks again first, where the service is another process. */
async function lastOutcome(service: CaseService) {
  await service.outcome(1);
  return service.outcomes.at(-1);
}
