import { parseTime } from '../shared/capture.js';
import { asGiven, type Cause, type Variant, variant } from './variant.js';

/** The digests, in hex, that a signature header may have meant. */
export function signatureVariants(given: string): readonly Variant<string>[] {
  if (/^sha256=[0-9a-f]{64}$/.test(given)) return [asGiven(given.slice('sha256='.length))];
  const parts = given.split(/[\s,]+/).filter((part) => part !== '');
  return parts.flatMap((part): Variant<string>[] => {
    const value = part.replace(/^["']|["']$/g, '');
    const bare = value.replace(/^(sha256|v1)[=:,]/i, '');
    const digest = /^[0-9a-f]{64}$/i.test(bare) ? bare.toLowerCase() : base64Digest(bare);
    if (digest === undefined) return [];
    const causes: Cause[] = [];
    if (parts.length > 1) causes.push(duplicated);
    else if (value !== given) causes.push(surrounded);
    if (base64Digest(bare)) causes.push(inBase64);
    else if (bare !== digest) causes.push(upperCase);
    if (!value.startsWith('sha256=')) causes.push(unprefixed);
    return [{ value: digest, causes }];
  });
}

function base64Digest(text: string): string | undefined {
  return /^[\w+/-]{43}=?$/.test(text) ? Buffer.from(text, 'base64').toString('hex') : undefined;
}

const asSent = 'pass the header on as it was sent: sha256= and 64 lower-case hex digits';
const duplicated: Cause = {
  code: 'duplicated_signature',
  cause: 'the signature header holds several values',
  cure: 'look for the proxy that adds a header in place of passing it on',
};
const surrounded: Cause = {
  code: 'malformed_signature',
  cause: 'there are quotes or white space around the signature header',
  cure: asSent,
};
const inBase64: Cause = {
  code: 'malformed_signature',
  cause: 'the signature is in base64, and the middleware takes hex',
  cure: 'sign with digest("hex"): Vast.ai does',
};
const upperCase: Cause = {
  code: 'uppercase_signature',
  cause: 'the signature is in upper-case hex, and the middleware takes lower case',
  cure: asSent,
};
const unprefixed: Cause = {
  code: 'signature_prefix',
  cause: 'the signature lacks its sha256= in front',
  cure: asSent,
};

/** What may have stood before the body when it was signed: a time and a full stop, or nothing. */
export interface Head {
  readonly text: string;
  /** Unix seconds, where it has a time. */
  readonly seconds?: number;
}

export function timestampVariants(given: string | undefined): readonly Variant<Head>[] {
  const alone: Variant<Head> = variant(
    { text: '', seconds: given === undefined ? undefined : secondsOf(given) },
    'timestamp_not_signed',
    'the body alone was signed, without the timestamp before it',
    'sign the timestamp header, a full stop and the body',
  );
  if (given === undefined) return [alone];
  const seconds = secondsOf(given);
  const isWellFormed = /^[0-9]{1,15}$/.test(given);
  const asIs: Variant<Head> = { value: { text: `${given}.`, seconds }, causes: [] };
  if (isWellFormed && Number(given) < 1e11) return [asIs, alone];
  const milliseconds = 'the timestamp is in milliseconds';
  const signed = isWellFormed
    ? variant(
        asIs.value,
        'milliseconds',
        `${milliseconds}, and was signed so`,
        'sign with Math.floor(Date.now() / 1000)',
      )
    : variant(asIs.value, 'malformed_timestamp', malformed, inSeconds);
  if (seconds === undefined) return [signed, alone];
  const head = { text: `${seconds}.`, seconds };
  const meant = isWellFormed
    ? variant(
        head,
        'milliseconds',
        `${milliseconds}, and was sent in seconds`,
        'pass it on as it was sent, in Unix seconds',
      )
    : variant(head, 'malformed_timestamp', malformed, inSeconds);
  return [signed, meant, alone];
}

const malformed = 'the timestamp header is not a whole number of Unix seconds';
const inSeconds = 'pass it on as it was sent: Unix seconds, in digits and nothing else';

function secondsOf(text: string): number | undefined {
  const ms = parseTime(text.trim().replace(/^["']|["']$/g, ''));
  return ms === undefined ? undefined : Math.floor(ms / 1000);
}
