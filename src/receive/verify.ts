import { Buffer } from 'node:buffer';
import { createHash, randomUUID } from 'node:crypto';
import type { ReceivedDelivery, VerifiedDelivery } from '../contracts/delivery.js';
import { toError, WebhookError } from '../contracts/errors.js';
import { noHeaders, type Provider, type SenderHeaders, schemeOf } from '../providers/provider.js';
import type { Credentials, Head, Refusal, SigningKey, WorkingScheme } from '../providers/scheme.js';
import { type VastEvent, vast } from '../providers/vast.js';
import { keepNewest } from '../util/keep-newest.js';
import { type RawBody, toBuffer, unavailable } from './body.js';
import { type SecretList, signingKeys } from './secrets.js';
import { defaultToleranceSeconds } from './signature.js';

const byteOrderMark = '\uFEFF';
const replacement = '\uFFFD';
const lostBytes =
  'a body parser has decoded the raw body, and bytes that are not UTF-8 were lost: put the middleware before the parser';
const unusable = /[\p{Cc}\p{Cs}]/u;

/** The key that signed a body, and the bytes that it signed. */
export interface Signed {
  readonly key: SigningKey;
  readonly bytes: Buffer;
}

/** A genuine request. Its body may still be unusable. */
export interface VerifiedRequest extends Signed {
  readonly credentials: Credentials;
  /** The request's headers, of which only those in the credentials are signed. */
  readonly head: Head;
  /** Unix milliseconds. */
  readonly receivedAt: number;
}

export function refused({ reason, message }: Refusal): WebhookError {
  return new WebhookError('invalid_signature', message, { reason });
}

/**
 * Finds the key that the request was made with. Text that a parser decoded may have lost its byte-order mark, or bytes
 * that are not UTF-8. The latter looks like a forgery, so it throws `raw_body_unavailable`.
 */
export function findSigned(
  scheme: WorkingScheme,
  keys: readonly SigningKey[],
  credentials: Credentials,
  body: RawBody,
): Signed | undefined {
  if (typeof body !== 'string') {
    const key = scheme.findKey(keys, credentials, body);
    return key && { key, bytes: body };
  }
  for (const text of [body, byteOrderMark + body]) {
    const bytes = Buffer.from(text);
    const key = scheme.findKey(keys, credentials, bytes);
    if (key !== undefined) return { key, bytes };
  }
  if (scheme.signsBody && body.includes(replacement)) throw unavailable(lostBytes);
  return undefined;
}

/** The event in a genuine body. Throws `invalid_json` or `invalid_payload`. */
export function parseEvent(bytes: Buffer): object {
  let event: unknown;
  try {
    const text = bytes.toString('utf8');
    event = parseJson(text.startsWith(byteOrderMark) ? text.slice(1) : text);
  } catch {
    throw new WebhookError('invalid_json', 'the body is genuine, but not JSON');
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw new WebhookError('invalid_payload', 'the body is genuine JSON, but not an object');
  }
  return event;
}

/** An empty body is an event without fields. The adapters of Vast.ai's guides accept both, because Python does. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (text.trim() === '') return {};
    const tokens = withPythonNumbers(text);
    if (tokens === undefined) throw error;
    return JSON.parse(tokens.text, (_, value) => tokens.numbers.get(value) ?? value);
  }
}

/** `json.dumps` writes `NaN` and `Infinity`, which JSON does not have. They become strings here. */
function withPythonNumbers(text: string): { text: string; numbers: ReadonlyMap<unknown, number> } | undefined {
  const mark = randomUUID();
  const numbers = new Map<unknown, number>();
  // A quote without a partner takes the rest of the text, so that no part is searched twice.
  const replaced = text.replace(/"(?:[^"\\]|\\.)*"?|-?Infinity\b|\bNaN\b/gs, (token) => {
    if (token.startsWith('"')) return token;
    numbers.set(mark + token, Number(token));
    return JSON.stringify(mark + token);
  });
  return numbers.size > 0 ? { text: replaced, numbers } : undefined;
}

/** A whole number as text. 0 is no id: unrelated events would become duplicates. */
function idText(given: unknown): unknown {
  return Number.isSafeInteger(given) && given !== 0 ? String(given) : given;
}

/** Whether the id can be an idempotency key. */
export function isUsableId(id: unknown): id is string {
  return typeof id === 'string' && id.length >= 1 && id.length <= 255 && !unusable.test(id) && id.trim() !== '';
}

/** The event id, or the hash of the body if there is no usable id. */
function usableId(id: unknown, bytes: Buffer): string {
  if (isUsableId(id)) return id;
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Headers for the functions of a provider. */
class HeadersOf implements SenderHeaders {
  readonly #head: Pick<Head, 'header'>;

  constructor(head: Pick<Head, 'header'>) {
    this.#head = head;
  }

  get(name: string): string | undefined {
    return this.#head.header(name.toLowerCase());
  }
}

function signedHeaders({ id }: Credentials): SenderHeaders {
  if (id === undefined) return noHeaders;
  return new HeadersOf({ header: (name) => (name === id.header ? id.value : undefined) });
}

/**
 * The event and the delivery that a genuine request carries. Throws `invalid_json`, `invalid_payload` or
 * `event_id_mismatch`.
 */
export function toReceived<Event>(
  provider: Provider<Event>,
  scheme: WorkingScheme,
  { key, bytes, credentials, head, receivedAt }: VerifiedRequest,
): ReceivedDelivery<Event> {
  const event = parseEvent(bytes) as Event;
  let id: unknown;
  let type: unknown;
  try {
    id = idText(provider.idOf(event, signedHeaders(credentials)));
    const headers = new HeadersOf(head);
    keepNewest('headers', headers);
    type = provider.typeOf(event, headers);
  } catch (error) {
    // The sender tries again, so that the function can be mended.
    throw new Error(`idOf or typeOf of the provider ${provider.name} threw: ${toError(error).message}`, {
      cause: error,
    });
  }
  const { attempt: attemptHeader, id: idHeader } = scheme.headers;
  const claimedId = idHeader && head.header(idHeader);
  // If a proxy drops the header, the event must not be lost: its id is signed in the body.
  if (claimedId !== undefined && typeof id === 'string' && claimedId !== id) {
    throw new WebhookError('event_id_mismatch', 'the event id in the header is not the one that is signed');
  }
  const attempt = attemptHeader && head.header(attemptHeader);
  const { timestamp } = credentials;
  return {
    event,
    delivery: {
      provider: provider.name,
      source: 'webhook',
      verified: scheme.signsBody,
      id: usableId(id, bytes),
      type: typeof type === 'string' ? type : undefined,
      attempt: /^[1-9][0-9]{0,8}$/.test(String(attempt)) ? Number(attempt) : 1,
      webhook: key.label,
      timestamp: timestamp === undefined ? Math.floor(receivedAt / 1000) : Number(timestamp),
      receivedAt,
      rawBody: bytes,
    },
  };
}

const scheme = schemeOf(vast);

/** The input of `verifyDelivery`: one request, as it arrived. */
export interface VerifyDeliveryInput {
  /** As servers give them: a record in any case, or a `Headers`. */
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The raw bytes, or the exact string. */
  readonly body: Uint8Array | string;
  /** One secret, or several if any may match. */
  readonly secret: SecretList;
  /** How old or early a delivery may be, in seconds. Default: 300. */
  readonly toleranceSeconds?: number;
  /** The clock, in Unix milliseconds. Default: `Date.now`. */
  readonly now?: () => number;
}

/**
 * Verifies a Vast.ai delivery that was received without the middleware.
 * Throws a `WebhookError`: `invalid_signature` with its `reason`, `invalid_json` or `invalid_payload`.
 */
export function verifyDelivery(input: VerifyDeliveryInput): VerifiedDelivery<VastEvent> {
  const { headers, body, secret, toleranceSeconds = defaultToleranceSeconds, now = Date.now } = input;
  const keys = signingKeys(secret);
  const receivedAt = now();
  const head = { url: '', header: (name: string) => headerOf(headers, name) };
  const credentials = scheme.checkHead(head, toleranceSeconds, receivedAt);
  if (credentials.reason !== undefined) throw refused(credentials);
  const bytes = typeof body === 'string' ? Buffer.from(body) : toBuffer(body);
  const signed = findSigned(scheme, keys, credentials, bytes);
  if (signed === undefined) throw refused(scheme.mismatch);
  const verified = { ...signed, credentials, head, receivedAt };
  return toReceived(vast, scheme, verified) as VerifiedDelivery<VastEvent>;
}

/** A header's value. Repeated ones are joined as in HTTP, so that they do not look like one. */
function headerOf(headers: VerifyDeliveryInput['headers'], name: string): string | undefined {
  if (typeof headers.get === 'function') return (headers as Headers).get(name) ?? undefined;
  const values = Object.entries(headers)
    .filter(([key, value]) => key.toLowerCase() === name && value !== undefined)
    .flatMap(([, value]) => value as string | readonly string[]);
  return values.length === 0 ? undefined : values.join(', ');
}
