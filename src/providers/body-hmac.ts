import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';
import { type Check, checkOptions } from '../util/check-options.js';
import {
  type Credentials,
  type Head,
  headerName,
  keyWithDigest,
  missingSignature,
  type Proof,
  type Refusal,
  type Scheme,
  type SchemeHeaders,
  type SigningKey,
  signatureMismatch,
  type WorkingScheme,
} from './scheme.js';

/** Options of `bodyHmac`. */
export interface BodyHmacOptions {
  /** Name of the header with the signature, in any case: `x-hub-signature-256`. */
  readonly header: string;
  /** What stands before the signature. Default: `sha256=`. Empty for a sender that writes the signature alone. */
  readonly prefix?: string;
  /** How the sender writes the signature: `hex` in lower case, or `base64`. Default: `hex`. */
  readonly encoding?: 'hex' | 'base64';
}

const prefixCheck: Check = [
  (value) => typeof value === 'string' && /^[!-~]{0,64}$/.test(value) && !/sha-?(?:1|224|384|512)|md5/i.test(value),
  "what stands before an HMAC-SHA256, such as 'sha256=' or ''",
];
const encodingCheck: Check = [(value) => value === 'hex' || value === 'base64', "'hex' or 'base64'"];

/**
 * A signature over the raw body alone: HMAC-SHA256, with the secret's text as its key. GitHub signs so. The time is not
 * signed, so there is no window: a recorded delivery is refused as a duplicate for as long as its event is remembered
 * (`completedTtlMs`), and only by its body or by an id in it. Throws a `TypeError` for an invalid option.
 */
export function bodyHmac(options: BodyHmacOptions): Scheme<true> {
  checkOptions(options, { header: headerName, prefix: prefixCheck, encoding: encodingCheck }, 'bodyHmac');
  const { header, prefix = 'sha256=', encoding = 'hex' } = options;
  if (header === undefined) throw new TypeError("bodyHmac: give header: 'x-hub-signature-256'");
  if (header.toLowerCase() === 'x-hub-signature') {
    throw new TypeError("bodyHmac: x-hub-signature is an HMAC-SHA1, which is not accepted: use 'x-hub-signature-256'");
  }
  return new BodyHmac(header.toLowerCase(), prefix, encoding);
}

const digestPatterns = { hex: /^[0-9a-f]{64}$/, base64: /^[A-Za-z0-9+/]{43}=$/ } as const;
const forms = { hex: '64 lower-case hex digits', base64: 'the base64 of 32 bytes' } as const;

class BodyHmac implements WorkingScheme<true> {
  readonly signsBody = true;
  readonly signsTime = false;
  readonly headers: SchemeHeaders;
  readonly mismatch = signatureMismatch;
  readonly #header: string;
  readonly #prefix: string;
  readonly #encoding: 'hex' | 'base64';

  constructor(header: string, prefix: string, encoding: 'hex' | 'base64') {
    this.#header = header;
    this.#prefix = prefix;
    this.#encoding = encoding;
    this.headers = { signature: header };
  }

  keyOf(secret: string): Uint8Array {
    return Buffer.from(secret);
  }

  checkHead(head: Head): Credentials | Refusal {
    const signature = head.header(this.#header);
    if (signature === undefined) return missingSignature;
    const proof = signature.slice(this.#prefix.length);
    // Node.js joins repeated headers with a comma, which no pattern allows.
    if (!signature.startsWith(this.#prefix) || !digestPatterns[this.#encoding].test(proof)) {
      const form = [this.#prefix, forms[this.#encoding]].filter(Boolean).join(' and ');
      return { reason: 'malformed_signature', message: `the signature header is not ${form}` };
    }
    return { timestamp: undefined, proof };
  }

  findKey(keys: readonly SigningKey[], { proof }: Credentials, body: Uint8Array): SigningKey | undefined {
    return keyWithDigest(keys, [Buffer.from(proof)], (key) =>
      Buffer.from(createHmac('sha256', key).update(body).digest(this.#encoding)),
    );
  }

  signFor(body: string, { key }: SigningKey): Proof {
    const digest = createHmac('sha256', key).update(body).digest(this.#encoding);
    return { headers: { [this.#header]: this.#prefix + digest }, search: '' };
  }
}
