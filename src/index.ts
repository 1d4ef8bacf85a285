import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from './answer.js';
import { type Closable, Endpoint } from './endpoint.js';
import { expressEndpoint } from './express-mount.js';
import type { HandlerAnswer } from './forward/run.js';
import { NodeExchange, whenAnswered } from './node-exchange.js';
import type { WebhookOptions } from './options.js';
import { type VastEvent, vast } from './providers/vast.js';
import type { Verified } from './receive/delivery.js';
import type { Secret } from './receive/secrets.js';

export type { Code } from './answer.js';
export { createForwarder, type Forward } from './create-forwarder.js';
export type { DeliveryMessage, SinkMessage } from './diagnostics.js';
export type { Closable } from './endpoint.js';
export { type SignatureReason, SinkError, WebhookError } from './errors.js';
export { type MemoryStoreOptions, memoryStore } from './forward/memory-store.js';
export type { QueuedDelivery } from './forward/queued-delivery.js';
export type { ErrorContext } from './forward/run.js';
export { type Sink, type SinkContext, type SinkFunction, type SinkResult, when } from './forward/sink.js';
export type { ClaimResult, IdempotencyStore } from './forward/store.js';
export type { ForwarderOptions, WebhookOptions } from './options.js';
export type { Outcome } from './outcome.js';
export type { Severity } from './providers/provider.js';
export {
  type UnknownVastEvent,
  type VastContext,
  type VastEvent,
  type VastEventOf,
  type VastTopic,
  type VastType,
  type VastTypeInfo,
  vastTypes,
} from './providers/vast.js';
export type { Delivery, Verified } from './receive/delivery.js';
export { keepRawBody } from './receive/raw-body.js';
export type { Secret, SecretList } from './receive/secrets.js';
export { sign } from './receive/signature.js';
export { type VerifyDeliveryInput, verifyDelivery } from './receive/verify.js';

/** A request as far as the middleware looks at it. */
type Request = IncomingMessage & { body?: unknown };
type Next = (error?: unknown) => void;

/** Middleware for Express 4 and 5, Connect, and whatever else calls `(req, res, next)`. */
export interface VastWebhook extends Closable {
  (req: Request, res: ServerResponse, next: Next): void;
}

declare global {
  namespace Express {
    interface Request {
      /** The verified event and its delivery, in handlers behind `vastWebhook`. */
      vast: Verified<VastEvent>;
    }
  }
}

/**
 * Receives Vast.ai notifications: verifies each delivery, makes each event count once, tells the sinks or hands it
 * on to the handler behind. Throws a `TypeError` for a secret or an option that nobody can have meant.
 */
export function vastWebhook(secret: Secret, options?: WebhookOptions): VastWebhook {
  const endpoint = new Endpoint(vast, secret, options);
  const middleware = Object.assign(
    function vastWebhook(req: Request, res: ServerResponse, next: Next): void {
      if (isEndpoint(req)) endpoint.serve(new ExpressExchange(req, res, next));
      else next();
    },
    {
      close: (timeoutMs?: number) => endpoint.close(timeoutMs),
      [Symbol.asyncDispose]: () => endpoint.close(),
    },
  );
  const isEndpoint = expressEndpoint(middleware, endpoint.settings.path, vast.path);
  return middleware;
}

interface HandedOn extends IncomingMessage {
  vast: Verified<VastEvent>;
  body: VastEvent;
  _body: boolean;
}

class ExpressExchange extends NodeExchange<VastEvent> {
  readonly #next: Next;
  protected readonly rawBody: unknown;
  protected readonly body: unknown;

  constructor(req: Request & { rawBody?: unknown }, res: ServerResponse, next: Next) {
    super(req, res);
    this.#next = next;
    this.rawBody = req.rawBody;
    this.body = req.body;
  }

  handOn(verified: Verified<VastEvent>, settle: (answer: HandlerAnswer) => void): void {
    // `_body` keeps the parsers of Express 4 away, those of Express 5 see that the stream has ended.
    const req = this.req as HandedOn;
    req.vast = verified;
    req.body = verified.event;
    req._body = true;
    whenAnswered(this.res, settle);
    try {
      this.#next();
    } catch (error) {
      settle({ status: 0, error });
      // Routers catch what handlers throw. Where there is none, it ends where it would have without us.
      process.nextTick(() => {
        throw error;
      });
    }
  }

  protected write({ status, headers, body }: Answer): void {
    this.res.statusCode = status;
    for (const name in headers) this.res.setHeader(name, headers[name] as string);
    this.res.end(body);
  }

  protected unanswered(): void {}
}
