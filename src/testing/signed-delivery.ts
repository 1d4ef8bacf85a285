import { providerOf } from '../providers/index.js';
import { vast } from '../providers/vast.js';
import { sign } from '../receive/signature.js';
import { anything, aString, checkOptions } from '../util/check-options.js';

/** What `signedDelivery` takes beside event and secret. */
export interface SignedDeliveryOptions {
  /** Whose dialect it is in: `vast`, the default, `shodai` or `v0`. */
  readonly provider?: string;
  /** When it was signed, in Unix seconds: now. */
  readonly timestamp?: number;
  /** Which attempt it says it is, of senders that say so: 1. */
  readonly attempt?: number;
}

/** A request as its sender sends it, ready for `fetch` or supertest. */
export interface SignedDelivery {
  /** The exact text that is signed. */
  readonly body: string;
  /** The sender's headers, and the content type. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the URL ends with for a sender that signs nothing: `?token=...`. Otherwise empty. */
  readonly search: string;
}

/**
 * Signs an event, or a body given as text, as Vast.ai or another provider does. For `v0`, which signs nothing, the
 * secret is the token, and stands in `search`.
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
  // What a test signs wrongly on purpose is its own affair.
  checkOptions(options, { provider: aString, timestamp: anything, attempt: anything }, 'signedDelivery');
  const { provider = vast.name, timestamp = Math.floor(Date.now() / 1000), attempt = 1 } = options;
  const dialect = providerOf(provider);
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  const type = { 'Content-Type': 'application/json' };
  if (dialect.headers === undefined) {
    return { body, headers: type, search: `?${dialect.token}=${encodeURIComponent(secret)}` };
  }
  const names = dialect.headers;
  const id = typeof event === 'object' ? dialect.idOf(event) : undefined;
  // Vast.ai sends a copy of the id, too, which nobody looks at.
  const idHeader = dialect.name === vast.name ? 'x-vast-event-id' : names.id;
  return {
    body,
    headers: {
      ...type,
      [headerName(names.signature)]: sign(body, secret, timestamp),
      [headerName(names.timestamp)]: String(timestamp),
      ...(names.attempt !== undefined && { [headerName(names.attempt)]: String(attempt) }),
      ...(idHeader !== undefined && typeof id === 'string' && { [headerName(idHeader)]: id }),
    },
    search: '',
  };
}

/** As the sender spells it. */
function headerName(lowerCase: string): string {
  return lowerCase.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
}
