import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from '../contracts/answer.js';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import type { HandlerAnswer } from '../contracts/result.js';
import { type Closable, Endpoint } from '../endpoint.js';
import type { WebhookOptions } from '../options.js';
import type { Provider } from '../providers/provider.js';
import { isClosed } from '../receive/raw-body.js';
import type { Secret } from '../receive/secrets.js';
import { EndpointMatch } from './endpoint-match.js';
import type { RoutedRequest } from './express-mount.js';
import { koaPlaces, type RoutedContext } from './koa-mount.js';
import { NodeAdapterRequest, type VerifiedMessage, verifiedBy, whenAnswered } from './node-request.js';
import { isKoaCall, misuse, refuse } from './wrong-form.js';

/** The part of a Koa context that the middleware uses. */
export interface KoaContext {
  /** The request of Node.js. Its body is read. */
  readonly req: IncomingMessage;
  /** The response of Node.js. Its end settles the handler's event. */
  readonly res: ServerResponse;
  /** Koa's request. Its `body` is set to the event for the handler. */
  readonly request: object;
  /** The path that is compared with the endpoint. */
  readonly path: string;
  /** The original URL, before a mount cut its part off. */
  readonly originalUrl: string;
  /** Where `vast` is set for the handler. */
  readonly state: object;
  /** The HTTP status: the middleware's or the handler's. */
  status: number;
  /** The answer's body. */
  body: unknown;
  /** False if the handler writes the answer itself, without Koa. */
  respond?: boolean;
  /** Sets a header of the answer. */
  set(name: string, value: string): void;
}

/** Middleware for Koa 2 and 3. */
export interface KoaWebhook extends Closable {
  (ctx: KoaContext, next: () => Promise<unknown>): Promise<void>;
}

/** Creates the middleware for a provider's deliveries. Throws a `TypeError` for an invalid secret or option. */
export function koaWebhook<Event extends object>(
  provider: Provider<Event>,
  secret: Secret,
  options?: WebhookOptions<Event>,
): KoaWebhook {
  const endpoint = new Endpoint(provider, secret, options);
  const match = new EndpointMatch(endpoint.settings, provider);
  const middleware = Object.assign(function webhook(
    ctx: KoaContext,
    next: () => Promise<unknown>,
    ...others: unknown[]
  ): Promise<void> {
    if (!isKoaCall(ctx, next)) {
      return refuse(misuse('Koa', provider.name, ctx), [ctx, next, ...others], endpoint.settings.report);
    }
    // The middleware's second place must not claim the event again.
    if ((ctx.req as VerifiedMessage)[verifiedBy] === endpoint || !isEndpoint(ctx)) return next() as Promise<void>;
    // After the handler, Koa writes the answer behind this promise, and only that settles the event.
    return new Promise((resolve, reject) => {
      endpoint.serve(new KoaExchange(provider.name, ctx, next, resolve, reject, endpoint));
    });
  }, endpoint.methods);
  const placeOf = koaPlaces(middleware);

  function isEndpoint(ctx: KoaContext & RoutedContext): boolean {
    // Express and others, in which the app may be mounted, keep the whole target on their request.
    const target = (ctx.req as RoutedRequest).originalUrl ?? ctx.originalUrl;
    if (match.matches(target)) return true;
    const { method, headers, url = '' } = ctx.req;
    const rewritten = url === target ? [] : [url, ctx.originalUrl];
    return match.isEndpoint({ method, target, headers, rewritten, ...placeOf(ctx, target) });
  }

  return middleware;
}

class KoaExchange<Event> extends NodeAdapterRequest<Event> {
  readonly #property: string;
  readonly #ctx: KoaContext;
  readonly #next: () => Promise<unknown>;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  readonly #endpoint: object;
  readonly rawBody: unknown;
  readonly body: unknown;

  constructor(
    property: string,
    ctx: KoaContext,
    next: () => Promise<unknown>,
    resolve: () => void,
    reject: (error: unknown) => void,
    endpoint: object,
  ) {
    super(ctx.req, ctx.res);
    this.#endpoint = endpoint;
    this.#property = property;
    this.#ctx = ctx;
    this.#next = next;
    this.#resolve = resolve;
    this.#reject = reject;
    const request = ctx.request as { rawBody?: unknown; body?: unknown };
    this.rawBody = (ctx.req as { rawBody?: unknown }).rawBody ?? request.rawBody;
    this.body = request.body;
  }

  get cure(): string {
    return 'a body parser has consumed the raw body: put app.use(vastWebhook(...)) before koa-body, @koa/bodyparser or koa-bodyparser';
  }

  callHandler(received: ReceivedDelivery<Event>, settle: (answer: HandlerAnswer) => void): void {
    (this.#ctx.state as Record<string, unknown>)[this.#property] = received;
    (this.#ctx.request as { body?: unknown }).body = received.event;
    (this.req as VerifiedMessage)[verifiedBy] = this.#endpoint;
    let ended: HandlerAnswer | undefined;
    whenAnswered(this.res, settle, () => ended);
    const end = (answer: HandlerAnswer) => {
      ended = answer;
      // Koa writes nothing for a sender that hung up, so no answer will come.
      if (isClosed(this.res) && this.#ctx.respond !== false) settle(answer);
    };
    this.#handle().then(
      () => {
        end({ status: this.#ctx.status });
        this.#resolve();
      },
      (error) => {
        end({ status: 0, error });
        this.#reject(error);
      },
    );
  }

  /** Does not throw: a custom `next` that throws rejects like Koa's. */
  #handle(): Promise<unknown> {
    try {
      return Promise.resolve(this.#next());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  protected write({ status, headers, body }: Answer): void {
    const ctx = this.#ctx;
    ctx.status = status;
    for (const name in headers) ctx.set(name, headers[name] as string);
    if (body !== undefined) ctx.body = body;
    this.#resolve();
  }

  protected unanswered(): void {
    this.#resolve();
  }
}
