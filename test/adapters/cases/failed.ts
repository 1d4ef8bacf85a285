import { expect } from 'vitest';
import { type ClaimResult, SinkError } from '../../../src/index.js';
import { bytesOf, signed } from '../../support/requests.js';
import { type Case, closes, event, failed, genuine, good, never, onConnection, retryAfter, storeThat } from './case.js';

/** Deliveries that a retry can mend. */
export const failures: Readonly<Record<string, Case>> = {
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
  'body_timeout: the wait for a body ends at the deadline': {
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
  'internal: a clock that returns no time': {
    setup: () => ({ options: { now: () => Number.NaN } }),
    message: good,
    answer: { status: 500, error: 'internal' },
    outcome: failed('internal'),
  },

  // ------------------------------------------------------------ 502
  'sink_failed: names the sinks that failed, and only their status': {
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
  'sink_failed: the retry delivers only to the sink that failed': {
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
  'in_flight: while another delivery of the event is being processed': {
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
  'in_flight: Retry-After is the rest of a short lease': {
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
      'answers acquired without the delivered sinks': () => ({ state: 'acquired' }),
      'answers in_flight without a time': async () => ({ state: 'in_flight' }),
      'answers an unknown state': () => ({ state: 'released', delivered: [] }),
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

  // ------------------------------------------------------------ no answer, and 504
  'aborted: the sender hangs up in the middle of the body': {
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
  'deadline_exceeded: with the sinks that still run': {
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
