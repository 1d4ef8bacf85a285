import { Buffer } from 'node:buffer';
import { createHmac, type KeyObject, randomUUID } from 'node:crypto';
import { type Check, checkOptions } from '../util/check-options.js';
import {
  type Credentials,
  type Details,
  type Head,
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

/** Options of `standardWebhooks`. */
export interface StandardWebhooksOptions {
  /** Beginning of the three headers' names. Default: `webhook`. `svix` for senders that use Svix's older names. */
  readonly prefix?: 'webhook' | 'svix';
}

const prefixCheck: Check = [(value) => value === 'webhook' || value === 'svix', "'webhook' or 'svix'"];

/**
 * Standard Webhooks with a shared secret: HMAC-SHA256 in base64 over `<id>.<timestamp>.<raw body>`, several signatures
 * while the sender rotates its secret. The secret is `whsec_` and base64. `webhook-id` is signed, and so the default id.
 * Source: standardwebhooks.com, specification 1.0. Throws a `TypeError` for an invalid option.
 */
export function standardWebhooks(options: StandardWebhooksOptions = {}): Scheme<true> {
  checkOptions(options, { prefix: prefixCheck }, 'standardWebhooks');
  return new StandardWebhooks(options.prefix ?? 'webhook');
}

/** A text of which a part is missing is none, mostly. The padding may be left out. */
const secretPattern = /^whsec_((?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}(?:==)?|[A-Za-z\d+/]{3}=?)?)$/;

/** The key in `whsec_` and the base64 of 24 to 64 bytes. Undefined for anything else. */
export function standardKey(secret: string): Buffer | undefined {
  const [, base64] = secretPattern.exec(secret) ?? [];
  const key = Buffer.from(base64 ?? '', 'base64');
  return key.length >= 24 && key.length <= 64 ? key : undefined;
}

/** The signature without its `v1,`. */
export function standardDigest(
  key: KeyObject | Uint8Array,
  id: string,
  timestamp: number | string,
  body: string | Uint8Array,
): string {
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
}

const idPattern = /^[!-+\--~]{1,255}$/;
const signaturesPattern = /^[a-z\d]+,[\w+/=-]+(?: [a-z\d]+,[\w+/=-]+)*$/;
const digestPattern = /^v1,[A-Za-z0-9+/]{43}=$/;

class StandardWebhooks implements WorkingScheme<true> {
  readonly signsBody = true;
  readonly signsTime = true;
  readonly headers: SchemeHeaders;
  readonly mismatch = signatureMismatch;
  readonly #id: string;
  readonly #timestamp: string;
  readonly #signature: string;

  constructor(prefix: string) {
    this.#id = `${prefix}-id`;
    this.#timestamp = `${prefix}-timestamp`;
    this.#signature = `${prefix}-signature`;
    this.headers = { signature: this.#signature };
  }

  keyOf(secret: string): Uint8Array {
    const key = standardKey(secret);
    if (key !== undefined) return key;
    throw new TypeError(
      /^wh[sp]k_/.test(secret)
        ? 'the secret is a key for asymmetric signatures, which are not accepted: use the sender\'s secret that begins with "whsec_"'
        : 'the secret must be whsec_ and the base64 of 24 to 64 bytes, as the sender shows it: put whsec_ before base64 that is shown without it',
    );
  }

  checkHead(head: Head, toleranceSeconds: number, nowMs: number): Credentials | Refusal {
    const signatures = head.header(this.#signature);
    const id = head.header(this.#id);
    const timestamp = head.header(this.#timestamp);
    if (signatures === undefined) return missingSignature;
    if (id === undefined) return { reason: 'missing_signature', message: `the signed header ${this.#id} is missing` };
    // A header that came twice has a comma and a space in it.
    if (!idPattern.test(id)) {
      return { reason: 'malformed_signature', message: `the signed header ${this.#id} is not an id` };
    }
    const proofs = signaturesPattern.test(signatures) ? signatures.split(' ').filter((s) => digestPattern.test(s)) : [];
    // Other versions may stand beside v1. Only v1 has a shared secret.
    if (proofs.length === 0) {
      return { reason: 'malformed_signature', message: 'the signature header has no v1, and the base64 of 32 bytes' };
    }
    const refusal = refusalOfTime(timestamp, toleranceSeconds, nowMs);
    return refusal ?? { timestamp, proof: proofs.join(' '), id: { header: this.#id, value: id } };
  }

  findKey(
    keys: readonly SigningKey[],
    { timestamp = '', proof, id }: Credentials,
    body: Uint8Array,
  ): SigningKey | undefined {
    const claimed = proof.split(' ').map((signature) => Buffer.from(signature.slice('v1,'.length)));
    return keyWithDigest(keys, claimed, (key) => Buffer.from(standardDigest(key, id?.value ?? '', timestamp, body)));
  }

  signFor(body: string, { key }: SigningKey, { timestamp, id = `msg_${randomUUID()}` }: Details): Proof {
    const headers = {
      [this.#id]: id,
      [this.#timestamp]: String(timestamp),
      [this.#signature]: `v1,${standardDigest(key, id, timestamp, body)}`,
    };
    return { headers, search: '' };
  }
}
