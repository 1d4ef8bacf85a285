import { vast } from '../providers/vast.js';
import { sign } from '../receive/signature.js';

/** What `signedDelivery` takes beside event and secret. */
export interface SignedDeliveryOptions {
  /** When it was signed, in Unix seconds: now. */
  readonly timestamp?: number;
  /** Which attempt it says it is: 1. */
  readonly attempt?: number;
}

/** A request as Vast.ai sends it, ready for `fetch` or supertest. */
export interface SignedDelivery {
  /** The exact text that is signed. */
  readonly body: string;
  /** The sender's headers, and the content type. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Signs an event, or a body given as text, as Vast.ai does.
 *
 * @example
 * const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
 * await fetch('http://localhost:3000/vast/webhooks', { method: 'POST', body, headers });
 */
export function signedDelivery(
  event: object | string,
  secret: string,
  { timestamp = Math.floor(Date.now() / 1000), attempt = 1 }: SignedDeliveryOptions = {},
): SignedDelivery {
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  const id = typeof event === 'object' ? (event as { event_id?: unknown }).event_id : undefined;
  return {
    body,
    headers: {
      'Content-Type': 'application/json',
      [headerName(vast.headers.signature)]: sign(body, secret, timestamp),
      [headerName(vast.headers.timestamp)]: String(timestamp),
      [headerName(vast.headers.attempt)]: String(attempt),
      ...(typeof id === 'string' && { 'X-Vast-Event-Id': id }),
    },
  };
}

/** As the sender spells it. */
function headerName(lowerCase: string): string {
  return lowerCase.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
}
