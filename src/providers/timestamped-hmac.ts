import { Buffer } from 'node:buffer';
import { createHmac, type Hmac, type KeyObject } from 'node:crypto';
import { checkOptions } from '../util/check-options.js';
import { keepNewest } from '../util/keep-newest.js';
import {
  type Credentials,
  type Details,
  type Head,
  headerName,
  keyWithDigest,
  missingSignature,
  type Proof,
  type Refusal,
  refusalOfTime,
  type Scheme,
  type SchemeHeaders,
  type SigningKey,
  signatureMismatch,
  type WorkingScheme,
} from './scheme.js';

/** Options of `timestampedHmac`. */
export interface TimestampedHmacOptions {
  /** Names of the sender's headers, in any case. */
  readonly headers: {
    /** The signature: `sha256=` and 64 lower-case hex digits. */
    readonly signature: string;
    /** When it was signed, in whole Unix seconds. */
    readonly timestamp: string;
    /** Number of the attempt. It is not signed. */
    readonly attempt?: string;
    /** A copy of the event id. A delivery whose copy differs from the signed id is refused. */
    readonly id?: string;
  };
}

/**
 * A signature over `<timestamp>.<raw body>`: HMAC-SHA256 in hex, with the secret's text as its key. Vast.ai and Shodai
 * sign so. Throws a `TypeError` for an invalid option.
 */
export function timestampedHmac(options: TimestampedHmacOptions): Scheme<true> {
  const owner = 'timestampedHmac';
  checkOptions(options, { headers: [(value) => typeof value === 'object', 'an object of names'] }, owner);
  const names = { signature: headerName, timestamp: headerName, attempt: headerName, id: headerName };
  checkOptions(options.headers, names, `${owner}: headers`);
  const { signature, timestamp, attempt, id } = options.headers;
  if (signature === undefined || timestamp === undefined) {
    throw new TypeError(`${owner}: give headers: { signature: '...', timestamp: '...' }`);
  }
  const used = Object.values({ signature, timestamp, attempt, id }).flatMap((name) => name?.toLowerCase() ?? []);
  if (new Set(used).size < used.length) throw new TypeError(`${owner}: two of the headers have the same name`);
  return new TimestampedHmac(timestamp.toLowerCase(), signature.toLowerCase(), {
    signature: signature.toLowerCase(),
    attempt: attempt?.toLowerCase(),
    id: id?.toLowerCase(),
  });
}

/** HMAC-SHA256 over `<timestamp>.<body>`, in hex. */
export function timestampedDigest(key: KeyObject, timestamp: number | string, body: Uint8Array): string {
  return hmacOf(key, timestamp, body).digest('hex');
}

function hmacOf(key: KeyObject, timestamp: number | string, body: Uint8Array): Hmac {
  const hmac = createHmac('sha256', key);
  keepNewest('hmac', hmac);
  return hmac.update(`${timestamp}.`).update(body);
}

const prefix = 'sha256=';
const signaturePattern = /^sha256=[0-9a-f]{64}$/;

class TimestampedHmac implements WorkingScheme<true> {
  readonly signsBody = true;
  readonly signsTime = true;
  readonly headers: SchemeHeaders;
  readonly mismatch = signatureMismatch;
  readonly #timestamp: string;
  readonly #signature: string;

  constructor(timestamp: string, signature: string, headers: SchemeHeaders) {
    this.#timestamp = timestamp;
    this.#signature = signature;
    this.headers = headers;
  }

  keyOf(secret: string): Uint8Array {
    return Buffer.from(secret);
  }

  checkHead(head: Head, toleranceSeconds: number, nowMs: number): Credentials | Refusal {
    const signature = head.header(this.#signature);
    const timestamp = head.header(this.#timestamp);
    if (signature === undefined) return missingSignature;
    // Node.js joins repeated headers with a comma, which the pattern does not allow.
    if (!signaturePattern.test(signature)) {
      return {
        reason: 'malformed_signature',
        message: 'the signature header is not sha256= and 64 lower-case hex digits',
      };
    }
    const refusal = refusalOfTime(timestamp, toleranceSeconds, nowMs);
    return refusal ?? { timestamp, proof: signature.slice(prefix.length) };
  }

  findKey(
    keys: readonly SigningKey[],
    { timestamp = '', proof }: Credentials,
    body: Uint8Array,
  ): SigningKey | undefined {
    return keyWithDigest(keys, [Buffer.from(proof, 'hex')], (key) => hmacOf(key, timestamp, body).digest());
  }

  signFor(body: string, { key }: SigningKey, { timestamp, attempt, id }: Details): Proof {
    const { attempt: attemptHeader, id: idHeader } = this.headers;
    return {
      headers: {
        [this.#signature]: prefix + timestampedDigest(key, timestamp, Buffer.from(body)),
        [this.#timestamp]: String(timestamp),
        ...(attemptHeader !== undefined && { [attemptHeader]: String(attempt) }),
        ...(idHeader !== undefined && id !== undefined && { [idHeader]: id }),
      },
      search: '',
    };
  }
}
