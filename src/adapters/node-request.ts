import { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from '../contracts/answer.js';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import type { HandlerAnswer } from '../contracts/result.js';
import type { AdapterRequest } from '../endpoint.js';
import type { OnBody } from '../receive/body.js';
import { type BodySource, isClosed, readRawBody } from '../receive/raw-body.js';
import { unrefTimeout } from '../util/timer.js';

/** The endpoint that has called the handler for this request. A WeakSet costs the garbage collector more. */
export const verifiedBy: unique symbol = Symbol('vast-webhook.handedOn');

export type VerifiedMessage = IncomingMessage & { [verifiedBy]?: object };

/** What Express and Koa have in common: a request and a response of `node:http`. */
export abstract class NodeAdapterRequest<Event> implements AdapterRequest<Event>, BodySource {
  readonly req: IncomingMessage;
  protected readonly res: ServerResponse;
  /** Cached, because Express makes every property of a request slow. */
  readonly #headers: IncomingHttpHeaders;

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.req = req;
    this.res = res;
    this.#headers = req.headers;
  }

  get method(): string | undefined {
    return this.req.method;
  }

  get url(): string {
    return this.req.url ?? '';
  }

  header(name: string): string | undefined {
    return this.#headers[name]?.toString();
  }

  readBody(limit: number, timeoutMs: number, done: OnBody): void {
    readRawBody(this, limit, timeoutMs, done);
  }

  answer(answer: Answer): number {
    let { status } = answer;
    // The sender hung up, or other code has answered.
    if (status === 0 || this.res.headersSent) {
      if (status !== 0) status = this.res.statusCode;
      this.unanswered();
    } else {
      if (!this.req.complete && answer.headers?.Connection !== undefined) lingerUntilRead(this.req, this.res);
      this.write(answer);
    }
    // Drain unread bytes, or a connection reset may destroy the answer.
    if (!this.req.complete) this.req.resume();
    return status;
  }

  /** The raw body that other middleware may have left. */
  abstract readonly rawBody: unknown;
  abstract readonly body: unknown;
  abstract readonly cure: string;
  protected abstract write(answer: Answer): void;
  protected abstract unanswered(): void;
  abstract callHandler(received: ReceivedDelivery<Event>, settle: (answer: HandlerAnswer) => void): void;
}

/** How long an answer that closes the connection waits for the rest of its request. */
const lingerMs = 500;

/**
 * Sends an answer at once, but ends it when its request has been read, because its end closes the connection. Unread
 * bytes would reset it then, and the sender might not see the answer.
 */
function lingerUntilRead(req: IncomingMessage, res: ServerResponse): void {
  const { end } = res;
  res.end = ((...args: unknown[]) => {
    res.end = end;
    const [body] = args;
    // Middleware in front may have replaced the body: by a stream, for example, which ends the answer without one.
    if (typeof body !== 'string' && !Buffer.isBuffer(body)) return Reflect.apply(end, res, args);
    if (!res.headersSent) res.setHeader('Content-Length', Buffer.byteLength(body));
    res.write(body);
    const finish = () => {
      clearTimeout(timer);
      res.end();
    };
    const timer = unrefTimeout(finish, lingerMs);
    req.once('end', finish).once('close', finish);
    return res;
  }) as ServerResponse['end'];
}

/**
 * Calls `settle` with the handler's status. If the sender hangs up, we still wait for the handler, because its answer
 * says whether the event was processed. `ended` is for frameworks that then write no answer: how the handler ended.
 */
export function whenAnswered(
  res: ServerResponse,
  settle: (answer: HandlerAnswer) => void,
  ended: () => HandlerAnswer | undefined = () => undefined,
): void {
  const answered = () => settle({ status: res.statusCode, error: ended()?.error });
  const closed = () => {
    if (res.writableEnded) return answered();
    // The sender tries again after a broken answer, and must not get in_flight.
    if (res.headersSent) return settle({ status: 0, error: new Error('its answer broke off') });
    const unheard = ended();
    if (unheard !== undefined) return settle(unheard);
    whenEnded(res, answered);
  };
  if (isClosed(res)) {
    closed();
  } else {
    // Neither comes twice, and `once` costs more. HTTP/2 emits `finish` for a stream that was reset, too.
    res.on('finish', () => {
      if (res.writableEnded) answered();
    });
    res.on('close', closed);
    // A pipelined response has no socket yet, and gets no 'close'.
    if (res.socket === null) whenEnded(res, answered);
  }
}

/** For a response whose connection may be gone: it then emits no event, and does not keep its status. */
function whenEnded(res: ServerResponse, ended: () => void): void {
  const { end, writeHead } = res;
  function writeUnheard(this: ServerResponse, status: number, ...args: unknown[]) {
    if (!res.headersSent) res.statusCode = status;
    return Reflect.apply(writeHead, this, [status, ...args]);
  }
  function endUnheard(this: ServerResponse, ...args: unknown[]) {
    ended();
    return Reflect.apply(end, this, args);
  }
  res.writeHead = writeUnheard as ServerResponse['writeHead'];
  res.end = endUnheard as ServerResponse['end'];
}
