/**
 * Cases of one request, its answer and its outcome, which hold through every adapter and in every runtime. There, `setup`
 * is called in the runtime, and `send` by the test.
 */
import { expect } from 'vitest';
import type { Code } from '../../../src/contracts/answer.js';
import { type IdempotencyStore, memoryStore, type Outcome } from '../../../src/index.js';
import type { ChatStandIn, SlackStandInMessage } from '../../support/chat-stand-in.js';
import {
  type Answer,
  anEvent,
  type Connection,
  headersWith,
  type Message,
  secret,
  signed,
} from '../../support/requests.js';
import type { Service, Setup } from '../../support/service.js';

/** The promised table of answers. Its type demands exactly the codes that exist. */
export const promised: Record<Code, { status: number; result: Outcome['result']; lost: boolean }> = {
  method_not_allowed: { status: 405, result: 'rejected', lost: true },
  invalid_signature: { status: 401, result: 'rejected', lost: true },
  payload_too_large: { status: 413, result: 'rejected', lost: true },
  unsupported_encoding: { status: 415, result: 'rejected', lost: true },
  invalid_json: { status: 400, result: 'rejected', lost: true },
  invalid_payload: { status: 400, result: 'rejected', lost: true },
  event_id_mismatch: { status: 400, result: 'rejected', lost: true },
  body_timeout: { status: 408, result: 'failed', lost: false },
  raw_body_unavailable: { status: 500, result: 'failed', lost: false },
  internal: { status: 500, result: 'failed', lost: false },
  sink_failed: { status: 502, result: 'failed', lost: false },
  in_flight: { status: 503, result: 'failed', lost: false },
  store_unavailable: { status: 503, result: 'failed', lost: false },
  secret_unavailable: { status: 503, result: 'failed', lost: false },
  closing: { status: 503, result: 'failed', lost: false },
  handler_failed: { status: 0, result: 'failed', lost: false },
  aborted: { status: 0, result: 'failed', lost: false },
  deadline_exceeded: { status: 504, result: 'failed', lost: false },
};

/** A service of a case, which may run in another process. */
export interface CaseService
  extends Pick<Service, 'endpoint' | 'outcomes' | 'outcome' | 'arrival' | 'connect' | 'send'> {
  readonly hook: Pick<Service['hook'], 'close'>;
  readonly handled: readonly unknown[];
  handling(nth?: number): Promise<unknown>;
}

export interface Case {
  /** `chatUrl` is the address of the Slack stand-in that the case's `send` gets. */
  readonly setup?: (chatUrl: string) => Setup;
  /** Sends the requests of the case and returns the last answer. The last outcome belongs to it. */
  readonly send?: (service: CaseService, chat: ChatStandIn<SlackStandInMessage>) => Promise<Answer | undefined>;
  readonly message?: () => Message;
  readonly answer: {
    readonly status: number;
    readonly error?: Code;
    readonly sinks?: object;
    readonly headers?: Readonly<Record<string, string | RegExp | undefined>>;
  };
  readonly outcome: Partial<Outcome> & { readonly result: Outcome['result'] };
  /** The number of outcomes: 1 unless the case sends more requests. 'some' when it repeats a request until it has its answer. */
  readonly outcomes?: number | 'some';
  /** How often the handler was called: 0 by default. */
  readonly handled?: number;
}

export const retryAfter = { 'retry-after': /^[1-5]$/ };
export const closes = { connection: 'close' };
export const event = anEvent({ event_id: 'the-event' });
/** The fields of an outcome that are known of a verified delivery. */
export const genuine = {
  id: 'the-event',
  type: 'outbid',
  attempt: 1,
  webhook: 'renter',
  source: 'webhook',
  skewSeconds: 0,
} as const;

export const good = () => signed(event);
export const withHeaders = (changes: Record<string, string | undefined>) => (): Message => {
  const { body, headers } = good();
  return { body, headers: headersWith(headers, changes) };
};
export const storeThat = (claim: IdempotencyStore['claim']): (() => Setup) => {
  return () => ({ options: { store: { ...wrap(memoryStore()), claim }, storeTimeoutMs: 25 } });
};
function wrap(store: IdempotencyStore): IdempotencyStore {
  return {
    claim: (...args) => store.claim(...args),
    renew: (...args) => store.renew(...args),
    delivered: (...args) => store.delivered(...args),
    complete: (...args) => store.complete(...args),
    release: (...args) => store.release(...args),
  };
}
export const never = new Promise<never>(() => {});

export const rejected = (code: Code, reason?: Outcome['reason'], known: object = {}): Case['outcome'] => ({
  result: 'rejected',
  code,
  reason,
  status: promised[code].status,
  permanent: true,
  error: expect.any(Error),
  ...known,
});
export const failed = (code: Code, known: object = {}): Case['outcome'] => ({
  result: 'failed',
  code,
  status: promised[code].status,
  permanent: false,
  error: expect.any(Error),
  ...known,
});

export async function onConnection(service: CaseService, ...parts: (string | Buffer)[]): Promise<Connection> {
  const connection = await service.connect();
  for (const part of parts) connection.write(part);
  return connection;
}

/** Two secrets with labels, unless the case has its own. */
export function setupOf({ setup }: Case, chatUrl: string): Setup {
  return { secret: { renter: secret, host: 'of-the-hosts' }, ...setup?.(chatUrl) };
}
