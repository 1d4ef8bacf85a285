import { senderGivesUpAfter } from '../contracts/answer.js';
import { toError, WebhookError } from '../contracts/errors.js';
import { isWorkers } from '../util/runtime.js';

type Named = readonly { readonly name: string }[];

/** The state of each sink: an error if it failed. */
type States = readonly (string | Error)[];

export function unavailable(operation: string, why: string, cause?: unknown): WebhookError {
  const advice = isWorkers() && /no answer|different request|since ended/.test(why) ? connectPerCall : '';
  return new WebhookError('store_unavailable', `the idempotency store failed to ${operation}: ${why}${advice}`, {
    cause,
  });
}

const connectPerCall =
  ' (on Workers a connection ends with its request: if this client is made once for all requests, connect in each call, or use d1Store)';

export function inFlight(retryAfterMs: number): WebhookError {
  return new WebhookError('in_flight', 'another delivery of the event is being processed', { retryAfterMs });
}

export function lost(): WebhookError {
  return new WebhookError('in_flight', 'the lease was lost: another delivery of the event is being processed');
}

export function leaseOver(lease: 'lost' | 'expired', maxWorkMs: number): Error {
  return lease === 'lost'
    ? new Error('the lease was lost: it expired, and another process has claimed the event')
    : new Error(`the work on the event did not settle within ${maxWorkMs / 60_000} minutes: its claim is released`);
}

export function unsettled(): Error {
  return new Error('did not settle before the lease ended');
}

export function sinkFailed(sinks: Named, states: States): WebhookError {
  const errors: Error[] = [];
  const messages: string[] = [];
  for (const [sink, state] of states.entries()) {
    if (typeof state === 'string') continue;
    errors.push(state);
    messages.push(`${sinks[sink]?.name}: ${state.message}`);
  }
  const message = messages.join('; ');
  const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, message);
  return new WebhookError('sink_failed', message, { cause });
}

export function deadlineExceeded(sinks: Named, states: States): WebhookError {
  const pending = sinks.filter((_, sink) => states[sink] === 'working').map(({ name }) => name);
  const what = pending.length > 0 ? pending.join(', ') : 'the idempotency store';
  return new WebhookError('deadline_exceeded', `still running at the deadline: ${what}`);
}

export function handlerFailed(status: number, cause: unknown): WebhookError {
  const what = status === 0 ? 'the handler gave no answer' : `the handler answered ${status}`;
  const why = cause === undefined ? '' : `: ${toError(cause).message}`;
  return new WebhookError('handler_failed', what + adviceFor(status) + why, { status, cause });
}

function adviceFor(status: number): string {
  if (!senderGivesUpAfter(status)) return '';
  const lost =
    ', after which the sender gives the event up: answer 2xx if you took it, 5xx if the sender should try again';
  return status === 404 ? `${lost} (is there a handler for this path behind the middleware?)` : lost;
}
