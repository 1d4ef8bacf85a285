import { nowSeconds, signed } from '../../support/requests.js';
import type { Setup } from '../../support/service.js';
import { type Case, event, failed, genuine, good } from './case.js';

const handlerFails = (status: number, permanent: boolean, setup: () => Setup): Case => ({
  setup,
  message: good,
  answer: { status },
  outcome: { ...failed('handler_failed', genuine), status, permanent },
  handled: 1,
});

/** Deliveries that are accepted, and those that the handler refuses. */
export const accepted: Readonly<Record<string, Case>> = {
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
      // Express and Koa send the handler's answer before the store has the event. The outcome comes after that.
      await service.outcome();
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
};
