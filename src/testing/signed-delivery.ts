import { checkProvider } from '../providers/define-provider.js';
import { providerOf } from '../providers/index.js';
import { noHeaders, type Provider, schemeOf } from '../providers/provider.js';
import type { SigningKey } from '../providers/scheme.js';
import { vast } from '../providers/vast.js';
import { signingKeys } from '../receive/secrets.js';
import { anything, checkOptions } from '../util/check-options.js';

/** Options of `signedDelivery`. */
export interface SignedDeliveryOptions {
  /** The sender: `vast`, `shodai`, `v0`, or one of `defineProvider`, by itself or by its name. Default: `vast`. */
  readonly provider?: string | Provider<never>;
  /** When it was signed, in Unix seconds. Default: now. */
  readonly timestamp?: number;
  /** Number of the attempt, for senders that have a header for it. Default: 1. */
  readonly attempt?: number;
  /** The id, for senders that have a header for it. Default: the event's own, or a new one. */
  readonly id?: string;
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
 * token, which is in `search`. Throws a `TypeError` for an event id that no header can hold.
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
  // What is signed is not checked, because a test may use invalid values on purpose.
  const checks = { provider: anything, timestamp: anything, attempt: anything, id: anything };
  checkOptions(options, checks, 'signedDelivery');
  const { provider = vast.name, timestamp = Math.floor(Date.now() / 1000), attempt = 1 } = options;
  const sender = senderOf(provider);
  const scheme = schemeOf(sender);
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  const [key] = signingKeys(secret, scheme.keyOf);
  const { id = typeof event === 'object' ? textOf(sender.idOf(event, noHeaders)) : undefined } = options;
  const { headers, search } = scheme.signFor(body, key as SigningKey, { timestamp, attempt, id });
  const all = {
    'content-type': 'application/json',
    ...headers,
    // Vast.ai sends a copy of the id, which no receiver needs.
    ...(sender.name === vast.name && id !== undefined && { 'x-vast-event-id': id }),
  };
  const unfit = Object.entries(all).find(([, value]) => value === id && !headerPattern.test(value));
  if (unfit !== undefined) {
    throw new TypeError(
      `signedDelivery: the event id does not fit in the header ${headerName(unfit[0])}, which takes visible ASCII characters and spaces between them: give the event another id, or its text instead of the object`,
    );
  }
  return {
    body,
    headers: Object.fromEntries(Object.entries(all).map(([name, value]) => [headerName(name), value])),
    search,
  };
}

/** What every HTTP client can send as it is. */
const headerPattern = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

function senderOf(provider: string | Provider<never>): Provider<object> {
  if (typeof provider === 'string') return providerOf(provider);
  checkProvider(provider);
  return provider as Provider<object>;
}

function textOf(id: unknown): string | undefined {
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined;
}

/** The header in the spelling of the sender. */
function headerName(lowerCase: string): string {
  return lowerCase.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
}
