import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import getRawBody from 'raw-body';
import { WebhookError } from '../contracts/errors.js';
import { timeoutAfterTurn } from '../util/timer.js';
import { aborted, type OnBody, type RawBody, timedOut, toBuffer, tooLarge, unavailable } from './body.js';

/** Where the raw bytes of a request may be. `rawBody` and `body` are set by other middleware. */
export interface BodySource {
  readonly rawBody: unknown;
  readonly body: unknown;
  readonly req: IncomingMessage;
  /** What to change if a parser has consumed the body. */
  readonly cure: string;
}

/**
 * Keeps the raw bytes beside the parsed body: `express.json({ verify: keepRawBody })`.
 * For services that cannot put the middleware before their parser.
 */
export function keepRawBody(req: IncomingMessage, _res: unknown, body: Buffer): void {
  (req as IncomingMessage & { rawBody?: Buffer }).rawBody = body;
}

/**
 * Reads the raw body within `limit` bytes and `timeoutMs`, or takes the bytes that a parser kept. Calls `done` once,
 * with the body or with `payload_too_large`, `body_timeout`, `aborted` or `raw_body_unavailable`.
 */
export function readRawBody(source: BodySource, limit: number, timeoutMs: number, done: OnBody): void {
  const { rawBody, body, req: stream } = source;
  const kept = bytesOf(rawBody) ?? bytesOf(body);
  const isUnread = stream.readable && !stream.readableDidRead;
  if (kept !== undefined) {
    // A parser behind must not read the body again and replace the event.
    if (isUnread) readStream(source, limit, timeoutMs, () => takeWithin(limit, kept, done));
    else takeWithin(limit, kept, done);
  } else if (isUnread) {
    readStream(source, limit, timeoutMs, done);
  } else if (isClosed(stream) && !(stream.complete && stream.readableDidRead)) {
    done(aborted());
  } else if (typeof rawBody === 'string') {
    takeWithin(limit, rawBody, done);
  } else {
    // The stream was already read; waiting would hang.
    done(unavailable(source.cure));
  }
}

function bytesOf(value: unknown): Buffer | undefined {
  return ArrayBuffer.isView(value) ? toBuffer(value) : undefined;
}

function takeWithin(limit: number, body: RawBody, done: OnBody): void {
  if (Buffer.byteLength(body) > limit) done(tooLarge(limit));
  else done(undefined, body);
}

function readStream(source: BodySource, limit: number, timeoutMs: number, done: OnBody): void {
  const stream = source.req;
  let isLate = false;
  const cancel = timeoutAfterTurn(() => {
    isLate = true;
    done(timedOut(timeoutMs));
  }, timeoutMs);
  getRawBody(stream, { limit }, (error, body) => {
    cancel();
    if (isLate) return;
    if (error) done(meaningOf(error, source, limit));
    else done(undefined, body);
  });
  // Earlier middleware may have paused the stream.
  stream.resume();
}

function meaningOf(error: getRawBody.RawBodyError, source: BodySource, limit: number): WebhookError {
  if (error.type === 'entity.too.large') return tooLarge(limit);
  if (error.type === 'stream.encoding.set') return unavailable(source.cure);
  if (error.type === 'request.aborted' || isClosed(source.req)) return aborted();
  return new WebhookError('internal', `the body could not be read: ${error.message}`, { cause: error });
}

/** For a request or a response. With HTTP/2 only the stream shows it. */
export function isClosed(message: {
  readonly destroyed: boolean;
  readonly stream?: { readonly destroyed: boolean };
}): boolean {
  return message.destroyed || message.stream?.destroyed === true;
}
