import { Buffer } from 'node:buffer';
import { WebhookError } from '../contracts/errors.js';
import { withoutStack } from '../util/without-stack.js';

/** The bytes, or the text that a parser decoded if no bytes are left. */
export type RawBody = Buffer | string;

/** Receives the body, or the error. */
export type OnBody = (error: WebhookError | undefined, body?: RawBody) => void;

/** The same bytes as a Buffer, not copied. */
export function toBuffer(bytes: ArrayBufferView): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function tooLarge(limit: number): WebhookError {
  return withoutStack(
    () => new WebhookError('payload_too_large', `the body is larger than the limit of ${limit} bytes`),
  );
}

export function timedOut(timeoutMs: number): WebhookError {
  return new WebhookError('body_timeout', `the body did not arrive within ${Math.round(timeoutMs)} ms`);
}

export function aborted(): WebhookError {
  return new WebhookError('aborted', 'the sender hung up before the body was there');
}

/** `cure`: the line to change, in the framework's words. */
export function unavailable(cure: string): WebhookError {
  return new WebhookError('raw_body_unavailable', cure);
}
