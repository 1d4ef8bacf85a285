import type { NamedSecret } from '../secrets/candidates.js';
import { asGiven, type Variant, variant } from './variant.js';

/** The keys that may have been meant by a secret. */
export function* secretVariants({ from, value }: NamedSecret): Iterable<Variant<Buffer>> {
  yield asGiven(Buffer.from(value));
  const trimmed = value.replace(/^\uFEFF/, '').trim();
  if (trimmed !== value) {
    const what = /[\r\n]/.test(value) ? 'a newline' : 'white space';
    yield variant(
      Buffer.from(trimmed),
      'white_space_in_secret',
      `there is ${what} around the secret (${from})`,
      "trim it where it is read, or write it without: printf '%s', not echo",
    );
  }
  const unquoted = trimmed.replace(/^(["'`])(.*)\1$/s, '$2').trim();
  if (unquoted !== trimmed) {
    yield variant(
      Buffer.from(unquoted),
      'quotes_in_secret',
      `there are quotes around the secret (${from}), and they have become a part of it`,
      'take them away: docker --env-file and many consoles take them literally',
    );
  }
  const plain = unquoted.replace(/\\[rn]/g, '').replace(/\s+/g, '');
  if (plain !== unquoted) {
    yield variant(
      Buffer.from(plain),
      'white_space_in_secret',
      `there is white space or \\n within the secret (${from})`,
      'copy it again, in one piece',
    );
  }
  if (plain.startsWith('whsec_')) {
    const rest = plain.slice('whsec_'.length);
    for (const key of [Buffer.from(rest), Buffer.from(rest, 'base64')]) {
      yield variant(
        key,
        'secret_prefix',
        `the secret (${from}) begins with whsec_, the form of other senders, and the key was what follows`,
        'give the secret as Vast.ai shows it',
      );
    }
  } else {
    yield variant(
      Buffer.from(`whsec_${plain}`),
      'secret_prefix',
      `the secret (${from}) lacks its whsec_, which is a part of the key: this is not a delivery of Vast.ai`,
      'give the secret whole, as its service shows it',
    );
  }
  if (/^[\da-f]{32,}$/i.test(plain) && plain.length % 2 === 0) {
    yield variant(
      Buffer.from(plain, 'hex'),
      'decoded_secret',
      `the signer has decoded the secret (${from}) from hex`,
      'use its text as the key: Vast.ai does',
    );
    const other = plain === plain.toLowerCase() ? plain.toUpperCase() : plain.toLowerCase();
    yield variant(Buffer.from(other), 'secret_case', `the secret (${from}) is in the wrong case`, 'copy it again');
  }
}
