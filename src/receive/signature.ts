import { createHmac, timingSafeEqual } from 'node:crypto';
import { type SignatureReason, WebhookError } from '../contracts/errors.js';
import { type SigningKey, signingKeys } from './secrets.js';

const signaturePattern = /^sha256=[0-9a-f]{64}$/;
/** How old or early a delivery may be. */
export const defaultToleranceSeconds = 300;

const timestampPattern = /^[0-9]{1,15}$/;

/** Headers that are well-formed and recent. Nothing is verified yet. */
export interface SignedHeaders {
  readonly timestamp: string;
  /** The HMAC in the signature header, in hex. */
  readonly digest: string;
}

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

/** Throws `invalid_signature` unless both headers have their form and the time is within the window. */
export function checkHeaders(
  signature: string | undefined,
  timestamp: string | undefined,
  toleranceSeconds: number,
  nowMs: number,
): SignedHeaders {
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
  return { timestamp, digest: signature.slice('sha256='.length) };
}

/** Finds the key that signed the body. Tries every key, so that timing reveals nothing. */
export function findKey(
  keys: readonly SigningKey[],
  { timestamp, digest }: SignedHeaders,
  body: Uint8Array,
): SigningKey | undefined {
  const claimed = Buffer.from(digest);
  let found: SigningKey | undefined;
  for (const key of keys) {
    if (timingSafeEqual(Buffer.from(digestOf(key, timestamp, body)), claimed)) found ??= key;
  }
  return found;
}

export function mismatch(): WebhookError {
  return invalid(
    'signature_mismatch',
    'no secret matches: another secret, or a body that was changed on its way (compressed, re-encoded, parsed and printed again)',
  );
}

function invalid(reason: SignatureReason, message: string): WebhookError {
  return new WebhookError('invalid_signature', message, { reason });
}
