import { Buffer } from 'node:buffer';
import type { WebhookError } from '../contracts/errors.js';
import { isDeno } from '../util/runtime.js';
import { timeoutAfterTurn, unrefTimeout } from '../util/timer.js';
import { aborted, type OnBody, timedOut, toBuffer, tooLarge, unavailable } from './body.js';

/**
 * How long we drain a rejected body. In servers on `node:http`, cancelling the stream closes the connection before the
 * sender has read the answer.
 */
const lingerMs = 500;

const advice = "somebody has read the request's body: give the webhook the request before that, or a request.clone()";

/**
 * Reads the body of a `Request` within `limit` bytes and `timeoutMs`. Calls `done` once, with the body or with
 * `payload_too_large`, `body_timeout`, `aborted` or `raw_body_unavailable`.
 */
export function readWebBody(request: Request, limit: number, timeoutMs: number, done: OnBody): void {
  const length = request.headers.get('content-length');
  if (request.bodyUsed) done(unavailable(advice));
  else if (length !== null && Number(length) <= limit) readWhole(request, limit, timeoutMs, done);
  else if (request.body?.locked) done(unavailable(advice));
  else if (signalOf(request)?.aborted) done(aborted());
  else if (request.body === null) done(undefined, Buffer.alloc(0));
  else new Reading(request.body.getReader(), signalOf(request), limit, timeoutMs, done).next();
}

/**
 * Not every platform has it. Deno warns when it is used, because it also aborts after an answer there. The body's stream
 * fails, too, when the sender hangs up.
 */
function signalOf(request: Request): AbortSignal | undefined {
  return isDeno() ? undefined : request.signal;
}

/**
 * A body whose `Content-Length` is within the limit. Reading it without its stream saves most of a request's cost:
 * @hono/node-server, for example, creates a real `Request` and three streams only for the stream.
 */
function readWhole(request: Request, limit: number, timeoutMs: number, done: OnBody): void {
  const reading = request.arrayBuffer();
  let isLate = false;
  const cancel = timeoutAfterTurn(() => {
    isLate = true;
    done(timedOut(timeoutMs));
  }, timeoutMs);
  const settle = (error: WebhookError | undefined, body?: Buffer) => {
    cancel();
    if (!isLate) done(error, body);
  };
  reading.then(
    (bytes) => {
      if (bytes.byteLength > limit) settle(tooLarge(limit));
      else settle(undefined, Buffer.from(bytes));
    },
    // A body that other code has locked is still unused.
    () => settle(request.bodyUsed ? aborted() : unavailable(advice)),
  );
}

class Reading {
  readonly #reader: ReadableStreamDefaultReader<unknown>;
  readonly #signal: AbortSignal | undefined;
  readonly #limit: number;
  readonly #cancelTimeout: () => void;
  readonly #done: OnBody;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #isOver = false;

  constructor(
    reader: ReadableStreamDefaultReader<unknown>,
    signal: AbortSignal | undefined,
    limit: number,
    timeoutMs: number,
    done: OnBody,
  ) {
    this.#reader = reader;
    this.#signal = signal;
    this.#limit = limit;
    this.#done = done;
    this.#cancelTimeout = timeoutAfterTurn(() => this.#giveUp(timedOut(timeoutMs)), timeoutMs);
    signal?.addEventListener('abort', this.#hungUp);
  }

  next(): void {
    this.#reader.read().then(
      ({ done, value }) => {
        if (done) this.#end(undefined, this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks));
        else this.#take(value);
      },
      () => this.#end(aborted()),
    );
  }

  #take(chunk: unknown): void {
    if (!this.#isOver) {
      if (ArrayBuffer.isView(chunk)) this.#keep(toBuffer(chunk));
      else this.#giveUp(unavailable("the request's stream gives something other than bytes"));
    }
    this.next();
  }

  #keep(bytes: Buffer): void {
    this.#length += bytes.length;
    if (this.#length > this.#limit) this.#giveUp(tooLarge(this.#limit));
    else this.#chunks.push(bytes);
  }

  readonly #hungUp = () => {
    this.#cancel();
    this.#end(aborted());
  };

  #giveUp(error: WebhookError): void {
    this.#chunks.length = 0;
    unrefTimeout(() => this.#cancel(), lingerMs);
    this.#end(error);
  }

  #cancel(): void {
    this.#reader.cancel().catch(() => {});
  }

  #end(error?: WebhookError, body?: Buffer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimeout();
    this.#signal?.removeEventListener('abort', this.#hungUp);
    this.#done(error, body);
  }
}
