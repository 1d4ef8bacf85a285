/** Why a delivery was rejected or failed. Stable over releases. It is in the answer's body and in the outcome. */
export type Code =
  | 'method_not_allowed'
  | 'invalid_signature'
  | 'payload_too_large'
  | 'unsupported_encoding'
  | 'invalid_json'
  | 'invalid_payload'
  | 'event_id_mismatch'
  | 'body_timeout'
  | 'raw_body_unavailable'
  | 'internal'
  | 'sink_failed'
  | 'in_flight'
  | 'store_unavailable'
  | 'secret_unavailable'
  | 'closing'
  | 'handler_failed'
  | 'aborted'
  | 'deadline_exceeded';

interface Row {
  /** HTTP status; 0 where the middleware itself sends none. */
  readonly status: number;
  readonly result: 'rejected' | 'failed';
  readonly headers?: Readonly<Record<string, string>>;
  readonly retryAfter?: true;
}

/**
 * The only table of answers. The sender drops an event after any 4xx except 408 and 429, so a 4xx is used here only
 * where no retry can help.
 */
const answers: Readonly<Record<Code, Row>> = {
  method_not_allowed: { status: 405, result: 'rejected', headers: { Allow: 'POST' } },
  invalid_signature: { status: 401, result: 'rejected' },
  // An unread body blocks the connection for the next request.
  payload_too_large: { status: 413, result: 'rejected', headers: { Connection: 'close' } },
  unsupported_encoding: { status: 415, result: 'rejected' },
  invalid_json: { status: 400, result: 'rejected' },
  invalid_payload: { status: 400, result: 'rejected' },
  event_id_mismatch: { status: 400, result: 'rejected' },
  body_timeout: { status: 408, result: 'failed', headers: { Connection: 'close' } },
  raw_body_unavailable: { status: 500, result: 'failed' },
  internal: { status: 500, result: 'failed' },
  sink_failed: { status: 502, result: 'failed' },
  in_flight: { status: 503, result: 'failed', retryAfter: true },
  store_unavailable: { status: 503, result: 'failed', retryAfter: true },
  secret_unavailable: { status: 503, result: 'failed', retryAfter: true },
  closing: { status: 503, result: 'failed', retryAfter: true },
  handler_failed: { status: 0, result: 'failed' },
  aborted: { status: 0, result: 'failed' },
  deadline_exceeded: { status: 504, result: 'failed' },
};

const maxRetryAfterSeconds = 5;
const json = { 'Content-Type': 'application/json' };

export function answerFor(code: Code): Row {
  return answers[code];
}

/** Whether Vast.ai gives the event up after our answer (docs.vast.ai, notification webhooks). */
export function senderGivesUpAfter(status: number): boolean {
  return status >= 300 && status < 500 && status !== 408 && status !== 429;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The answer to a delivery that was accepted or is a duplicate. */
export const accepted: Answer = { status: 204 };

/** The answer to a delivery. Without a code it is `accepted`. */
export function answerTo(
  code: Code | undefined,
  retryAfterMs?: number,
  sinks?: Readonly<Record<string, string | Error>>,
): Answer {
  if (code === undefined) return accepted;
  const { status, headers, retryAfter } = answers[code];
  const body =
    code === 'sink_failed' && sinks ? { ok: false, error: code, sinks: failuresOf(sinks) } : { ok: false, error: code };
  return {
    status,
    headers: { ...json, ...headers, ...(retryAfter && { 'Retry-After': retryAfterSeconds(retryAfterMs) }) },
    body: JSON.stringify(body),
  };
}

function retryAfterSeconds(ms = Number.POSITIVE_INFINITY): string {
  return String(Math.min(maxRetryAfterSeconds, Math.max(1, Math.ceil(ms / 1000))));
}

/** The part of a sink's failure that may go out: its HTTP status, or that it failed. */
function failuresOf(sinks: Readonly<Record<string, string | Error>>): Record<string, number | 'error'> {
  const failures: Record<string, number | 'error'> = {};
  for (const [name, result] of Object.entries(sinks)) {
    if (typeof result === 'string') continue;
    const { status } = result as { status?: unknown };
    failures[name] = typeof status === 'number' && status > 0 ? status : 'error';
  }
  return failures;
}
