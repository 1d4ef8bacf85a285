import type { WebhookError } from '../contracts/errors.js';
import type { SigningKey } from './secrets.js';

/** What a scheme reads of a request. */
export interface Head {
  /** The request target, or the whole URL. */
  readonly url: string;
  /** A header by its lower-case name. The values of a repeated header are joined by commas. */
  header(name: string): string | undefined;
}

/** What a request shows for its sender. It is well-formed, and nothing is verified yet. */
export interface Credentials {
  /** When it was signed: Unix seconds, as in the header. Undefined if nothing is signed. */
  readonly timestamp: string | undefined;
  /** The signature in hex, or the token. */
  readonly proof: string;
}

/** How a sender proves that a delivery is its own: with a signature, or with a token in the URL. */
export interface Scheme {
  /** Whether the proof covers the body. If not, the key can be found before the body is read. */
  readonly signsBody: boolean;
  /** Throws `invalid_signature` unless the credentials are there, well-formed and recent. */
  checkHead(head: Head, toleranceSeconds: number, nowMs: number): Credentials;
  /** Finds the key that the proof was made with. Tries every key, so that timing reveals nothing. */
  findKey(keys: readonly SigningKey[], credentials: Credentials, body: Uint8Array): SigningKey | undefined;
  /** The error if no key is found. */
  mismatch(): WebhookError;
  /** What a sender adds to a request: headers with lower-case names, and the query of the URL. */
  signFor(body: string, secret: string, timestamp: number): Proof;
}

export interface Proof {
  readonly headers: Readonly<Record<string, string>>;
  /** With its `?`. Otherwise empty. */
  readonly search: string;
}
