import { Buffer } from 'node:buffer';
import { type SigningKey, timestampPattern } from '../providers/scheme.js';
import { timestampedDigest } from '../providers/timestamped-hmac.js';
import { signingKeys } from './secrets.js';

/** How old or early a delivery may be. */
export const defaultToleranceSeconds = 300;

/**
 * The value of the signature header: `sha256=` and the hex HMAC-SHA256 over `<timestamp>.<body>`.
 * `timestamp` is in whole Unix seconds, as the timestamp header has it.
 * Throws a `TypeError` for any other timestamp, because no receiver would accept the signature.
 * Source: docs.vast.ai, notification webhooks.
 */
export function sign(body: string | Uint8Array, secret: string, timestamp: number | string): string {
  if (!timestampPattern.test(String(timestamp))) {
    // The value is not quoted, because it is the secret where two arguments were swapped.
    throw new TypeError('sign: the timestamp must be whole Unix seconds in 1 to 15 ASCII digits, such as 1788000000');
  }
  const [signing] = signingKeys(secret);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return `sha256=${timestampedDigest((signing as SigningKey).key, timestamp, bytes)}`;
}
