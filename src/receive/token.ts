import { createHash, timingSafeEqual } from 'node:crypto';
import { WebhookError } from '../contracts/errors.js';
import type { Credentials, Head, Proof, Scheme } from './scheme.js';
import type { SigningKey } from './secrets.js';

/** A token in the query of the registered URL. Nothing is signed. */
export class TokenScheme implements Scheme {
  readonly signsBody = false;
  readonly #parameter: string;

  constructor(parameter: string) {
    this.#parameter = parameter;
  }

  checkHead({ url }: Head): Credentials {
    const [proof, ...others] = valuesOf(url, this.#parameter);
    if (proof === undefined) {
      throw new WebhookError(
        'invalid_signature',
        `the URL has no ?${this.#parameter}=: is it the one that was registered?`,
        { reason: 'missing_token' },
      );
    }
    if (others.length > 0) throw this.mismatch();
    return { timestamp: undefined, proof };
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

  mismatch(): WebhookError {
    return new WebhookError('invalid_signature', 'no token matches the one in the URL', { reason: 'token_mismatch' });
  }

  signFor(_body: string, secret: string): Proof {
    return { headers: {}, search: `?${this.#parameter}=${encodeURIComponent(secret)}` };
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
