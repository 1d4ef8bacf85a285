import { expect, onTestFinished, vi } from 'vitest';
import { vastApi } from '../../src/api/index.js';
import { type CatchUpOptions, catchUp, type Gap } from '../../src/catch-up/index.js';
import { type VastWebhook, vastWebhook } from '../../src/fetch.js';
import type { Delivery, IdempotencyStore, Outcome, WebhookOptions } from '../../src/index.js';
import { sqliteStore } from '../../src/stores/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { InboxStandIn } from '../support/inbox-stand-in.js';
import { openHere } from '../support/sqlite.js';

export const secret = 'synthetic-webhook-secret';
export const apiKey = 'an-api-key-that-nobody-may-see';
const second = 1_000;
export const minute = 60 * second;

export function aStore(): IdempotencyStore {
  return sqliteStore(openHere(':memory:'));
}

type Options = Partial<CatchUpOptions> & { readonly webhook?: WebhookOptions; readonly store?: IdempotencyStore };

interface Running {
  readonly hook: VastWebhook;
  readonly stop: () => Promise<void>;
}

interface Service extends Running {
  make(): Running;
  readonly inbox: InboxStandIn;
  readonly store: IdempotencyStore;
  /** What the sink has got. */
  readonly got: { readonly id: string; readonly event: object; readonly delivery: Delivery }[];
  readonly outcomes: Outcome[];
  readonly errors: string[];
  readonly gaps: Gap[];
  readonly ids: readonly string[];
  failWith(error: Error | undefined): void;
  send(event_id: string): Promise<number>;
  begin(): Promise<void>;
}

/** All of one service, in the time of fake timers. */
export function setUp(options: Options = {}): Service {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { webhook, store = aStore(), ...more } = options;
  const inbox = new InboxStandIn();
  const got: Service['got'] = [];
  const outcomes: Outcome[] = [];
  const errors: string[] = [];
  const gaps: Gap[] = [];
  let fails: Error | undefined;
  const make = (): Running => {
    const hook = vastWebhook(secret, {
      store,
      sinks: [
        async function chat(event, { delivery }) {
          if (fails !== undefined) throw fails;
          got.push({ id: delivery.id, event, delivery });
        },
      ],
      onOutcome: (outcome) => outcomes.push(outcome),
      onError: ({ message }) => errors.push(message),
      ...webhook,
    });
    const api = vastApi({ apiKey, fetch: inbox.fetch as typeof fetch });
    const stop = catchUp(hook, { api, onGap: (gap) => gaps.push(gap), ...more });
    return { hook, stop };
  };
  const service: Service = {
    ...make(),
    make,
    inbox,
    store,
    got,
    outcomes,
    errors,
    gaps,
    get ids() {
      return got.map(({ id }) => id);
    },
    failWith(error) {
      fails = error;
    },
    async send(event_id) {
      const { body, headers } = signedDelivery({ ...sampleEvent('outbid'), event_id }, secret);
      const answer = await service.hook(
        new Request('http://localhost/vast/webhooks', { method: 'POST', body, headers }),
      );
      return answer.status;
    },
    /** A first run, and one event that came both ways. */
    async begin() {
      await wait(0);
      await wait(1_000);
      inbox.add('both-ways');
      expect(await service.send('both-ways')).toBe(204);
      await wait(minute);
      got.length = 0;
      outcomes.length = 0;
    },
  };
  return service;
}

export async function wait(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}
