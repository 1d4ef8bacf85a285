import { type Code, isPermanent, rowOf } from './contracts/answer.js';
import type { Delivery } from './contracts/delivery.js';
import type { SignatureReason } from './contracts/errors.js';
import type { ErrorContext, Forwarded } from './forward/run.js';
import type { SinkResult } from './forward/sink.js';
import type { Authentic } from './receive/verify.js';

/** How one delivery ended. */
export interface Outcome {
  /** `rejected`: not genuine or not usable. `failed`: genuine as far as is known, but not taken. */
  readonly result: 'accepted' | 'duplicate' | 'rejected' | 'failed';
  /** HTTP status of the answer; 0 when there was none. */
  readonly status: number;
  /** Why it was not taken. */
  readonly code?: Code;
  /** On `invalid_signature`, which is also the code for a token: which check failed. */
  readonly reason?: SignatureReason;
  /** Whether the sender will not try again although the event has not been taken. */
  readonly permanent: boolean;
  /** The signed event id, of genuine deliveries. */
  readonly id?: string;
  /** The event's type, of genuine deliveries. */
  readonly type?: string;
  /** Label of the secret that matched. */
  readonly webhook?: string;
  /** Which attempt the sender says it is; not signed. */
  readonly attempt?: number;
  /** From the request's arrival to its answer, in milliseconds. */
  readonly durationMs: number;
  /** The sender's clock minus ours, in whole seconds, of signed deliveries. */
  readonly skewSeconds?: number;
  /** How each sink fared. */
  readonly sinks?: Readonly<Record<string, SinkResult>>;
  /** What went wrong, with a message for whoever has to mend it. */
  readonly error?: Error;
}

/** The outcome of a delivery, from as much as became known of it. */
export function outcomeOf(
  { duplicate, error, sinks }: Forwarded,
  status: number,
  authentic: Authentic | undefined,
  delivery: Delivery | undefined,
  type: string | undefined,
  durationMs: number,
): Outcome {
  return {
    result: error === undefined ? (duplicate ? 'duplicate' : 'accepted') : rowOf(error.code).result,
    status,
    code: error?.code,
    reason: error?.reason,
    permanent: error !== undefined && isPermanent(status),
    id: delivery?.id,
    type,
    webhook: authentic?.key.label ?? delivery?.webhook,
    attempt: delivery?.attempt,
    durationMs,
    skewSeconds: authentic && skewOf(authentic),
    sinks,
    error,
  };
}

function skewOf({ timestamp, receivedAt }: Authentic): number | undefined {
  return timestamp === undefined ? undefined : Number(timestamp) - Math.floor(receivedAt / 1000);
}

/** One line a failure; of what anybody on the network can cause, a line in 10 s and how many were left out. */
export function logOutcomes(): (outcome: Outcome) => void {
  const warn = atMostEvery(10_000, (line) => console.warn(line));
  const errorOfUnverified = atMostEvery(10_000, (line) => console.error(line));
  return (outcome) => {
    if (outcome.result === 'rejected') warn(lineOf(outcome));
    else if (outcome.result !== 'failed') return;
    else if (outcome.id === undefined) errorOfUnverified(lineOf(outcome));
    else console.error(lineOf(outcome));
  };
}

export function logError(error: Error, { id, type, sink }: ErrorContext): void {
  const about = sink === undefined ? '' : ` sink=${JSON.stringify(sink)}`;
  console.error(`vast-webhook: after the answer${about}${eventOf(id, type)}: ${oneLine(error.message)}`);
}

function lineOf({ result, status, code, reason, permanent, id, type, error }: Outcome): string {
  const what = reason === undefined ? code : `${code} (${reason})`;
  const lost = permanent && result === 'failed' ? ' and lost' : '';
  return `vast-webhook: ${result}${lost} ${status} ${what}${eventOf(id, type)}: ${oneLine(error?.message ?? '')}`;
}

function oneLine(message: string): string {
  return message.replace(/\p{Cc}+/gu, ' ');
}

/** Quoted, since both are the sender's text and a line must stay one. */
function eventOf(id: string | undefined, type: string | undefined): string {
  if (id === undefined) return '';
  return ` event=${JSON.stringify(id)}${type === undefined ? '' : ` type=${JSON.stringify(type)}`}`;
}

function atMostEvery(ms: number, print: (line: string) => void): (line: string) => void {
  let nextAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return (line) => {
    const now = performance.now();
    if (now < nextAt) {
      leftOut++;
      return;
    }
    nextAt = now + ms;
    print(leftOut === 0 ? line : `${line} (${leftOut} more like it were left out)`);
    leftOut = 0;
  };
}
