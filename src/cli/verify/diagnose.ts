import { createHmac } from 'node:crypto';
import type { NamedSecret } from '../secrets/candidates.js';
import type { Capture } from '../shared/capture.js';
import { bodyVariants } from './body-variants.js';
import { type Head, signatureVariants, timestampVariants } from './header-variants.js';
import { secretVariants } from './secret-variants.js';
import type { Cause, Variant } from './variant.js';

export interface Diagnosis {
  /** Whether the middleware takes it, apart from its age when nobody kept when it arrived. */
  readonly verifies: boolean;
  /** What is wrong, in the order in which to look at it. */
  readonly causes: readonly Cause[];
  /** What is worth knowing besides. */
  readonly notes: readonly string[];
  /** When it was signed, in Unix seconds. */
  readonly signedAt?: number;
}

export interface Question {
  readonly capture: Capture;
  /** At first those that were given; when another one fits, the cause is that it was the wrong one. */
  readonly secrets: readonly [NamedSecret, ...NamedSecret[]];
  readonly apiKey?: string;
  readonly toleranceSeconds: number;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

const signatureHeader = 'x-vast-signature-256';
const timestampHeader = 'x-vast-timestamp';

/** Finds what has to be undone for a captured request to verify. */
export function diagnose(question: Question): Diagnosis {
  const { headers } = question.capture;
  const signature = headers.get(signatureHeader);
  const timestamp = headers.get(timestampHeader);
  if (signature === undefined) return failed([missingSignature(headers), ...missingTimestamp(timestamp)]);
  const digests = signatureVariants(signature);
  if (digests.length === 0) {
    return failed([malformedSignature(signature), ...missingTimestamp(timestamp)]);
  }
  const heads = timestampVariants(timestamp);
  const match = findMatch(question, digests, heads);
  const seconds = match ? match.head.seconds : heads[0]?.value.seconds;
  const time = judgeTime(question, seconds);
  const causes = match
    ? [...missingTimestamp(timestamp), ...match.causes, ...time.causes]
    : [...missingTimestamp(timestamp), ...suspicions(question), ...time.causes];
  return { verifies: causes.length === 0, causes: unique(causes), notes: time.notes, signedAt: seconds };
}

function failed(causes: readonly Cause[]): Diagnosis {
  return { verifies: false, causes, notes: [] };
}

function unique(causes: readonly Cause[]): readonly Cause[] {
  return causes.filter(({ code }, index) => causes.findIndex((each) => each.code === code) === index);
}

interface Match {
  readonly head: Head;
  readonly causes: readonly Cause[];
}

/** The way to make it verify that takes the fewest causes. */
function findMatch(
  { capture, secrets }: Question,
  digests: readonly Variant<string>[],
  heads: readonly Variant<Head>[],
): Match | undefined {
  const keys = secrets.flatMap((secret) =>
    [...secretVariants(secret)].map((key) => (secret.isGiven ? key : otherSecret(key, secret, secrets[0]))),
  );
  let best: Match | undefined;
  for (const body of bodyVariants(capture.body, capture.isParsed)) {
    for (const key of keys) {
      for (const head of heads) {
        const known = [...body.causes, ...key.causes, ...head.causes];
        if (best && known.length >= best.causes.length) continue;
        const found = createHmac('sha256', key.value).update(head.value.text).update(body.value).digest('hex');
        const digest = digests.find(({ value }) => value === found);
        if (digest === undefined) continue;
        const causes = [...digest.causes, ...known];
        if (best === undefined || causes.length < best.causes.length) best = { head: head.value, causes };
        if (causes.length === 0) return best;
      }
    }
  }
  return best;
}

function otherSecret({ value, causes }: Variant<Buffer>, right: NamedSecret, wrong: NamedSecret): Variant<Buffer> {
  const cause = {
    code: 'other_secret',
    cause: `it was signed with the secret in ${right.from}, and checked with the one in ${wrong.from}`,
    cure: `use ${right.from} for this webhook; each webhook has a secret of its own`,
  };
  return { value, causes: [cause, ...causes] };
}

/** Where nothing fits: what is seen to be wrong, and else the secret. */
function suspicions({ capture, secrets: [secret], apiKey }: Question): readonly Cause[] {
  const { headers, body } = capture;
  const text = body.toString();
  const causes: Cause[] = [];
  const length = headers.get('content-length');
  const encoding = headers.get('content-encoding');
  if (body.length === 0) {
    causes.push({
      code: 'empty_body',
      cause: 'the body is empty, and an event never is',
      cure: 'look for the body parser that has read it before: put the middleware before it, and capture the raw bytes',
    });
  } else if (text.includes('\uFFFD')) {
    causes.push({
      code: 'undecodable_body',
      cause: 'the body holds U+FFFD (�): decoding has destroyed bytes of it, which cannot be had back',
      cure: 'capture it as bytes, never as text: a Buffer, express.raw(), curl -o',
    });
  } else if (encoding !== undefined && encoding !== 'identity') {
    causes.push({
      code: 'content_encoding',
      cause: `the request came compressed (Content-Encoding: ${encoding}), and the bytes that were signed are not these`,
      cure: 'have the proxy in front leave request bodies alone, and verify the bytes as sent',
    });
  } else if (length !== undefined && Number(length) !== body.length) {
    causes.push({
      code: 'body_length',
      cause: `the body has ${body.length} bytes, and Content-Length said ${length}`,
      cure: 'capture the whole body, as bytes',
    });
  }
  return [...causes, secretSuspicion(secret, apiKey)];
}

function secretSuspicion({ from, value }: NamedSecret, apiKey: string | undefined): Cause {
  const again =
    'rotate the secret (vast-webhook rotate-secret), which writes the new one down, and restart the service';
  if (apiKey !== undefined && value.trim() === apiKey.trim()) {
    return { code: 'wrong_secret', cause: `the secret (${from}) is the API key`, cure: again };
  }
  if (/^\s*https?:/.test(value)) {
    return { code: 'wrong_secret', cause: `the secret (${from}) is a URL`, cure: again };
  }
  if (value.trim().startsWith('whsec_')) {
    return {
      code: 'secret_prefix',
      cause: `the secret (${from}) begins with whsec_: it is another service's, and Vast.ai's have no such prefix`,
      cure: 'use the secret that Vast.ai gave for this webhook',
    };
  }
  return {
    code: 'wrong_secret',
    cause: `no way to read the request fits the secret (${from}): it is another webhook's, or was rotated, or the body was changed`,
    cure: `compare it with the webhook's. It is shown only once, so if in doubt ${again}`,
  };
}

function missingSignature(headers: ReadonlyMap<string, string>): Cause {
  if (headers.has('x-shodai-webhook-signature')) {
    return {
      code: 'other_provider',
      cause: "it is Shodai's, not Vast.ai's: it has an X-Shodai-Webhook-Signature",
      cure: 'receive it with vast-webhook/shodai',
    };
  }
  const other = [...headers.keys()].find((name) => /signature/.test(name));
  return {
    code: 'missing_signature',
    cause: `there is no X-Vast-Signature-256 header${other ? `, but ${other}` : ''}`,
    cure: 'it is not from Vast.ai, or a proxy (or the capture) drops X- headers: let them through',
  };
}

function missingTimestamp(timestamp: string | undefined): readonly Cause[] {
  if (timestamp !== undefined) return [];
  return [
    {
      code: 'missing_timestamp',
      cause: 'there is no X-Vast-Timestamp header, which is signed together with the body',
      cure: 'a proxy (or the capture) drops X- headers: let them through',
    },
  ];
}

function malformedSignature(signature: string): Cause {
  const digits = signature.replace(/^sha256=/i, '').length;
  return {
    code: 'malformed_signature',
    cause: `the signature header is not sha256= and 64 hex digits: there are ${digits} characters in their place`,
    cure: 'it was cut, or is another kind of signature: pass the header on as it was sent',
  };
}

function judgeTime(
  { capture, toleranceSeconds, nowMs }: Question,
  seconds: number | undefined,
): Pick<Diagnosis, 'causes' | 'notes'> {
  if (seconds === undefined) return { causes: [], notes: [] };
  const age = Math.floor((capture.receivedAt ?? nowMs) / 1000) - seconds;
  if (age < -toleranceSeconds) {
    const cause = `it was signed ${-age} s later than ${capture.receivedAt === undefined ? 'now' : 'it arrived'}: this clock is behind`;
    return { causes: [{ code: 'future_timestamp', cause, cure: ntp }], notes: [] };
  }
  if (age <= toleranceSeconds) return { causes: [], notes: [] };
  if (capture.receivedAt !== undefined) {
    const cause = `it arrived ${age} s after it was signed, more than ${toleranceSeconds} s: the clock there is ahead, or it was held up or replayed`;
    return { causes: [{ code: 'stale_timestamp', cause, cure: ntp }], notes: [] };
  }
  const note = `It was signed ${age} s ago. A stored request is always stale after ${toleranceSeconds} s, so its age was left out; with --received-at it is judged, too.`;
  return { causes: [], notes: [note] };
}

const ntp = 'set the clock by NTP (timedatectl set-ntp true) on the machine that received it';
