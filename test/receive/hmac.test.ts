import crypto from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { hmacWith } from '../../src/receive/hmac.js';

const { hash } = crypto;

afterEach(() => {
  crypto.hash = hash;
});

describe.each([
  ['where the one-shot hash exists', hash],
  ['where it does not, before Node 20.12', undefined],
])('HMAC-SHA256 %s', (_where, available) => {
  it('is what createHmac gives, for keys around the block size and bodies of any size', () => {
    crypto.hash = available as typeof hash;
    const secret = fc.oneof(
      fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' }),
      fc.integer({ min: 62, max: 66 }).map((length) => 'k'.repeat(length)),
    );
    const body = fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.uint8Array({ minLength: 4_000, maxLength: 9_000 }));
    const check = (secret: string, timestamp: number, body: Uint8Array) => {
      const expected = crypto.createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex');
      const hmac = hmacWith(secret);
      // Twice, since it keeps what it hashes in one place.
      expect([hmac.digest(`${timestamp}.`, body), hmac.digest(`${timestamp}.`, body)]).toEqual([expected, expected]);
    };
    fc.assert(fc.property(secret, fc.nat(), body, check), { numRuns: 300 });
  });
});
