import type { Buffer } from 'node:buffer';
import { type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Check } from '../util/check-options.js';

/** Which check of the signature headers, or of the token, failed. It is in the outcome and not in the answer. */
export type SignatureReason =
  | 'missing_signature'
  | 'malformed_signature'
  | 'missing_timestamp'
  | 'malformed_timestamp'
  | 'stale_timestamp'
  | 'future_timestamp'
  | 'signature_mismatch'
  | 'missing_token'
  | 'token_mismatch';

/**
 * How a sender proves that a delivery is its own. Made by `timestampedHmac`, `standardWebhooks`, `bodyHmac` and
 * `urlToken`.
 */
export interface Scheme<Signs extends boolean = boolean> {
  /** Whether the proof covers the body, so that its deliveries are verified. */
  readonly signsBody: Signs;
}

/** What the receiver uses of a scheme. It is not public, so that it can change. */
export interface WorkingScheme<Signs extends boolean = boolean> extends Scheme<Signs> {
  /** Whether it signs the time, so that an old delivery can be refused. */
  readonly signsTime: boolean;
  /** Names of headers, in lower case, if the sender has them. */
  readonly headers: SchemeHeaders;
  /** The key of a secret. Throws a `TypeError` for a secret that cannot be one. The error does not contain it. */
  keyOf(secret: string): Uint8Array;
  /** The credentials, if they are there, well-formed and recent. */
  checkHead(head: Head, toleranceSeconds: number, nowMs: number): Credentials | Refusal;
  /** Finds the key that the proof was made with. Tries every key, so that timing reveals nothing. */
  findKey(keys: readonly SigningKey[], credentials: Credentials, body: Uint8Array): SigningKey | undefined;
  /** The refusal if no key is found. */
  readonly mismatch: Refusal;
  /** What a sender adds to a request. */
  signFor(body: string, key: SigningKey, details: Details): Proof;
}

export interface SchemeHeaders {
  /** Its presence shows that a request is a delivery. */
  readonly signature?: string | undefined;
  readonly attempt?: string | undefined;
  /** A copy of the event id that must equal the signed one. */
  readonly id?: string | undefined;
}

/** What a scheme reads of a request. */
export interface Head {
  /** The request target, or the whole URL. */
  readonly url: string;
  /** A header by its lower-case name. The values of a repeated header are joined by commas. */
  header(name: string): string | undefined;
}

/** What a request shows for its sender. It is well-formed, and nothing is verified yet. */
export interface Credentials {
  readonly reason?: undefined;
  /** When it was signed: Unix seconds, as in the header. Undefined if the time is not signed. */
  readonly timestamp: string | undefined;
  /** The signatures as the scheme writes them, or the token. */
  readonly proof: string;
  /** An id that the signature covers, in a header of this name. */
  readonly id?: { readonly header: string; readonly value: string };
}

/** Why a request is not a delivery. */
export interface Refusal {
  readonly reason: SignatureReason;
  readonly message: string;
}

export interface SigningKey {
  readonly label?: string | undefined;
  /** The secret, ready for `createHmac`, which is faster with it than with a string. */
  readonly key: KeyObject;
  /** SHA-256 of the secret, for tokens. */
  readonly hash: Buffer;
}

/** What a sender knows of a delivery that it signs. */
export interface Details {
  /** Unix seconds. */
  readonly timestamp: number;
  readonly attempt: number;
  /** Undefined if the event has none. */
  readonly id: string | undefined;
}

export interface Proof {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The query of the URL, with its `?`. Otherwise empty. */
  readonly search: string;
}

/** The key whose digest is among the claimed ones. All digests have one length. */
export function keyWithDigest(
  keys: readonly SigningKey[],
  claimed: readonly Buffer[],
  digestOf: (key: KeyObject) => Buffer,
): SigningKey | undefined {
  let found: SigningKey | undefined;
  for (const key of keys) {
    const digest = digestOf(key.key);
    for (const claim of claimed) if (timingSafeEqual(digest, claim)) found ??= key;
  }
  return found;
}

/** Node.js joins repeated headers with a comma, so that a repeated timestamp is malformed. */
export const timestampPattern = /^[0-9]{1,15}$/;

/** Why a signed timestamp is refused. Undefined for a recent one. */
export function refusalOfTime(
  timestamp: string | undefined,
  toleranceSeconds: number,
  nowMs: number,
): Refusal | undefined {
  if (timestamp === undefined) return { reason: 'missing_timestamp', message: 'the timestamp header is missing' };
  if (!timestampPattern.test(timestamp)) {
    return { reason: 'malformed_timestamp', message: 'the timestamp header is not a number of Unix seconds' };
  }
  const ageSeconds = Math.floor(nowMs / 1000) - Number(timestamp);
  // Written so that a clock that gives NaN refuses.
  if (!(ageSeconds <= toleranceSeconds)) {
    const message = `signed ${ageSeconds} s ago, more than ${toleranceSeconds} s: check this clock`;
    return { reason: 'stale_timestamp', message };
  }
  if (!(-ageSeconds <= toleranceSeconds)) {
    const message = `signed ${-ageSeconds} s from now, more than ${toleranceSeconds} s: check this clock`;
    return { reason: 'future_timestamp', message };
  }
  return undefined;
}

export const missingSignature: Refusal = {
  reason: 'missing_signature',
  message: 'the signature header is missing',
};

export const signatureMismatch: Refusal = {
  reason: 'signature_mismatch',
  message:
    'no secret matches: another secret, or a body that was changed on its way (compressed, re-encoded, parsed and printed again)',
};

/** The check of an option that names a header. */
export const headerName: Check = [
  (value) => typeof value === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(value),
  "the name of a header, such as 'x-acme-signature'",
];
