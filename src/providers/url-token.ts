import { Buffer } from 'node:buffer';
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Check, checkOptions } from '../util/check-options.js';
import type { Credentials, Head, Proof, Refusal, Scheme, SchemeHeaders, SigningKey, WorkingScheme } from './scheme.js';

/** Options of `urlToken`. */
export interface UrlTokenOptions {
  /** Name of the query's parameter: `token` for `?token=...`. */
  readonly parameter: string;
}

const parameterCheck: Check = [
  (value) => typeof value === 'string' && /^[\w.~-]+$/.test(value),
  "the name of a parameter of the URL's query, such as 'token'",
];

/**
 * A token in the query of the registered URL, for a sender that signs nothing. The secret is the token. Its deliveries
 * are not verified: anyone who sees the URL can write one. Throws a `TypeError` for an invalid option.
 */
export function urlToken(options: UrlTokenOptions): Scheme<false> {
  checkOptions(options, { parameter: parameterCheck }, 'urlToken');
  if (options.parameter === undefined) throw new TypeError("urlToken: give parameter: 'token'");
  return new UrlToken(options.parameter);
}

class UrlToken implements WorkingScheme<false> {
  readonly signsBody = false;
  readonly signsTime = false;
  readonly headers: SchemeHeaders = {};
  readonly mismatch: Refusal = { reason: 'token_mismatch', message: 'no token matches the one in the URL' };
  readonly #parameter: string;

  constructor(parameter: string) {
    this.#parameter = parameter;
  }

  keyOf(secret: string): Uint8Array {
    return Buffer.from(secret);
  }

  checkHead({ url }: Head): Credentials | Refusal {
    const [proof, ...others] = valuesOf(url, this.#parameter);
    if (proof === undefined) {
      const message = `the URL has no ?${this.#parameter}=: is it the one that was registered?`;
      return { reason: 'missing_token', message };
    }
    return others.length > 0 ? this.mismatch : { timestamp: undefined, proof };
  }

  /** Compares hashes, so that timing reveals neither content nor length. */
  findKey(keys: readonly SigningKey[], { proof }: Credentials): SigningKey | undefined {
    const hash = createHash('sha256').update(proof).digest();
    let found: SigningKey | undefined;
    for (const key of keys) {
      if (timingSafeEqual(key.hash, hash)) found ??= key;
    }
    return found;
  }

  signFor(_body: string, { key }: SigningKey): Proof {
    return { headers: {}, search: `?${this.#parameter}=${encodeURIComponent(key.export().toString())}` };
  }
}

/** Not as a form's: a `+` in a token that somebody registered unencoded is no space. */
function valuesOf(target: string, parameter: string): string[] {
  const [, query = ''] = /^[^?#]*\?([^#]*)/.exec(target) ?? [];
  return query
    .split('&')
    .filter((pair) => pair.startsWith(`${parameter}=`))
    .map((pair) => decode(pair.slice(parameter.length + 1)));
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
