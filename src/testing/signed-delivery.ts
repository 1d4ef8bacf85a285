import { providerOf } from '../providers/index.js';
import { vast } from '../providers/vast.js';
import { schemeOf } from '../receive/verify.js';
import { anything, aString, checkOptions } from '../util/check-options.js';

/** Options of `signedDelivery`. */
export interface SignedDeliveryOptions {
  /** The sender: `vast`, `shodai` or `v0`. Default: `vast`. */
  readonly provider?: string;
  /** When it was signed, in Unix seconds. Default: now. */
  readonly timestamp?: number;
  /** Number of the attempt, for senders that have a header for it. Default: 1. */
  readonly attempt?: number;
}

/** A request in the form of its sender, ready for `fetch` or supertest. */
export interface SignedDelivery {
  /** The exact text that is signed. */
  readonly body: string;
  /** The sender's headers, and the content type. */
  readonly headers: Readonly<Record<string, string>>;
  /** For a sender that signs nothing, the query of the URL: `?token=...`. Otherwise empty. */
  readonly search: string;
}

/**
 * Signs an event, or the text of a body, as Vast.ai or another provider does. `v0` signs nothing: its secret is the
 * token, which is in `search`.
 *
 * @example
 * const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
 * await fetch('http://localhost:3000/vast/webhooks', { method: 'POST', body, headers });
 */
export function signedDelivery(
  event: object | string,
  secret: string,
  options: SignedDeliveryOptions = {},
): SignedDelivery {
  // Timestamp and attempt are not checked, because a test may use invalid ones on purpose.
  checkOptions(options, { provider: aString, timestamp: anything, attempt: anything }, 'signedDelivery');
  const { provider = vast.name, timestamp = Math.floor(Date.now() / 1000), attempt = 1 } = options;
  const sender = providerOf(provider);
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  const { headers, search } = schemeOf(sender).signFor(body, secret, timestamp);
  const id = typeof event === 'object' ? sender.idOf(event) : undefined;
  const attemptHeader = sender.headers?.attempt;
  // Vast.ai also sends a copy of the id, which no receiver needs.
  const idHeader = sender.name === vast.name ? 'x-vast-event-id' : sender.headers?.id;
  const all = {
    'content-type': 'application/json',
    ...headers,
    ...(attemptHeader !== undefined && { [attemptHeader]: String(attempt) }),
    ...(idHeader !== undefined && typeof id === 'string' && { [idHeader]: id }),
  };
  return {
    body,
    headers: Object.fromEntries(Object.entries(all).map(([name, value]) => [headerName(name), value])),
    search,
  };
}

/** The header in the spelling of the sender. */
function headerName(lowerCase: string): string {
  return lowerCase.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
}
