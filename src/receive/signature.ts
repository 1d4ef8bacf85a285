import { createHmac, timingSafeEqual } from 'node:crypto';
import { type SignatureReason, WebhookError } from '../contracts/errors.js';
import type { Credentials, Head, Proof, Scheme } from './scheme.js';
import { type SigningKey, signingKeys } from './secrets.js';

const signaturePattern = /^sha256=[0-9a-f]{64}$/;
/** How old or early a delivery may be. */
export const defaultToleranceSeconds = 300;

const timestampPattern = /^[0-9]{1,15}$/;

/**
 * The value of the signature header: `sha256=` and the hex HMAC-SHA256 over `<timestamp>.<body>`.
 * `timestamp` is in whole Unix seconds, as the timestamp header has it.
 * Source: docs.vast.ai, notification webhooks.
 */
export function sign(body: string | Uint8Array, secret: string, timestamp: number | string): string {
  const [signing] = signingKeys(secret);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return `sha256=${digestOf(signing as SigningKey, timestamp, bytes)}`;
}

/** HMAC-SHA256 in hex. */
function digestOf({ key }: SigningKey, timestamp: number | string, body: Uint8Array): string {
  return createHmac('sha256', key).update(`${timestamp}.`).update(body).digest('hex');
}

/** An HMAC-SHA256 over `<timestamp>.<raw body>`, in two headers. */
export class HmacScheme implements Scheme {
  readonly signsBody = true;
  readonly #signature: string;
  readonly #timestamp: string;

  /** The names of the headers, in lower case. */
  constructor({ signature, timestamp }: { readonly signature: string; readonly timestamp: string }) {
    this.#signature = signature;
    this.#timestamp = timestamp;
  }

  checkHead(head: Head, toleranceSeconds: number, nowMs: number): Credentials {
    const signature = head.header(this.#signature);
    const timestamp = head.header(this.#timestamp);
    if (signature === undefined) throw invalid('missing_signature', 'the signature header is missing');
    // Node.js joins repeated headers with a comma, which neither pattern allows.
    if (!signaturePattern.test(signature)) {
      throw invalid('malformed_signature', 'the signature header is not sha256= and 64 lower-case hex digits');
    }
    if (timestamp === undefined) throw invalid('missing_timestamp', 'the timestamp header is missing');
    if (!timestampPattern.test(timestamp)) {
      throw invalid('malformed_timestamp', 'the timestamp header is not a number of Unix seconds');
    }
    const ageSeconds = Math.floor(nowMs / 1000) - Number(timestamp);
    // Written so that a clock that gives NaN refuses.
    if (!(ageSeconds <= toleranceSeconds)) {
      throw invalid('stale_timestamp', `signed ${ageSeconds} s ago, more than ${toleranceSeconds} s: check this clock`);
    }
    if (!(-ageSeconds <= toleranceSeconds)) {
      throw invalid(
        'future_timestamp',
        `signed ${-ageSeconds} s from now, more than ${toleranceSeconds} s: check this clock`,
      );
    }
    return { timestamp, proof: signature.slice('sha256='.length) };
  }

  findKey(
    keys: readonly SigningKey[],
    { timestamp = '', proof }: Credentials,
    body: Uint8Array,
  ): SigningKey | undefined {
    const claimed = Buffer.from(proof);
    let found: SigningKey | undefined;
    for (const key of keys) {
      if (timingSafeEqual(Buffer.from(digestOf(key, timestamp, body)), claimed)) found ??= key;
    }
    return found;
  }

  mismatch(): WebhookError {
    return invalid(
      'signature_mismatch',
      'no secret matches: another secret, or a body that was changed on its way (compressed, re-encoded, parsed and printed again)',
    );
  }

  signFor(body: string, secret: string, timestamp: number): Proof {
    const headers = { [this.#signature]: sign(body, secret, timestamp), [this.#timestamp]: String(timestamp) };
    return { headers, search: '' };
  }
}

function invalid(reason: SignatureReason, message: string): WebhookError {
  return new WebhookError('invalid_signature', message, { reason });
}
