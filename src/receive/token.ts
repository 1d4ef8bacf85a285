import { createHash, timingSafeEqual } from 'node:crypto';
import { WebhookError } from '../contracts/errors.js';
import type { SigningKey } from './secrets.js';

/** The token of an unsigned request. Nothing is verified yet. */
export interface Token {
  readonly token: string;
}

/** Reads the token in the query of a request target. Throws `invalid_signature` unless there is exactly one. */
export function checkToken(target: string, parameter: string): Token {
  const [token, ...others] = valuesOf(target, parameter);
  if (token === undefined) {
    throw new WebhookError('invalid_signature', `the URL has no ?${parameter}=: is it the one that was registered?`, {
      reason: 'missing_token',
    });
  }
  if (others.length > 0) throw tokenMismatch();
  return { token };
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

/** Finds the token's key. Tries all keys and compares hashes, so that timing reveals neither content nor length. */
export function findToken(keys: readonly SigningKey[], { token }: Token): SigningKey | undefined {
  const hash = createHash('sha256').update(token).digest();
  let found: SigningKey | undefined;
  for (const key of keys) {
    if (timingSafeEqual(key.hash, hash)) found ??= key;
  }
  return found;
}

export function tokenMismatch(): WebhookError {
  return new WebhookError('invalid_signature', 'no token matches the one in the URL', { reason: 'token_mismatch' });
}
