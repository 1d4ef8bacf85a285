import { describe, expect, it } from 'vitest';
import { answerFor, type Code, isPermanent } from '../../src/contracts/answer.js';
import { type ClaimResult, type IdempotencyStore, memoryStore, type Outcome, SinkError } from '../../src/index.js';
import {
  type Answer,
  anEvent,
  bytesOf,
  type Connection,
  chunk,
  doors,
  head,
  headersWith,
  type Message,
  nodeDoors,
  nowSeconds,
  type Service,
  type Setup,
  secret,
  serve,
  signature,
  signed,
} from '../support/adapters.js';

/** The table of answers as it is promised. The type holds it to the codes: one more or one less does not compile. */
const promised: Record<Code, { status: number; result: Outcome['result']; lost: boolean }> = {
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

describe('the table of answers', () => {
  it.each(Object.entries(promised))('%s is answered as promised', (code, { status, result, lost }) => {
    expect(answerFor(code as Code)).toMatchObject({ status, result });
    expect(isPermanent(status)).toBe(lost);
  });

  it('has nothing permanent but what is rejected, so that no event is lost that a retry could save', () => {
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
    expect(isPermanent(status)).toBe(permanent);
  });
});

// ---------------------------------------------------------------- through the front doors

interface Case {
  readonly setup?: () => Setup;
  /** Sends what the case is about, and gives the answer. Of the outcomes, the last is its own. */
  readonly send?: (service: Service) => Promise<Answer | undefined>;
  readonly message?: () => Message;
  readonly answer: {
    readonly status: number;
    readonly error?: Code;
    readonly sinks?: object;
    readonly headers?: Readonly<Record<string, string | RegExp | undefined>>;
  };
  readonly outcome: Partial<Outcome> & { readonly result: Outcome['result'] };
  /** How many of the requests had outcomes, 1 unless the case sends more. */
  readonly outcomes?: number;
  /** How often the handler ran: 0, unless it is what the case is about. */
  readonly handled?: number;
}

const retryAfter = { 'retry-after': /^[1-5]$/ };
const closes = { connection: 'close' };
const event = anEvent({ event_id: 'the-event' });
/** What is known of a delivery once it is verified. */
const genuine = { id: 'the-event', type: 'outbid', attempt: 1, webhook: 'renter', skewSeconds: 0 };
/** What is known of one that is genuine, but holds no event. */
const signedOnly = { webhook: 'renter', skewSeconds: 0 };

const good = () => signed(event);
const withHeaders = (changes: Record<string, string | undefined>) => (): Message => {
  const { body, headers } = good();
  return { body, headers: headersWith(headers, changes) };
};
const storeThat = (claim: IdempotencyStore['claim']): (() => Setup) => {
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
const never = new Promise<never>(() => {});

const rejected = (code: Code, reason?: Outcome['reason'], known: object = {}): Case['outcome'] => ({
  result: 'rejected',
  code,
  reason,
  status: promised[code].status,
  permanent: true,
  error: expect.any(Error),
  ...known,
});
const failed = (code: Code, known: object = {}): Case['outcome'] => ({
  result: 'failed',
  code,
  status: promised[code].status,
  permanent: false,
  error: expect.any(Error),
  ...known,
});
const unauthorized = (reason: NonNullable<Outcome['reason']>, message: () => Message, send?: Case['send']): Case => ({
  ...(send ? { send } : { message }),
  answer: { status: 401, error: 'invalid_signature' },
  outcome: rejected('invalid_signature', reason),
});
const malformed = (value: string) =>
  unauthorized('malformed_signature', withHeaders({ 'X-Vast-Signature-256': value }));
const signedAt = (timestamp: string | number) => () => signed(event, { timestamp });
const hex = 'ab'.repeat(32);

const handlerFails = (status: number, permanent: boolean, setup: () => Setup): Case => ({
  setup,
  message: good,
  answer: { status },
  outcome: { ...failed('handler_failed', genuine), status, permanent },
  handled: 1,
});

async function onConnection(service: Service, ...parts: (string | Buffer)[]): Promise<Connection> {
  const connection = await service.connect();
  for (const part of parts) connection.write(part);
  return connection;
}

const cases: Record<string, Case> = {
  // ------------------------------------------------------------ 2xx
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

  // ------------------------------------------------------------ 4xx
  ...Object.fromEntries(
    ['GET', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'PATCH'].map((method): [string, Case] => [
      `method_not_allowed: ${method}`,
      {
        message: () => ({ ...good(), method }),
        answer: { status: 405, error: 'method_not_allowed', headers: { allow: 'POST' } },
        outcome: rejected('method_not_allowed'),
      },
    ]),
  ),
  'invalid_signature: no signature': unauthorized(
    'missing_signature',
    withHeaders({ 'X-Vast-Signature-256': undefined }),
  ),
  'invalid_signature: neither signature nor timestamp': unauthorized(
    'missing_signature',
    withHeaders({ 'X-Vast-Signature-256': undefined, 'X-Vast-Timestamp': undefined }),
  ),
  'invalid_signature: an empty signature': malformed(''),
  'invalid_signature: another algorithm': malformed(`sha1=${hex}`),
  'invalid_signature: no algorithm': malformed(hex),
  'invalid_signature: a digit too few': malformed(`sha256=${hex.slice(1)}`),
  'invalid_signature: a digit too many': malformed(`sha256=${hex}a`),
  'invalid_signature: a digit that is none': malformed(`sha256=${hex.slice(1)}g`),
  'invalid_signature: upper-case digits, although the digest is right': unauthorized('malformed_signature', () => {
    const { body, headers } = good();
    const digest = signature(body, secret, nowSeconds).slice('sha256='.length);
    return { body, headers: headersWith(headers, { 'X-Vast-Signature-256': `sha256=${digest.toUpperCase()}` }) };
  }),
  'invalid_signature: an upper-case algorithm': unauthorized('malformed_signature', () => {
    const { body, headers } = good();
    const value = signature(body, secret, nowSeconds).replace('sha256', 'SHA256');
    return { body, headers: headersWith(headers, { 'X-Vast-Signature-256': value }) };
  }),
  'invalid_signature: the signature twice, both right': unauthorized('malformed_signature', () => {
    const { body, headers } = good();
    return { body, headers: [...headers, ['X-Vast-Signature-256', signature(body, secret, nowSeconds)]] };
  }),
  'invalid_signature: no timestamp': unauthorized('missing_timestamp', withHeaders({ 'X-Vast-Timestamp': undefined })),
  ...Object.fromEntries(
    ['', '1e9', '-1', '+1800000000', '1800000000.0', '0x6b49d200', '18000000000000000', '180000000O', '¹²³'].map(
      (timestamp): [string, Case] => [
        `invalid_signature: the timestamp ${JSON.stringify(timestamp)}`,
        unauthorized('malformed_timestamp', signedAt(timestamp)),
      ],
    ),
  ),
  'invalid_signature: the timestamp twice': unauthorized('malformed_timestamp', () => {
    const { body, headers } = good();
    return { body, headers: [...headers, ['X-Vast-Timestamp', String(nowSeconds)]] };
  }),
  'invalid_signature: signed 301 s ago': unauthorized('stale_timestamp', signedAt(nowSeconds - 301)),
  'invalid_signature: signed in 301 s': unauthorized('future_timestamp', signedAt(nowSeconds + 301)),
  'invalid_signature: milliseconds for seconds': unauthorized('future_timestamp', signedAt(nowSeconds * 1000)),
  'invalid_signature: another secret': unauthorized('signature_mismatch', () => signed(event, { key: 'another' })),
  'invalid_signature: a tampered body': unauthorized('signature_mismatch', () => {
    const { body, headers } = good();
    return { headers, body: body.toString().replace('outbid', 'outbit') };
  }),
  'invalid_signature: another timestamp than was signed': unauthorized(
    'signature_mismatch',
    withHeaders({ 'X-Vast-Timestamp': String(nowSeconds + 1) }),
  ),
  'invalid_signature: no body': unauthorized('signature_mismatch', () => ({ headers: good().headers })),
  'invalid_signature: no byte of the body is waited for when the signature is malformed': unauthorized(
    'malformed_signature',
    good,
    async (service) => {
      const headers = headersWith(good().headers, { 'X-Vast-Signature-256': 'none', 'Content-Length': '1000' });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      return connection.answer();
    },
  ),
  'invalid_signature: no byte of the body is waited for when it is stale': unauthorized(
    'stale_timestamp',
    good,
    async (service) => {
      const { headers } = signed(event, { timestamp: nowSeconds - 999 });
      const endless = headersWith(headers, { 'Transfer-Encoding': 'chunked' });
      const connection = await onConnection(service, head('POST', service.endpoint, endless), '5\r\nab');
      return connection.answer();
    },
  ),
  'payload_too_large: by its Content-Length, before any of it has come': {
    send: async (service) => {
      const headers = headersWith(good().headers, { 'Content-Length': String(64 * 1024 + 1) });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      return connection.answer();
    },
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'payload_too_large: in chunks, and the connection is closed behind it': {
    send: async (service) => {
      const headers = headersWith(good().headers, { 'Transfer-Encoding': 'chunked' });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      for (let kb = 0; kb < 70; kb++) connection.write(chunk(Buffer.alloc(1024, 32)));
      const answer = await connection.answer();
      connection.write(bytesOf({ target: '/elsewhere', headers: [['Content-Type', 'application/json']], body: '{}' }));
      await connection.closed;
      return answer;
    },
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'payload_too_large: is told also to a sender that sends on': {
    send: async (service) => {
      const headers = headersWith(good().headers, { 'Transfer-Encoding': 'chunked' });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      const megabyte = chunk(Buffer.alloc(1024 * 1024, 32));
      for (let mb = 0; mb < 8; mb++) connection.write(megabyte);
      return connection.answer();
    },
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'payload_too_large: a byte over a limit of the service’s own': {
    setup: () => ({ options: { limit: 10 } }),
    message: () => signed('{"a":"1234"'),
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'unsupported_encoding: gzip, and no secret matches': {
    message: () => {
      const { body, headers } = signed(anEvent(), { key: 'another' });
      return { body, headers: headersWith(headers, { 'Content-Encoding': 'gzip' }) };
    },
    answer: { status: 415, error: 'unsupported_encoding' },
    outcome: rejected('unsupported_encoding'),
  },
  'unsupported_encoding: comes after the length': {
    message: () => ({
      headers: headersWith(good().headers, { 'Content-Encoding': 'br' }),
      body: Buffer.alloc(70_000, 32),
    }),
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'unsupported_encoding: comes after the headers': unauthorized(
    'missing_signature',
    withHeaders({ 'Content-Encoding': 'gzip', 'X-Vast-Signature-256': undefined }),
  ),
  ...Object.fromEntries(
    ['utf-8', 'gzip', 'br', 'aws-chunked', ''].map((encoding): [string, Case] => [
      `an encoding of ${JSON.stringify(encoding)} does not matter when the signature holds`,
      {
        message: withHeaders({ 'Content-Encoding': encoding }),
        answer: { status: 204 },
        outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
        handled: 1,
      },
    ]),
  ),
  'identity is no encoding': {
    message: withHeaders({ 'Content-Encoding': 'Identity' }),
    answer: { status: 204 },
    outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
    handled: 1,
  },
  ...Object.fromEntries(
    ['{', 'hello', '{"a":1}x', "{'a':1}", 'undefined'].map((body): [string, Case] => [
      `invalid_json: ${JSON.stringify(body)}`,
      {
        message: () => signed(body),
        answer: { status: 400, error: 'invalid_json' },
        outcome: rejected('invalid_json', undefined, signedOnly),
      },
    ]),
  ),
  ...Object.fromEntries(
    ['[]', '[{"event_id":"a"}]', 'null', '42', '"text"', 'true'].map((body): [string, Case] => [
      `invalid_payload: ${body}`,
      {
        message: () => signed(body),
        answer: { status: 400, error: 'invalid_payload' },
        outcome: rejected('invalid_payload', undefined, signedOnly),
      },
    ]),
  ),

  // ------------------------------------------------------------ 408
  'body_timeout: half a body': {
    setup: () => ({ options: { bodyTimeoutMs: 50 } }),
    send: async (service) => {
      const bytes = bytesOf({ target: service.endpoint, ...good() });
      const connection = await onConnection(service, bytes.subarray(0, -10));
      const answer = await connection.answer();
      await connection.closed;
      return answer;
    },
    answer: { status: 408, error: 'body_timeout', headers: closes },
    outcome: failed('body_timeout'),
  },
  'body_timeout: no body is waited for beyond the deadline': {
    setup: () => ({ options: { deadlineMs: 50 } }),
    send: async (service) => {
      const bytes = bytesOf({ target: service.endpoint, ...good() });
      const connection = await onConnection(service, bytes.subarray(0, -10));
      return connection.answer();
    },
    answer: { status: 408, error: 'body_timeout', headers: closes },
    outcome: failed('body_timeout'),
  },

  // ------------------------------------------------------------ 500
  'internal: a clock that throws': {
    setup: () => ({
      options: {
        now() {
          throw new Error('no clock');
        },
      },
    }),
    message: good,
    answer: { status: 500, error: 'internal' },
    outcome: failed('internal'),
  },
  'internal: a clock that gives no time': {
    setup: () => ({ options: { now: () => Number.NaN } }),
    message: good,
    answer: { status: 500, error: 'internal' },
    outcome: failed('internal'),
  },

  // ------------------------------------------------------------ 502
  'sink_failed: says which sinks, and no more than their status': {
    setup: () => ({
      options: {
        sinks: [
          {
            name: 'slack',
            deliver() {
              throw new SinkError('no such webhook: https://hooks.example/T0/SECRET', { status: 404, permanent: true });
            },
          },
          async function audit() {
            throw new Error('ECONNREFUSED 10.0.0.7');
          },
          async function odd() {
            throw 'a string';
          },
          async function unreached() {
            throw new SinkError('the network is down', { status: 0 });
          },
          async function worded() {
            throw Object.assign(new Error('of another make'), { status: '404' });
          },
          async function talkative() {
            throw Object.assign(new Error('of a third'), { status: '404 https://hooks.example/T0/SECRET' });
          },
          async function fine() {},
        ],
      },
    }),
    message: good,
    answer: {
      status: 502,
      error: 'sink_failed',
      sinks: { slack: 404, audit: 'error', odd: 'error', unreached: 'error', worded: 'error', talkative: 'error' },
    },
    outcome: failed('sink_failed', {
      ...genuine,
      sinks: {
        slack: expect.any(Error),
        audit: expect.any(Error),
        odd: expect.any(Error),
        unreached: expect.any(Error),
        worded: expect.any(Error),
        talkative: expect.any(Error),
        fine: 'delivered',
      },
    }),
  },
  'sink_failed: the retry tells only the sink that had failed': {
    setup: () => {
      let tries = 0;
      return {
        options: {
          sinks: [
            async function flaky() {
              if (++tries === 1) throw new Error('not yet');
            },
            async function fine() {},
          ],
        },
      };
    },
    send: async (service) => {
      await service.send(good());
      return service.send(signed(event, { attempt: '2' }));
    },
    answer: { status: 204 },
    outcome: {
      result: 'accepted',
      status: 204,
      permanent: false,
      ...genuine,
      attempt: 2,
      sinks: { flaky: 'delivered', fine: 'already' },
    },
    outcomes: 2,
  },

  // ------------------------------------------------------------ 503
  'in_flight: while another delivery of the event is at work': {
    setup: () => ({ handler: ({ closed }) => closed().then(() => 204) }),
    send: async (service) => {
      await onConnection(service, bytesOf({ target: service.endpoint, ...good() }));
      await service.handling();
      return service.send(signed(event, { attempt: '2' }));
    },
    answer: { status: 503, error: 'in_flight', headers: retryAfter },
    outcome: failed('in_flight', { ...genuine, attempt: 2 }),
    handled: 1,
  },
  'in_flight: Retry-After is what is left of a short lease': {
    setup: storeThat(() => ({ state: 'in_flight', retryAfterMs: 1500 })),
    message: good,
    answer: { status: 503, error: 'in_flight', headers: { 'retry-after': '2' } },
    outcome: failed('in_flight', genuine),
  },
  'in_flight: Retry-After is 1 second at least': {
    setup: storeThat(() => ({ state: 'in_flight', retryAfterMs: 0 })),
    message: good,
    answer: { status: 503, error: 'in_flight', headers: { 'retry-after': '1' } },
    outcome: failed('in_flight', genuine),
  },
  'in_flight: Retry-After is 5 seconds at most': {
    setup: storeThat(() => ({ state: 'in_flight', retryAfterMs: 29_000 })),
    message: good,
    answer: { status: 503, error: 'in_flight', headers: { 'retry-after': '5' } },
    outcome: failed('in_flight', genuine),
  },
  ...Object.fromEntries(
    Object.entries<() => unknown>({
      throws() {
        throw new Error('down');
      },
      rejects: () => Promise.reject(new Error('down')),
      'does not answer': () => never,
      'answers undefined': () => undefined,
      'answers null': async () => null,
      'answers true': () => true,
      'answers acquired without what was delivered': () => ({ state: 'acquired' }),
      'answers in_flight without a time': async () => ({ state: 'in_flight' }),
      'answers a state that is none': () => ({ state: 'released', delivered: [] }),
    }).map(([what, claim]): [string, Case] => [
      `store_unavailable: a store that ${what}`,
      {
        setup: storeThat(claim as () => ClaimResult),
        message: good,
        answer: { status: 503, error: 'store_unavailable', headers: retryAfter },
        outcome: failed('store_unavailable', genuine),
      },
    ]),
  ),
  'secret_unavailable: a function for the secret that throws': {
    setup: () => ({
      secret() {
        throw new Error('vault is sealed');
      },
    }),
    message: good,
    answer: { status: 503, error: 'secret_unavailable', headers: retryAfter },
    outcome: failed('secret_unavailable'),
  },
  'closing: after close()': {
    send: async (service) => {
      await service.hook.close();
      return service.send(good());
    },
    answer: { status: 503, error: 'closing', headers: retryAfter },
    outcome: failed('closing'),
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

  // ------------------------------------------------------------ none, and 504
  'aborted: the sender hangs up amid the body': {
    send: async (service) => {
      const arrived = service.arrival();
      const connection = await onConnection(service, bytesOf({ target: service.endpoint, ...good() }).subarray(0, -10));
      await arrived;
      connection.destroy();
      await connection.closed;
      expect(connection.unread).toBe('');
      return undefined;
    },
    answer: { status: 0 },
    outcome: failed('aborted'),
  },
  'deadline_exceeded: with the sinks that are still at work': {
    setup: () => ({
      options: {
        deadlineMs: 50,
        sinks: [
          async function slow() {
            await never;
          },
          async function fine() {},
        ],
      },
    }),
    message: good,
    answer: { status: 504, error: 'deadline_exceeded' },
    outcome: failed('deadline_exceeded', { ...genuine, sinks: { slow: 'pending', fine: 'delivered' } }),
  },
};

describe.each(doors)('%s answers', (_name, door) => {
  it.each(Object.entries(cases))(
    '%s',
    async (_, { setup, send, message, answer, outcome, outcomes = 1, handled = 0 }) => {
      const service = await serve(door, { secret: { renter: secret, host: 'of-the-hosts' }, ...setup?.() });
      const method = message?.().method;

      const got = await (send ? send(service) : service.send((message as () => Message)()));

      expect(await service.outcome(outcomes)).toEqual({ ...outcome, durationMs: expect.any(Number) });
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
        for (const [name, value] of Object.entries(answer.headers ?? {})) {
          if (value instanceof RegExp) expect(got.headers[name]).toMatch(value);
          else expect(got.headers[name]).toBe(value);
        }
      }
      expect(service.handled).toHaveLength(handled);
      // Another request shows that the service lives on, and that no outcome came twice.
      expect((await service.send({ target: '/elsewhere' })).status).toBe(200);
      expect(service.outcomes).toHaveLength(outcomes);
    },
  );
});

describe.each(doors)('%s: what the outcome says of an error', (_name, door) => {
  it('names the handler that is missing, when nothing answers behind the middleware', async () => {
    const service = await serve(door, { handler: () => 404 });
    await service.send(signed());
    expect((await service.outcome()).error?.message).toMatch(/404.*gives the event up.*handler/s);
  });

  it('takes a fraction of time at least, and no more than it took', async () => {
    const service = await serve(door);
    const from = performance.now();
    await service.send(signed());
    const { durationMs } = await service.outcome();
    expect(durationMs).toBeGreaterThan(0);
    expect(durationMs).toBeLessThanOrEqual(performance.now() - from);
  });
});

// Express does not show the middleware what a handler throws.
describe.each(doors.filter(([, door]) => door.showsErrors))(
  '%s: what the outcome says of a thrown error',
  (_name, door) => {
    it('has it as its cause', async () => {
      const service = await serve(door, { handler: () => Promise.reject(new Error('rebid failed')) });
      await service.send(signed());
      expect((await service.outcome()).error?.cause).toMatchObject({ message: 'rebid failed' });
    });
  },
);

describe.each(doors)('%s: a listener that fails', (_name, door) => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('the listener’s own trouble');
      },
    ],
    ['rejects', () => Promise.reject(new Error('the listener’s own trouble'))],
  ])('changes nothing of the answer when it %s', async (_, onOutcome) => {
    const service = await serve(door, { options: { onOutcome } });
    expect((await service.send(signed())).status).toBe(204);
    expect((await service.send({})).status).toBe(401);
    expect(service.outcomes).toHaveLength(2);
  });
});

describe.each(nodeDoors)('%s: a request that somebody in front has answered', (_name, door) => {
  it('keeps that answer, and has its outcome', async () => {
    const service = await serve(door, {
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
