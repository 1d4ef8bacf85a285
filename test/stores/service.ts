import { expect, vi } from 'vitest';
import type { IdempotencyStore } from '../../src/contracts/store.js';
import type { WebhookOptions } from '../../src/options.js';
import { type Adapter, adapters, type Message, type Service, serve, signed } from '../support/adapters.js';

const [, express5] = adapters.find(([name]) => name === 'Express 5') as readonly [string, Adapter];

export interface StoreService extends Service {
  /** Sends an event, by default a new one, and returns the status of the answer. */
  deliver(message?: Message): Promise<number>;
  /**
   * The event is sent away with a 503, to come again; the outcome names the cause, without the secrets; no handler has
   * run, and the other route is served.
   */
  refuses(cause: RegExp, given?: { message?: Message; secrets?: readonly string[] }): Promise<void>;
  /** The event is accepted in the end, without any help. */
  takes(message?: Message): Promise<void>;
}

/** An Express service with the middleware on that store, in front of a handler that answers 204. */
export async function serveWith(store: IdempotencyStore, options: WebhookOptions = {}): Promise<StoreService> {
  const service = await serve(express5, { options: { store, ...options } });

  let sent = 0;

  /** Also waits until the event is settled in the store, which is after the handler's answer. */
  const send = async (message: Message) => {
    const answer = await service.send(message);
    return { answer, outcome: await service.outcome(++sent) };
  };

  const deliver = async (message: Message = signed()) => (await send(message)).answer.status;

  const isServedElsewhere = async () => {
    const headers = [['Content-Type', 'application/json']] as const;
    const answer = await service.send({ target: '/elsewhere', headers, body: '{"as":"ever"}' });
    expect(answer).toMatchObject({ status: 200, body: '{"got":{"as":"ever"}}' });
  };

  return {
    ...service,
    deliver,
    async refuses(cause, { message = signed(), secrets = [] } = {}) {
      const handled = service.handled.length;
      const [{ answer, outcome }] = await Promise.all([send(message), isServedElsewhere()]);
      expect(answer).toMatchObject({ status: 503, body: '{"ok":false,"error":"store_unavailable"}' });
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      const { error } = outcome;
      expect(outcome).toMatchObject({ result: 'failed', code: 'store_unavailable', permanent: false });
      expect(error?.message).toMatch(cause);
      for (const text of secrets) expect(error?.message).not.toContain(text);
      expect(service.handled.length).toBe(handled);
    },
    takes: (message = signed()) => vi.waitFor(async () => expect(await deliver(message)).toBe(204), { interval: 100 }),
  };
}
